"""Projects for the end-to-end tests, and the end of everything that they have started."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Sandbox
from tests.contract.remotes.servers import TOKEN, HttpGit
from tests.e2e.harness import Counted, Gate, Project, documents, job

SESSION = uuid.uuid4().hex[:6]
MakeProject = Callable[..., Project]


@pytest.fixture(scope="session")
def session_name() -> str:
    """A word that no other session has: nothing built or run before can be taken for this one's."""
    return SESSION


@pytest.fixture(scope="session")
def make_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeProject]:
    """Make projects, each with an instance of its own; all that they have started is ended with the session."""
    with ExitStack() as running:
        count = 0

        def make(name: str) -> Project:
            nonlocal count
            count += 1
            project = Project(tmp_path_factory.mktemp(name), f"e2e-{SESSION}-{count}")
            running.callback(project.close)
            return project

        yield make


@pytest.fixture
def project(make_project: MakeProject) -> Iterator[Project]:
    """A project of one test."""
    made = make_project("project")
    yield made
    made.close()


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[Counted]:
    """A command that counts its own executions."""
    command = Counted(tmp_path)
    yield command
    command.release()


@pytest.fixture
def served(project: Project) -> Iterator[Project]:
    """A project whose repository is reached over http, so that the remote's hooks run."""
    server = HttpGit(project.bare.parent)
    (project.directory / "token").write_text(TOKEN)
    project.repo = server.url(project.bare)
    project.configure(token_file=str(project.directory / "token"))
    yield project
    server.close()


@pytest.fixture(scope="session")
def cluster_dir(sandbox: Sandbox) -> Iterator[str]:
    """A work directory on the sandbox for this session; with its end go the jobs and files that are left."""
    path = f"{sandbox.scratch}/e2e-{SESSION}"
    yield path
    ours = f"squeue -h -o '%A %j' | awk 'index($2, \"e2e-{SESSION}-\") == 1 {{print $1}}' | xargs -r scancel"
    sandbox.ssh(f"{ours}; rm -rf {path} {sandbox.scratch}/controller/e2e-{SESSION}-*", check=False)


@pytest.fixture(scope="session")
def slurm(sandbox: Sandbox, cluster_dir: str) -> Callable[..., dict[str, Any]]:
    """Return the spec of the sandbox as a cluster: ``slurm(transport="openssh", containers="none")``."""

    def spec(*, transport: str = "fabric", name: str = "hpc", **fields: Any) -> dict[str, Any]:
        connection = fields.pop("connection", {})
        return {
            "kind": "Cluster",
            "name": name,
            "connection": {
                "host": sandbox.host,
                "port": sandbox.port,
                "user": sandbox.user,
                "identity_file": str(sandbox.key),
                "known_hosts": str(sandbox.known_hosts),
                "transport": transport,
                **connection,
            },
            "scheduler": "slurm",
            "containers": "none",
            "workdir": cluster_dir,
            "defaults": {"account": "lab", "partition": "short", "time": "10m", "memory": "64M", "cpus": 1},
            **fields,
        }

    return spec


@dataclass(frozen=True, slots=True)
class Limited:
    """Eight jobs under a QOS that takes five at a time: what the first pass left, and the command that goes on."""

    project: Project
    first: dict[str, dict[str, Any]]
    submitted: int
    rest: subprocess.Popen[bytes]


@pytest.fixture(scope="session")
def limited(make_project: MakeProject, slurm: Callable[..., dict[str, Any]], sandbox: Sandbox) -> Limited:
    """Begun before the other tests on SLURM, as what is over the limit is tried again after a minute only."""
    project = make_project("limit")
    jobs = [job(f"job-{n}", "sleep 1", cluster="hpc", resources={"qos": "capped"}) for n in range(8)]
    project.commit({"specs.yaml": documents(slurm(), *jobs)})
    project.one_pass()
    first, submitted = project.tasks(), len(sandbox.jobs(project.instance))
    return Limited(project, first, submitted, project.start("reconcile", "--wait"))


@pytest.fixture
def gate(sandbox: Sandbox, tmp_path: Path) -> Iterator[tuple[Gate, Path]]:
    """A way to the sandbox's login node that can be cut, and the known_hosts that it needs."""
    gate = Gate(sandbox.host, sandbox.port)
    known = tmp_path / "known_hosts"
    key = sandbox.known_hosts.read_text().split(" ", 1)[1]
    known.write_text(f"[127.0.0.1]:{gate.port} {key}")
    gate.open()
    yield gate, known
    gate.close()


@pytest.fixture(scope="session")
def own_images(engine: None) -> Iterator[None]:
    """Take away the images of this session afterwards; the engine keeps its layers, so that the next build is short."""
    yield
    # Each label is a layer: with the image gone its parent comes to light, which carries some of them still.
    for _ in range(6):
        for image in set(_docker("image", "ls", "--quiet", "--filter", "label=controller.instance").split()):
            if f'"controller.instance": "e2e-{SESSION}-' in _docker("image", "inspect", image):
                _docker("image", "rm", "--force", "--no-prune", image)


def _docker(*argv: str) -> str:
    return subprocess.run(["docker", *argv], capture_output=True, text=True, timeout=60).stdout
