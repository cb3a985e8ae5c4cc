"""A lab whose cluster is the sandbox, with SLURM."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.chaos.sites import There
from tests.conftest import Sandbox
from tests.e2e.harness import documents
from tests.life.lab import Lab


class SlurmLab(Lab):
    """As a ``Lab``, on the sandbox."""

    def __init__(self, directory: Path, sandbox: Sandbox) -> None:
        super().__init__(directory)
        self.there = There(sandbox, f"life-{uuid.uuid4().hex[:8]}")
        self.gate = f"{self.there.workdir}.go"

    def specs(self, *specs: Mapping[str, Any], clusters: Sequence[Mapping[str, Any]] = ()) -> dict[str, str]:
        """Return the files of the cluster and these specs."""
        return {"cluster.yaml": documents(*(clusters or [self.there.cluster()])), "jobs.yaml": documents(*specs)}

    def counting(self, more: str = "") -> str:
        """Return a command that counts itself over there, then does ``more``."""
        return self.there.counting(more)

    def queued(self, name: str) -> dict[str, Any]:
        """Return a job that SLURM keeps waiting until ``release``."""
        return self.quick(name, resources={"extra": ["--hold"]})

    def release(self) -> None:
        """Let the long jobs end, and those start that are held."""
        self.there.shell(f"touch {self.gate}; squeue -h -t PD -o %A | xargs -r scontrol release", check=False)

    def executions(self) -> Counter[str]:
        """Return how often each job's command was executed, whoever asked for it."""
        return Counter(run.partition("/")[0] for run in self.there.executions())

    def cancelled(self) -> list[str]:
        """Return the jobs that SLURM has seen cancelled."""
        return [job.name for job in self.there.jobs(self.instance) if job.state.startswith("CANCEL")]

    def running(self) -> int:
        """Return how many jobs SLURM has running."""
        return len([job for job in self.there.queue(self.instance) if job.state == "RUNNING"])

    def _delete(self, patterns: list[str]) -> None:
        self.there.shell(f"cd {self.there.workdir} && rm -rf {' '.join(patterns)}")

    @property
    def instance(self) -> str:
        """The only one in the work directory; the version before has no record of it."""
        found = self.there.shell(f"cd {self.there.workdir} && ls -d */submissions", check=False).split()
        [name] = [each.partition("/")[0] for each in found]
        return name

    def close(self) -> None:
        """End what was started."""
        self.release()
        for person in self.people:
            person.close()
        self.there.end(self.instance)
        self.there.shell(f"rm -rf {self.there.workdir} {self.there.workdir}.*", check=False)
