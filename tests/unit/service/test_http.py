"""The pages, asked over real HTTP on a real port."""

from __future__ import annotations

import hmac
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from controller.model.conditions import TaskState
from controller.service.http import BODY_LIMIT, build_app
from controller.service.listener import Listener, open_port
from controller.service.metrics import Metrics
from controller.service.pacing import Health, Progress
from controller.service.secret import SecretFile
from tests.unit.service.fakes import summary

SECRET = "correct-horse-battery"
PUSH = b'{"ref": "refs/heads/main"}'


class FakeLoop:
    """Notes who asked for a pass."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.state = Health(healthy=True, reason="Alive", message="Passes begin on time.")
        self.progress = Progress(started_s=0)

    def request_pass(self, reason: str) -> None:
        self.requests.append(reason)

    def health(self) -> Health:
        return self.state


class Site:
    """A served app and a client for it."""

    def __init__(self, secret: SecretFile | None) -> None:
        self.loop = FakeLoop()
        self.metrics = Metrics(version="1.2.3", wall_clock=lambda: 1_700_000_000.0)
        self.port = open_port("127.0.0.1:0")
        app = build_app(self.loop, self.metrics, secret=secret, watched_ref="refs/heads/main", body_timeout_s=0.3)
        self.listener = Listener(app, self.port, headers_timeout_s=0.3)
        self.where: tuple[str, int] = self.port.getsockname()
        self.client = httpx.Client(base_url=f"http://{self.listener.address}", timeout=20)
        self.listener.start()

    def push(self, body: bytes = PUSH, headers: dict[str, str] | None = None) -> httpx.Response:
        return self.client.post("/webhook", content=body, headers=signed(body) if headers is None else headers)

    def raw(self) -> socket.socket:
        return socket.create_connection(self.where, timeout=20)

    def counted(self, result: str) -> float | None:
        return self.metrics.registry.get_sample_value("controller_webhooks_total", {"result": result})

    def close(self) -> None:
        self.client.close()
        self.listener.stop()


def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, "sha256").hexdigest()
    return {"X-Hub-Signature-256": f"sha256={digest}", "X-GitHub-Event": "push"}


@pytest.fixture
def secret_path(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(SECRET + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def serve() -> Iterator[Callable[..., Site]]:
    """Serve the pages on a free port."""
    sites: list[Site] = []

    def start(secret: SecretFile | None) -> Site:
        sites.append(Site(secret))
        return sites[-1]

    yield start
    for site in sites:
        site.close()


@pytest.fixture
def site(serve: Callable[..., Site], secret_path: Path) -> Site:
    return serve(SecretFile(secret_path))


def test_a_signed_push_asks_for_a_pass(site: Site) -> None:
    answer = site.push()
    assert (answer.status_code, answer.json()["result"]) == (202, "accepted")
    assert site.loop.requests == ["webhook"]
    assert site.counted("accepted") == 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Hub-Signature-256": "sha256=" + "0" * 64},
        {"X-Gitlab-Token": "wrong"},
        {"X-Gitlab-Token": ""},
        signed(PUSH, "another secret"),
        signed(b"another body"),
    ],
)
def test_others_are_refused_and_ask_for_nothing(site: Site, headers: dict[str, str]) -> None:
    answer = site.push(headers=headers)
    assert (answer.status_code, answer.json()["result"]) == (401, "unauthorized")
    assert site.loop.requests == []
    assert site.counted("unauthorized") == 1


def test_gitlab_and_gitea_are_let_in(site: Site) -> None:
    assert site.push(headers={"X-Gitlab-Token": SECRET, "X-Gitlab-Event": "Push Hook"}).status_code == 202
    digest = hmac.new(SECRET.encode(), PUSH, "sha256").hexdigest()
    assert site.push(headers={"X-Gitea-Signature": digest, "X-Gitea-Event": "push"}).status_code == 202


def test_a_push_to_the_status_branch_is_ignored(site: Site) -> None:
    answer = site.push(b'{"ref": "refs/heads/controller/status"}')
    assert (answer.status_code, answer.json()["result"]) == (200, "ignored")
    assert site.loop.requests == []


def test_a_ping_is_answered_only_with_the_right_secret(site: Site) -> None:
    body = b'{"zen": "Speak like a human."}'
    assert site.push(body, signed(body) | {"X-GitHub-Event": "ping"}).status_code == 200
    assert site.push(body, {"X-GitHub-Event": "ping"}).status_code == 401
    assert site.loop.requests == []


@pytest.mark.parametrize("body", [b"", b"{", b"\xff" * 100, b"[" * 100_000])
def test_a_malformed_body_with_a_right_signature_asks_for_a_pass(site: Site, body: bytes) -> None:
    assert site.push(body).status_code == 202
    assert site.loop.requests == ["webhook"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_other_methods_are_refused(site: Site, method: str) -> None:
    assert site.client.request(method, "/webhook").status_code == 405


def test_without_a_secret_there_is_no_webhook(serve: Callable[..., Site]) -> None:
    site = serve(None)
    assert site.push().status_code == 404
    assert site.client.get("/healthz").status_code == 200
    assert site.loop.requests == []


def test_a_body_of_the_limit_is_taken_and_one_byte_more_is_not(site: Site) -> None:
    assert site.push(b" " * BODY_LIMIT).status_code == 202
    assert site.push(b" " * (BODY_LIMIT + 1)).status_code == 413
    assert site.counted("too_large") == 1


def test_an_announced_large_body_is_refused_before_it_is_sent(site: Site) -> None:
    head = b"POST /webhook HTTP/1.1\r\nHost: x\r\nX-Gitlab-Token: x\r\nContent-Length: 99999999\r\n\r\n"
    with closing(site.raw()) as connection:
        connection.sendall(head)
        assert connection.recv(64).startswith(b"HTTP/1.1 413 ")


def test_a_large_body_of_unknown_length_is_not_read_to_its_end(site: Site) -> None:
    """The sender is cut off after little more than the limit, however much it would go on to send."""
    head = b"POST /webhook HTTP/1.1\r\nHost: x\r\nX-Gitlab-Token: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    answer: list[bytes] = []
    with closing(site.raw()) as connection:
        connection.sendall(head)
        reader = threading.Thread(target=lambda: answer.append(connection.recv(64)))
        reader.start()
        sent = 0
        try:
            while reader.is_alive() and sent < 1000:
                connection.sendall(chunk)
                sent += 1
        except OSError:
            pass  # Closed by the server while we sent.
        reader.join(timeout=20)
    assert answer[0].startswith(b"HTTP/1.1 413 ")
    assert sent < 200


def test_a_body_that_does_not_come_is_waited_for_only_so_long(site: Site) -> None:
    head = b"POST /webhook HTTP/1.1\r\nHost: x\r\nX-Gitlab-Token: x\r\nContent-Length: 10\r\n\r\nabc"
    with closing(site.raw()) as connection:
        connection.sendall(head)
        assert connection.recv(64).startswith(b"HTTP/1.1 408 ")
    assert site.loop.requests == []


def test_headers_that_do_not_come_are_waited_for_only_so_long(site: Site) -> None:
    with closing(site.raw()) as connection:
        connection.sendall(b"POST /webhook HTTP/1.1\r\nHost: x\r\n")
        assert connection.recv(64) == b""


def test_a_sender_that_hangs_up_in_the_body_asks_for_nothing(site: Site) -> None:
    head = b"POST /webhook HTTP/1.1\r\nHost: x\r\nX-Gitlab-Token: x\r\nContent-Length: 10\r\n\r\nabc"
    with closing(site.raw()) as connection:
        connection.sendall(head)
    assert site.push().status_code == 202
    assert site.loop.requests == ["webhook"]


def test_connections_are_not_kept(site: Site) -> None:
    for _ in range(3):
        assert site.client.get("/healthz").headers["connection"] == "close"


def test_a_new_secret_is_taken_over_without_a_restart(site: Site, secret_path: Path) -> None:
    assert site.push().status_code == 202
    replacement = secret_path.with_name("new")
    replacement.write_text("another secret altogether\n")
    replacement.rename(secret_path)
    assert site.push().status_code == 401
    assert site.push(headers=signed(PUSH, "another secret altogether")).status_code == 202


@pytest.mark.parametrize("content", [None, b"", b" \n", b"two\nlines\n"])
def test_a_secret_that_is_gone_or_bad_lets_nobody_in(site: Site, secret_path: Path, content: bytes | None) -> None:
    assert site.push().status_code == 202
    secret_path.unlink()
    if content is not None:
        secret_path.write_bytes(content)
    for headers in (signed(PUSH), signed(PUSH, ""), {"X-Gitlab-Token": ""}):
        assert site.push(headers=headers).status_code == 503
    secret_path.write_text(SECRET)
    assert site.push().status_code == 202


def test_the_secret_is_in_no_log_and_no_answer(site: Site, secret_path: Path) -> None:
    with capture_logs() as logs:
        answers = [
            site.push().text,
            site.push(headers={"X-Gitlab-Token": SECRET}).text,
            site.push(headers={"X-Gitlab-Token": SECRET + "x"}).text,
        ]
        secret_path.write_text(SECRET + "\nmore")
        answers.append(site.push().text)
    assert len(logs) >= 4
    assert SECRET not in repr(logs) + repr(answers)


def test_health_and_readiness(site: Site) -> None:
    answer = site.client.get("/healthz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert site.client.get("/readyz").status_code == 503
    site.loop.progress = Progress(started_s=0, completed=1)
    assert site.client.get("/readyz").status_code == 200
    site.loop.state = Health(healthy=False, reason="PassOverdue", message="No pass has begun for 200 s.")
    answer = site.client.get("/healthz")
    assert (answer.status_code, answer.json()["reason"]) == (503, "PassOverdue")


def test_metrics_page(site: Site) -> None:
    site.metrics.pass_ended(
        summary(
            actions={("build", "succeeded"): 2, ("submit", "failed"): 1},
            tasks={TaskState.RUNNING: 7},
            invalid_specs=3,
            clusters={"greene": True, "local": False},
        )
    )
    site.metrics.pass_failed("GitUnreachable", 1.5)
    site.push()
    answer = site.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    lines = answer.text.splitlines()
    for line in (
        'controller_passes_total{result="completed"} 0.0',
        'controller_passes_total{result="incomplete"} 1.0',
        'controller_passes_total{result="failed"} 1.0',
        "controller_pass_duration_seconds_count 2.0",
        "controller_last_pass_timestamp_seconds 1.7e+09",
        'controller_actions_total{kind="build",outcome="succeeded"} 2.0',
        'controller_actions_total{kind="submit",outcome="failed"} 1.0',
        'controller_tasks{state="Running"} 7.0',
        'controller_tasks{state="Failed"} 0.0',
        'controller_cluster_reachable{cluster="greene"} 1.0',
        'controller_cluster_reachable{cluster="local"} 0.0',
        "controller_invalid_specs 3.0",
        'controller_webhooks_total{result="accepted"} 1.0',
    ):
        assert line in lines
    assert any(line.startswith("controller_build_info{") and 'version="1.2.3"' in line for line in lines)


def test_stop_does_not_wait_for_a_sender_that_says_nothing(serve: Callable[..., Site]) -> None:
    site = serve(None)
    with closing(site.raw()) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        site.listener.stop()
        # Closed where the server had taken the connection, reset where it was still in the backlog.
        with suppress(ConnectionResetError):
            assert connection.recv(64) == b""
    with pytest.raises(OSError):
        site.raw()
