"""Where the commands of a trial run: this machine, or the sandbox. What is asked here goes past the controller.

A ``Site`` gives the spec of its cluster, the counter that commands append to, the directories that arm failpoints in
the scripts over there, and the scheduler's own account of the jobs. Nothing here uses the controller's code.
"""

from __future__ import annotations

import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import Sandbox, rows

WRAPPERS = ".chaos-bin"
"""Directory in the home of the sandbox's user that its log-in profile puts first in PATH."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job by the scheduler's own record."""

    job_id: str
    name: str
    state: str


class Site(ABC):
    """One cluster with a work directory of its own."""

    workdir: str

    @abstractmethod
    def shell(self, command: str, *, check: bool = True) -> str:
        """Run a command over there as the user whose jobs they are; return what it printed."""

    @abstractmethod
    def cluster(self, **fields: Any) -> dict[str, Any]:
        """Return the spec of the cluster, named ``there``."""

    @abstractmethod
    def jobs(self, instance: str) -> list[Job]:
        """Return every job that one controller ever submitted."""

    @abstractmethod
    def end(self, instance: str) -> None:
        """End what is left of one controller's jobs."""

    @property
    def counter(self) -> str:
        """File that commands append to, outside of all that the controller touches."""
        return f"{self.workdir}.counter"

    def counting(self, more: str = "") -> str:
        """Return a command that writes its run's directory to the counter, then does ``more``."""
        return f'printf "%s\\n" "$CONTROLLER_RUN_DIR" >>{self.counter}\n{more}'.strip()

    def executions(self) -> list[str]:
        """Return a run id for each time that a command was executed, in order."""
        said = self.shell(f"cat {self.counter} 2>/dev/null", check=False)
        return [line.partition("/runs/")[2] for line in said.splitlines()]

    def arm(self, name: str) -> None:
        """Have the scripts over there end at a failpoint."""
        self.shell(f"mkdir -p {self.workdir}/.failpoints/{name}")

    def armed(self, name: str) -> bool:
        """Whether a failpoint still waits to be reached."""
        return "yes" in self.shell(f"[ -d {self.workdir}/.failpoints/{name} ] && echo yes", check=False)


class Here(Site):
    """This machine, with the local scheduler."""

    def __init__(self, workdir: Path) -> None:
        self.workdir = str(workdir)

    def shell(self, command: str, *, check: bool = True) -> str:
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 0 or not check, f"{command}: {done.stderr}"
        return done.stdout

    def cluster(self, **fields: Any) -> dict[str, Any]:
        own = {"scheduler": "local", "containers": "none", "workdir": self.workdir, "limits": WIDE}
        return {"kind": "Cluster", "name": "there", **own, **fields}

    def jobs(self, instance: str) -> list[Job]:
        lines = self.shell(f"cat {self.workdir}/local/ended 2>/dev/null", check=False).splitlines()
        rows = [line.split("|") for line in lines]
        return [Job(job_id=r[0], name=r[2], state=r[3]) for r in rows if r[2].startswith(f"{instance}-")]

    def end(self, instance: str) -> None:
        local = f"{self.workdir}/local"
        self.shell(
            f"rm -rf {local}/queue; "
            f"for place in {local}/running/*/pid; do read -r pid rest <$place && kill -KILL -- -$pid; done",
            check=False,
        )


class There(Site):
    """The sandbox, with SLURM, reached over ssh by the controller and through the Docker Engine by the test."""

    def __init__(self, sandbox: Sandbox, name: str) -> None:
        self.sandbox = sandbox
        self.workdir = f"{sandbox.scratch}/{name}"

    def shell(self, command: str, *, check: bool = True) -> str:
        return self._in_container("--user", self.sandbox.user, command=command, check=check)

    def root(self, command: str, *, check: bool = True) -> str:
        """Run a command over there as root."""
        return self._in_container(command=command, check=check)

    def _in_container(self, *options: str, command: str, check: bool) -> str:
        argv = ["docker", "exec", "--workdir", "/", *options, self.sandbox.container, "bash", "-c", command]
        done = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, timeout=180
        )
        assert done.returncode == 0 or not check, f"{command}: {done.stderr}"
        return done.stdout

    def cluster(self, **fields: Any) -> dict[str, Any]:
        connection = {
            "host": self.sandbox.host,
            "port": self.sandbox.port,
            "user": self.sandbox.user,
            "identity_file": str(self.sandbox.key),
            "known_hosts": str(self.sandbox.known_hosts),
        }
        own = {
            "connection": connection,
            "scheduler": "slurm",
            "containers": "none",
            "workdir": self.workdir,
            "limits": WIDE,
            "defaults": {"account": "lab", "partition": "short", "time": "10m", "memory": "64M", "cpus": 1},
        }
        return {"kind": "Cluster", "name": "there", **own, **fields}

    def jobs(self, instance: str) -> list[Job]:
        said = self.shell("sacct --allocations -n -P -S now-2hours -o JobID,JobName%64,State")
        mine = [row for row in rows(said, 3, "|") if row[1].startswith(f"{instance}-")]
        recorded = {row[0]: Job(job_id=row[0], name=row[1], state=row[2].split()[0]) for row in mine}
        # Accounting lags behind slurmctld, which forgets a job only five minutes after its end.
        return list((recorded | {job.job_id: job for job in self.queue(instance)}).values())

    def queue(self, instance: str) -> list[Job]:
        """Return one controller's jobs as slurmctld has them now, ended ones among them."""
        said = rows(self.shell("squeue -h -a --states=all -o '%i %j %T'"), 3)
        return [Job(job_id=row[0], name=row[1], state=row[2]) for row in said if row[1].startswith(f"{instance}-")]

    def end(self, instance: str) -> None:
        ours = f"squeue -h -o '%A %j' | awk 'index($2, \"{instance}-\") == 1 {{print $1}}' | sort -u | xargs -r scancel"
        self.shell(ours, check=False)

    def service(self, verb: str, name: str) -> None:
        """Start, stop, restart or kill one of the cluster's services."""
        self.root(f"sandbox-service {verb} {name}")

    @contextmanager
    def wrapped(self, program: str, script: str) -> Iterator[None]:
        """Put a script before a program in the log-in PATH; the program itself is in ``$real``."""
        text = f"#!/bin/bash\nreal=$(PATH=${{PATH#*{WRAPPERS}:}} type -P {program})\n{script}\n"
        place = f"~/{WRAPPERS}/{program}"
        self.shell(f"mkdir -p ~/{WRAPPERS} && cat >{place} <<'WRAPPER_ENDS'\n{text}WRAPPER_ENDS\nchmod 755 {place}")
        try:
            yield
        finally:
            self.shell(f"rm -f {place}")

    def put_wrappers_first(self) -> None:
        """Have the log-in profile put the wrappers' directory first in PATH."""
        self.shell(f"rm -rf ~/{WRAPPERS}; echo 'PATH=$HOME/{WRAPPERS}:$PATH' >~/.bash_profile")

    def forget_wrappers(self) -> None:
        """Take all of that away."""
        self.shell(f"rm -rf ~/{WRAPPERS} ~/.bash_profile")


WIDE = {"max_queued": 100000, "submit_per_minute": 100000}
"""Limits of the controller's own that no trial reaches."""
