"""Fixtures of all tests that need a real backend: the sandbox cluster and the Docker Engine.

Outside CI a backend that is missing is a skip that says how to get it; under ``CI=true`` it is a failure.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from tests.effort import load_profile
from tests.shards import take_sandbox

load_profile()
take_sandbox()

REGISTRY_USER = "sandbox:only-for-tests"
"""Of the sandbox's private registry: user and password."""


def pytest_configure() -> None:
    """Let the programs that tests start be interrupted, also where pytest was started to ignore that.

    A shell's ``&`` and ``nohup`` leave it ignored, and so it stays in every child that asks for nothing else.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def rows(text: str, width: int, separator: str | None = None) -> list[list[str]]:
    """Return the rows of a list of jobs; what other tests' jobs with odd names leave of theirs is passed over."""
    found = [line.split(separator) for line in text.split("\n")]
    return [row for row in found if len(row) == width and row[0][:1].isdigit()]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmJob:
    """One job as SLURM's own accounting tells of it."""

    job_id: str
    name: str
    state: str
    exit_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """The sandbox cluster, as ``deploy/sandbox env`` describes it."""

    host: str
    port: int
    user: str
    key: Path
    known_hosts: Path
    ssh_config: Path
    scratch: str
    container: str
    registry: str
    """``host:port`` of a registry that is open, by the same name for the engine and for the cluster."""
    private_registry: str
    """One that wants ``REGISTRY_USER``."""

    def ssh(self, command: str, *, check: bool = True) -> str:
        """Run a command on the login node as the ordinary user; return what it printed."""
        argv = ["ssh", "-F", str(self.ssh_config), "sandbox", command]
        done = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", timeout=60, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0 or not check, f"{command}: {done.stderr}"
        return done.stdout

    def jobs(self, instance: str) -> list[SlurmJob]:
        """Ask SLURM for the jobs of one controller, oldest first, whatever has become of them."""
        said = self.ssh("sacct -X -n -P -S now-2hours -o JobIDRaw,JobName%64,State,ExitCode")
        mine = [row for row in rows(said, 4, "|") if row[1].startswith(f"{instance}-")]
        return [SlurmJob(job_id=row[0], name=row[1], state=row[2].split()[0], exit_code=row[3]) for row in mine]

    def active(self, instance: str) -> list[str]:
        """Ask SLURM's queue for the ids of one controller's jobs that have not ended."""
        said = self.ssh("squeue -h -o '%A %j' -t PENDING,RUNNING,CONFIGURING,SUSPENDED")
        return [row[0] for row in rows(said, 2) if row[1].startswith(f"{instance}-")]

    def state_of(self, job_id: str) -> str:
        """Return one job's state in SLURM's own word; the controller process comes first, accounting is behind it."""
        said = self.ssh(f"scontrol show job -o {job_id}", check=False)
        return next((word.removeprefix("JobState=") for word in said.split() if word.startswith("JobState=")), "")


def lacking(message: str) -> NoReturn:
    """Skip for want of a backend; under CI that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    """The sandbox cluster."""
    values = {name: os.environ.get(f"SANDBOX_{name}", "") for name in _NEEDED}
    missing = [f"SANDBOX_{name}" for name, value in values.items() if not value]
    if missing or not shutil.which("ssh"):
        lacking(
            f"no sandbox cluster ({', '.join(missing) or 'ssh'} missing): "
            'deploy/sandbox up; set -a; eval "$(deploy/sandbox env)"'
        )
    found = Sandbox(
        host=values["HOST"],
        port=int(values["PORT"]),
        user=values["USER"],
        key=Path(values["KEY"]),
        known_hosts=Path(values["KNOWN_HOSTS"]),
        ssh_config=Path(values["SSH_CONFIG"]),
        scratch=values["SCRATCH"],
        container=values["CONTAINER"],
        registry=values["REGISTRY"],
        private_registry=values["PRIVATE_REGISTRY"],
    )
    argv = ["ssh", "-F", str(found.ssh_config), "-o", "ConnectTimeout=5", "sandbox", "sinfo", "-h"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        lacking(f"the sandbox cluster does not answer ({done.stderr.strip()}): deploy/sandbox up")
    return found


_NEEDED = (
    "HOST",
    "PORT",
    "USER",
    "KEY",
    "KNOWN_HOSTS",
    "SSH_CONFIG",
    "SCRATCH",
    "CONTAINER",
    "REGISTRY",
    "PRIVATE_REGISTRY",
)


@pytest.fixture(scope="session")
def engine() -> None:
    """A Docker Engine that answers."""
    done = subprocess.run(["docker", "version"], capture_output=True, text=True, timeout=60) if _docker() else None
    if done is None or done.returncode != 0:
        lacking(f"no Docker Engine answers ({done.stderr.strip() if done else 'no docker'}): deploy/engine starts one")


def _docker() -> bool:
    return shutil.which("docker") is not None
