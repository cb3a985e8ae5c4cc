"""What a tag stands for, asked of a real registry."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.containers.registry import _session, digest_now
from controller.model.errors import StalledError, TransientError
from controller.specs.references import reference_of
from tests.registries import LOGIN, Registry


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    made = Registry(tmp_path / "registry")
    yield made
    made.stop()


@pytest.fixture
def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """A registry that asks for a log-in; docker has none for it yet."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    made = Registry(tmp_path / "registry", login=True)
    yield made
    made.stop()


def test_a_tag_is_its_digest_now(registry: Registry) -> None:
    name = reference_of(f"{registry.host}/lab/tool:v1")
    first = registry.push("lab/tool", "v1", "one")
    assert digest_now(name) == first
    second = registry.push("lab/tool", "v1", "two")
    assert digest_now(name) == second != first
    assert digest_now(reference_of(f"{registry.host}/lab/tool@{first}")) == first


def test_what_a_registry_has_not(registry: Registry) -> None:
    with pytest.raises(StalledError) as caught:
        digest_now(reference_of(f"{registry.host}/lab/nothing:v1"))
    assert caught.value.reason == "ImageNotFound"
    assert f"{registry.host}/lab/nothing:v1" in caught.value.message


def test_a_registry_that_is_down_is_not_one_without_the_image(registry: Registry) -> None:
    registry.stop()
    with pytest.raises(TransientError, match="does not answer \\(connection refused\\)") as caught:
        digest_now(reference_of(f"{registry.host}/lab/tool:v1"))
    assert caught.value.reason == "RegistryUnavailable"


def test_the_log_in_of_docker_is_used(guarded: Registry, tmp_path: Path) -> None:
    """As ``docker login`` writes it; without it the message says how to get in, and holds no password."""
    digest = guarded.push("lab/tool", "v1", "one")
    name = reference_of(f"{guarded.host}/lab/tool:v1")
    with pytest.raises(StalledError, match=f"docker login {guarded.host}"):
        digest_now(name)
    config = tmp_path / "docker" / "config.json"
    config.parent.mkdir()
    config.write_text(json.dumps({"auths": {guarded.host: {"auth": LOGIN}}}))
    assert digest_now(name) == digest
    config.write_text(json.dumps({"auths": {guarded.host: {"auth": "YWRhOndyb25n"}}}))
    with pytest.raises(StalledError) as caught:
        digest_now(name)
    assert caught.value.reason == "RegistryRefused"
    assert "wrong" not in caught.value.message


class _TokenRegistry(http.server.BaseHTTPRequestHandler):
    """As the large registries do it: 401 names a service, the service gives a token, the token opens."""

    digest = "sha256:" + "d" * 64

    def do_HEAD(self) -> None:
        allowed = self.headers.get("Authorization") == "Bearer t0ken"
        self.send_response(200 if allowed else 401)
        if allowed:
            self.send_header("Docker-Content-Digest", self.digest)
        else:
            where = "http://{}:{}/token".format(*self.server.server_address)
            self.send_header("WWW-Authenticate", f'Bearer realm="{where}",service="reg",scope="repository:other:push"')
        self.end_headers()

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        right = self.path == "/token?scope=repository%3Alab%2Ftool%3Apull&service=reg"
        self.send_response(200 if right else 400)
        self.end_headers()
        self.wfile.write(b'{"token": "t0ken"}')

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def token_registry() -> Iterator[http.server.ThreadingHTTPServer]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _TokenRegistry)
    server.asked = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_the_token_exchange_asks_for_no_more_than_to_pull(token_registry: http.server.ThreadingHTTPServer) -> None:
    name = reference_of(f"127.0.0.1:{token_registry.server_address[1]}/lab/tool:v1")
    assert digest_now(name) == _TokenRegistry.digest
    assert token_registry.asked == ["/token?scope=repository%3Alab%2Ftool%3Apull&service=reg"]  # type: ignore[attr-defined]


def test_a_registry_leads_nowhere_but_over_https(token_registry: http.server.ThreadingHTTPServer) -> None:
    """Neither to plain http elsewhere, nor, from elsewhere, to what only this machine can reach."""
    here = f"http://127.0.0.1:{token_registry.server_address[1]}/token"
    with _session("r.example", reference_of("r.example/lab/tool")) as session, pytest.raises(StalledError) as caught:
        session.get(here, headers={"Authorization": "Basic secret"})
    assert "which is not https" in caught.value.message
    assert token_registry.asked == []  # type: ignore[attr-defined]
    for host, url, said in (
        ("r.example", "https://localhost/token", "it leads to the controller's own machine"),
        ("127.0.0.1:1", "http://r.example/token", "which is not https"),
    ):
        with _session(host, reference_of(f"{host}/x")) as session, pytest.raises(StalledError, match=said):
            session.get(url, headers={})
