"""Every scheduler there is: the local one in a directory of its own, SLURM on the sandbox over ssh."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
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


def place_of(scheduler: str, transport: Transport, root: str) -> Place:
    instance = f"t{secrets.token_hex(4)}"
    cluster = values.cluster("here", scheduler=scheduler, workdir=root, connection=None)
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
