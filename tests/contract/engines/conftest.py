"""Every engine there is: Docker's own, and Podman by the same API on a socket and a storage of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.containers.engine import Engine
from tests.conftest import lacking
from tests.contract.engines.benches import BASE, RECIPE, Bench

PODMAN = pytest.param("podman", marks=pytest.mark.docker)
DOCKER = pytest.param("docker", marks=pytest.mark.docker)

_CONFIGURATION = """\
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
[containers]
netns = "host"
"""
_POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}\n'


@pytest.fixture(scope="session")
def base(engine: None) -> Iterator[str]:
    """The image that all others here are built from, on the Docker Engine."""
    argv = ["docker", "build", "--quiet", "--tag", BASE, "-"]
    legacy = {**os.environ, "DOCKER_BUILDKIT": "0"}
    made = subprocess.run(argv, input=RECIPE, capture_output=True, text=True, env=legacy, timeout=300)
    assert made.returncode == 0, made.stderr
    yield BASE
    subprocess.run(["docker", "image", "rm", "--no-prune", BASE], capture_output=True, timeout=60)


@pytest.fixture(scope="session")
def podman(base: str) -> Iterator[str]:
    """Start Podman on a socket; everything that it keeps is in a directory of ours. The base is Docker's."""
    if shutil.which("podman") is None:
        lacking("no podman: apt-get install podman")
    with tempfile.TemporaryDirectory(prefix="podman-", ignore_cleanup_errors=True) as name:
        place = Path(name)
        (place / "containers.conf").write_text(_CONFIGURATION)
        (place / "policy.json").write_text(_POLICY)
        own = {"CONTAINERS_CONF": str(place / "containers.conf"), "TMPDIR": name}
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("DOCKER_", "CONTAINER"))}
        argv = ["podman", "--root", f"{name}/root", "--runroot", f"{name}/run", "--tmpdir", f"{name}/tmp"]
        argv += ["--storage-driver", "vfs"]
        if shutil.which("crun") is None and shutil.which("runc"):
            argv += ["--runtime", "runc"]
        (place / "tmp").mkdir()
        save = subprocess.Popen(["docker", "save", BASE], stdout=subprocess.PIPE)
        load = subprocess.run(
            [*argv, "load", "--signature-policy", str(place / "policy.json")],
            stdin=save.stdout,
            capture_output=True,
            text=True,
            env=kept | own,
            timeout=300,
        )
        save.wait(60)
        assert load.returncode == 0, load.stderr
        socket, log = place / "podman.sock", place / "service.log"
        with log.open("wb") as said:
            service = subprocess.Popen(
                [*argv, "system", "service", "--time=0", f"unix://{socket}"],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=kept | own,
            )
        deadline = time.monotonic() + 30
        while not socket.exists():
            assert service.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
        try:
            yield f"unix://{socket}"
        finally:
            service.terminate()
            service.wait(30)
            subprocess.run([*argv, "system", "reset", "--force"], env=kept | own, capture_output=True, timeout=120)


@pytest.fixture(params=[DOCKER, PODMAN])
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """An engine of each kind, and an instance that no other test has."""
    if request.param == "podman":
        monkeypatch.setenv("DOCKER_HOST", request.getfixturevalue("podman"))
    else:
        request.getfixturevalue("base")
    bench = Bench(kind=request.param, engine=Engine(), instance=f"t{secrets.token_hex(4)}")
    yield bench
    bench.clear()
