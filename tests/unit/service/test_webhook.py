"""Who is let in, and what is ignored."""

from __future__ import annotations

import hmac
import json
from urllib.parse import urlencode

import pytest
from starlette.datastructures import Headers

from controller.service.webhook import Verdict, has_credentials, is_authentic, judge

# The test values of GitHub's page "Validating webhook deliveries".
SECRET = b"It's a Secret to Everybody"
BODY = b"Hello, World!"
DIGEST = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

MAIN = "refs/heads/main"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Hub-Signature-256": f"sha256={DIGEST}"},
        {"x-hub-signature-256": f"sha256={DIGEST}"},
        {"X-Gitea-Signature": DIGEST},
        {"X-Gitea-Signature": DIGEST, "X-Hub-Signature-256": f"sha256={DIGEST}"},
        {"X-Gitlab-Token": SECRET.decode()},
    ],
)
def test_who_knows_the_secret_is_let_in(headers: dict[str, str]) -> None:
    assert has_credentials(Headers(headers))
    assert is_authentic(Headers(headers), BODY, SECRET)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Hub-Signature": f"sha1={hmac.new(SECRET, BODY, 'sha1').hexdigest()}"},
        {"X-Hub-Signature-256": DIGEST},
        {"X-Hub-Signature-256": ""},
        {"X-Hub-Signature-256": "sha256="},
        {"X-Hub-Signature-256": f"sha256={DIGEST[:-1]}"},
        {"X-Hub-Signature-256": f"sha256={'0' * 64}"},
        {"X-Hub-Signature-256": "sha256=\xe9\xff"},
        {"X-Gitea-Signature": ""},
        {"X-Gitea-Signature": f"sha256={DIGEST}"},
        {"X-Gitlab-Token": ""},
        {"X-Gitlab-Token": SECRET.decode() + " "},
        {"X-Gitlab-Token": DIGEST},
        {"Authorization": SECRET.decode()},
    ],
)
def test_who_does_not_is_kept_out(headers: dict[str, str]) -> None:
    assert not is_authentic(Headers(headers), BODY, SECRET)


def test_a_signature_is_for_one_body_only() -> None:
    assert not is_authentic(Headers({"X-Gitea-Signature": DIGEST}), BODY + b"!", SECRET)


def test_an_empty_secret_lets_nobody_in() -> None:
    of_nothing = hmac.new(b"", BODY, "sha256").hexdigest()
    assert not is_authentic(Headers({"X-Gitlab-Token": ""}), BODY, b"")
    assert not is_authentic(Headers({"X-Gitea-Signature": of_nothing}), BODY, b"")


def test_a_secret_beyond_ascii_works() -> None:
    secret = "schlüssel".encode()
    headers = Headers(raw=[(b"x-gitlab-token", secret)])
    assert is_authentic(headers, BODY, secret)


@pytest.mark.parametrize(
    ("headers", "body", "verdict"),
    [
        ({"X-GitHub-Event": "push"}, {"ref": MAIN}, Verdict.ACCEPTED),
        ({"X-GitHub-Event": "push"}, {"ref": "refs/heads/controller/status"}, Verdict.IGNORED),
        ({"X-GitHub-Event": "push"}, {"ref": "refs/heads/mainly"}, Verdict.IGNORED),
        ({"X-GitHub-Event": "push"}, {"ref": "refs/tags/v1"}, Verdict.IGNORED),
        ({"X-GitHub-Event": "ping"}, {"zen": "Keep it."}, Verdict.PING),
        ({"X-GitHub-Event": "issue_comment"}, {"action": "created"}, Verdict.IGNORED),
        ({"X-Gitea-Event": "push", "X-GitHub-Event": "push"}, {"ref": MAIN}, Verdict.ACCEPTED),
        ({"X-Gitlab-Event": "Push Hook"}, {"object_kind": "push", "ref": MAIN}, Verdict.ACCEPTED),
        ({"X-Gitlab-Event": "Push Hook"}, {"object_kind": "push", "ref": "refs/heads/x"}, Verdict.IGNORED),
        ({"X-Gitlab-Event": "System Hook"}, {"event_name": "push", "ref": MAIN}, Verdict.ACCEPTED),
        ({"X-Gitlab-Event": "Merge Request Hook"}, {"object_kind": "merge_request"}, Verdict.IGNORED),
        ({}, {"ref": MAIN}, Verdict.ACCEPTED),
        ({}, {"ref": 7}, Verdict.ACCEPTED),
        ({}, {"ref": "main"}, Verdict.ACCEPTED),
        ({}, [MAIN], Verdict.ACCEPTED),
    ],
)
def test_what_is_asked_for(headers: dict[str, str], body: object, verdict: Verdict) -> None:
    assert judge(Headers(headers), json.dumps(body).encode(), MAIN) is verdict
    form = urlencode({"payload": json.dumps(body)}).encode()
    assert judge(Headers(headers), form, MAIN) is verdict


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"payload=", b"payload=%", b"9" * 5000, b"&" * 100]
)
def test_a_body_that_cannot_be_read_still_asks_for_a_pass(body: bytes) -> None:
    assert judge(Headers({"X-GitHub-Event": "push"}), body, MAIN) is Verdict.ACCEPTED


def test_without_a_watched_branch_every_push_counts() -> None:
    assert judge(Headers({}), b'{"ref": "refs/heads/any"}', None) is Verdict.ACCEPTED


def test_own_pushes_never_ask_for_a_pass() -> None:
    """Status and heartbeat, also where every other branch is news."""
    own = ("refs/heads/controller/status", "refs/heads/controller/status-heartbeat")
    for ref in own:
        assert judge(Headers({}), json.dumps({"ref": ref}).encode(), None, own) is Verdict.IGNORED
    assert judge(Headers({}), b'{"ref": "refs/heads/main"}', None, own) is Verdict.ACCEPTED
