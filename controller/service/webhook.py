"""What a webhook request is worth: is the sender one who knows the secret, and is it about our branch?

Pure: headers and bytes in, a verdict out. Three hosts, three ways to show the secret:

- GitHub and Gitea, ``X-Hub-Signature-256: sha256=<hex>``, HMAC-SHA256 of the body.
  https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
- Gitea and Forgejo, ``X-Gitea-Signature: <hex>``, the same without the prefix.
  https://docs.gitea.com/usage/repository/webhooks
- GitLab, ``X-Gitlab-Token``, the secret itself.
  https://docs.gitlab.com/user/project/integrations/webhooks

The body is a hint and nothing more: all it can do is make us ignore a push to a branch that is not ours,
above all our own push to the status branch. When in doubt a pass is asked for; it costs little.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Collection, Mapping
from enum import StrEnum
from urllib.parse import parse_qs

HUB_SIGNATURE = "x-hub-signature-256"
GITEA_SIGNATURE = "x-gitea-signature"
GITLAB_TOKEN = "x-gitlab-token"
CREDENTIALS = (HUB_SIGNATURE, GITEA_SIGNATURE, GITLAB_TOKEN)

_EVENTS = ("x-github-event", "x-gitea-event", "x-gitlab-event")
_PUSHES = frozenset({"push", "push hook", "system hook"})


class Verdict(StrEnum):
    """What became of a request; the words of ``controller_webhooks_total``."""

    ACCEPTED = "accepted"
    IGNORED = "ignored"
    PING = "ping"
    UNAUTHORIZED = "unauthorized"
    TOO_LARGE = "too_large"
    INCOMPLETE = "incomplete"
    UNAVAILABLE = "unavailable"


def has_credentials(headers: Mapping[str, str]) -> bool:
    """Whether there is anything to check. ``headers`` ignores case, as Starlette's does."""
    return any(name in headers for name in CREDENTIALS)


def is_authentic(headers: Mapping[str, str], body: bytes, secret: bytes) -> bool:
    """Whether the sender knows ``secret``. Takes the same time wherever a wrong value first differs."""
    if not secret:
        return False
    digest = hmac.new(secret, body, "sha256").hexdigest()
    expected = {
        HUB_SIGNATURE: b"sha256=" + digest.encode(),
        GITEA_SIGNATURE: digest.encode(),
        GITLAB_TOKEN: secret,
    }
    # Bytes, as compare_digest refuses text that is not ASCII; Latin-1 gives back what came over the wire.
    return any(
        hmac.compare_digest(headers.get(name, "").encode("latin-1", "replace"), value)
        for name, value in expected.items()
    )


def judge(headers: Mapping[str, str], body: bytes, watched_ref: str | None, own_refs: Collection[str] = ()) -> Verdict:
    """What an authentic request asks for.

    ``watched_ref`` is the full name of the branch that specs are read from (``refs/heads/main``), or None to
    take a push to any branch as news, except to ``own_refs``, which the controller itself pushes to.
    """
    event = next((headers[name].strip().lower() for name in _EVENTS if name in headers), "")
    if event == "ping":
        return Verdict.PING
    if event and event not in _PUSHES:
        return Verdict.IGNORED
    ref = _pushed_ref(body)
    if ref is not None and (ref in own_refs or (watched_ref is not None and ref != watched_ref)):
        return Verdict.IGNORED
    return Verdict.ACCEPTED


def _pushed_ref(body: bytes) -> str | None:
    """The ref that the body names, or None when it cannot be told."""
    try:
        text = body.decode()
        if text.startswith("payload="):  # application/x-www-form-urlencoded, which GitHub and Gitea offer.
            text = parse_qs(text, max_num_fields=8)["payload"][0]
        document = json.loads(text)
    except (ValueError, KeyError, RecursionError):
        return None
    ref = document.get("ref") if isinstance(document, dict) else None
    return ref if isinstance(ref, str) and ref.startswith("refs/") else None
