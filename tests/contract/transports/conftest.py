"""Fixtures: a private sshd, its client's configuration, and every transport there is."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from controller.clusters.connect import open_transport
from controller.clusters.transport import Transport
from controller.model.resources import Connection
from tests.conftest import lacking
from tests.contract.transports.private_sshd import SSHD, PrivateSshd, make_key

SSH = ("fabric", "openssh")
SANDBOX_CONFIG = os.environ.get("SANDBOX_SSH_CONFIG")


@dataclass(frozen=True)
class Client:
    """What a person at this end has: a key, known hosts, and an SSH configuration."""

    directory: Path
    key: Path
    known_hosts: Path
    ssh_config: Path

    def connection(self, transport: str, **fields: object) -> Connection:
        """Return the connection to the host ``login`` of the configuration."""
        plain = Connection(host="login", ssh_config=str(self.ssh_config), transport=transport)
        return replace(plain, **fields)  # type: ignore[arg-type]

    def write_config(self, *servers: tuple[str, PrivateSshd], extra: str = "") -> None:
        """Name servers in the configuration; what is in ``extra`` holds for all."""
        lines = [
            f"Host {name}\n  HostName 127.0.0.1\n  Port {server.port}\n  IdentityFile {self.key}\n"
            for name, server in servers
        ]
        common = f"Host *\n  UserKnownHostsFile {self.known_hosts}\n  GlobalKnownHostsFile /dev/null\n{extra}"
        self.ssh_config.write_text("".join(lines) + common)
        self.known_hosts.write_text("".join(server.known_line for _, server in servers))


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tester's own agent and configuration out of it."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


@pytest.fixture(scope="session")
def need_sshd() -> None:
    if SSHD.exists() and shutil.which("ssh"):
        return
    message = "OpenSSH's sshd is missing; install it with: apt-get install openssh-server"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory with a short path: sockets are put in it."""
    with tempfile.TemporaryDirectory(prefix="t-") as name:
        yield Path(name)


@pytest.fixture
def client(directory: Path) -> Client:
    return Client(directory, make_key(directory / "id"), directory / "known_hosts", directory / "ssh_config")


@pytest.fixture
def start_sshd(need_sshd: None, directory: Path, client: Client) -> Iterator[Callable[..., PrivateSshd]]:
    """Start servers: ``start_sshd(name, extra=...)``."""
    servers: list[PrivateSshd] = []

    def start(name: str = "login", *, extra: str = "") -> PrivateSshd:
        server = PrivateSshd(directory / name, authorized=client.key, extra=extra)
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def server(start_sshd: Callable[..., PrivateSshd], client: Client) -> PrivateSshd:
    """The login node, known to the client."""
    server = start_sshd()
    client.write_config(("login", server))
    return server


@pytest.fixture
def opened() -> Iterator[Callable[..., Transport]]:
    """Open transports that are closed when the test ends."""
    with ExitStack() as stack:

        def open_one(connection: Connection | None, *, connect_timeout_s: int = 15) -> Transport:
            transport = open_transport(connection, connect_timeout_s=connect_timeout_s)
            stack.callback(transport.close)
            return transport

        yield open_one


SANDBOXES = [pytest.param(f"sandbox-{name}", marks=pytest.mark.sandbox) for name in SSH]


@pytest.fixture(params=["local", *SSH, *SANDBOXES])
def transport(request: pytest.FixtureRequest, opened: Callable[..., Transport]) -> Transport:
    """Every transport; the SSH ones to a server of ours and to the sandbox."""
    kind = str(request.param)
    if kind == "local":
        return opened(None)
    if kind.startswith("sandbox-"):
        if SANDBOX_CONFIG is None:
            lacking("SANDBOX_SSH_CONFIG is not set: deploy/sandbox up")
        name = kind.removeprefix("sandbox-")
        return opened(Connection(host="sandbox", ssh_config=SANDBOX_CONFIG, transport=name))
    request.getfixturevalue("server")
    return opened(request.getfixturevalue("client").connection(kind))


@pytest.fixture(params=SSH)
def ssh(request: pytest.FixtureRequest) -> str:
    """The name of each SSH transport."""
    return str(request.param)
