"""Every scheduler there is: the local one in a directory of its own, SLURM on the sandbox over ssh."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.clusters.connect import open_transport
from controller.clusters.local import LocalTransport
from controller.clusters.transport import Transport
from controller.model.resources import Connection
from tests.contract.schedulers.places import Place
from tests.unit.planning import values

SLURM = pytest.param("slurm", marks=pytest.mark.sandbox)


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Transport]:
    config = os.environ.get("SANDBOX_SSH_CONFIG")
    if not config:
        message = 'no sandbox: deploy/sandbox up, then eval "$(deploy/sandbox env)" with all of it exported'
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    transport = open_transport(Connection(host="sandbox", ssh_config=config, transport="openssh"))
    yield transport
    transport.close()


@dataclass(frozen=True)
class Account:
    """The sandbox past every login shell: what an administrator, or the account's owner, does there."""

    user: str
    container: str

    def shell(self, command: str, *, root: bool = False) -> str:
        """Run a command and return what it printed."""
        argv = ["docker", "exec", "--user", "root" if root else self.user, self.container, "bash", "-c", command]
        done = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, timeout=120
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def write_profile(self, text: str) -> None:
        """Give the account a login profile."""
        self.shell(f"cat >~/.bash_profile <<'PROFILE_ENDS'\n{text}\nPROFILE_ENDS")


@pytest.fixture
def account(sandbox: Transport) -> Iterator[Account]:
    """The account on the sandbox, whose profile is taken away again."""
    account = Account(os.environ["SANDBOX_USER"], os.environ["SANDBOX_CONTAINER"])
    yield account
    account.shell("rm -rf ~/.bash_profile ~/.noise ~/.programs")


def place_of(scheduler: str, transport: Transport, root: str) -> Place:
    instance = f"t{secrets.token_hex(4)}"
    connection = None if scheduler == "local" else Connection(host="sandbox")
    cluster = values.cluster("here", scheduler=scheduler, workdir=root, connection=connection)
    return Place(scheduler=scheduler, root=root, instance=instance, transport=transport, cluster=cluster)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Place]:
    """The local scheduler."""
    place = place_of("local", LocalTransport(), str(tmp_path / "work"))
    yield place
    place.clear()


@pytest.fixture
def slurm(sandbox: Transport) -> Iterator[Place]:
    """SLURM."""
    root = f"{os.environ['SANDBOX_SCRATCH']}/contract/{secrets.token_hex(4)}"
    place = place_of("slurm", sandbox, root)
    yield place
    place.clear()


@pytest.fixture(params=["local", SLURM])
def place(request: pytest.FixtureRequest) -> Place:
    """A cluster of each scheduler."""
    chosen: Place = request.getfixturevalue(request.param)
    return chosen
