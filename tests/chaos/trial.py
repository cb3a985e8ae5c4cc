"""A trial: a controller that dies and comes back until all is done, and the count of what really happened."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.sites import Site
from tests.e2e.harness import COMMAND, Project, documents, job

PATIENCE_S = 150.0
SELECTED = ("-o", "json")


@dataclass
class Trial:
    """One project, the site its jobs run on, and everything that is known to have been submitted."""

    project: Project
    site: Site
    killed: int = 0
    """How often the controller died by SIGKILL."""
    log: list[str] = field(default_factory=list)
    """What each of its processes said."""

    @property
    def failpoints(self) -> Path:
        """Directory whose sub-directories arm the failpoints of the controller's own process."""
        return self.project.directory / "failpoints"

    def arm(self, name: str) -> None:
        """Have the controller end at one of its own failpoints."""
        (self.failpoints / name).mkdir(parents=True)

    def armed(self, name: str) -> bool:
        """Whether it has not been there."""
        return (self.failpoints / name).exists()

    def commit(self, *specs: Mapping[str, Any], cluster: Mapping[str, Any] | None = None, **files: str) -> None:
        """Push the cluster with these specs, and files."""
        named = {name.replace("__", "/"): text for name, text in files.items()}
        # A file holds a thousand documents at most.
        for start in range(0, len(specs), 500):
            named[f"specs-{start}.yaml"] = documents(*specs[start : start + 500])
        self.project.commit({"cluster.yaml": documents(cluster or self.site.cluster()), **named})

    def counted(self, name: str, more: str = "", **fields: Any) -> dict[str, Any]:
        """Return the spec of a job whose command counts itself, then does ``more``."""
        return job(name, self.site.counting(more), cluster="there", **fields)

    def start(self, *argv: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start the controller with its failpoints armed."""
        return self.project.start(*argv, env={"CONTROLLER_FAILPOINTS": str(self.failpoints), **(env or {})})

    def converge(self, *, patience_s: float = PATIENCE_S) -> dict[str, Any]:
        """Run ``controller reconcile --wait``, again each time it dies, until it ends; return its last word."""
        deadline = time.monotonic() + patience_s
        while True:
            ran = self._wait(deadline)
            if ran.returncode != -signal.SIGKILL:
                break
            self.killed += 1
        assert ran.returncode in (0, 1), f"ended with {ran.returncode}:\n{self.said()}"
        found: dict[str, Any] = json.loads(ran.stdout)
        assert not found["in_progress"], f"not settled within {patience_s:.0f} s:\n{self.said()}\n{self.states()}"
        return found

    def _wait(self, deadline: float) -> subprocess.CompletedProcess[str]:
        left = max(5, round(deadline - time.monotonic()))
        ran = subprocess.run(
            [COMMAND, "reconcile", "--wait", "--timeout", f"{left}s", "--verbose", *SELECTED],
            cwd=self.project.directory,
            env=self.project.environment({"CONTROLLER_FAILPOINTS": str(self.failpoints)}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=left + 120,
        )
        self.log.append(ran.stderr)
        assert "Traceback" not in ran.stderr, ran.stderr
        return ran

    def kill_at_random(self, chance: random.Random, *, times: int, longest_s: float) -> None:
        """Let passes run and kill them, each at a moment drawn by chance; stop early when one ends by itself."""
        for _ in range(times):
            process = self.start("reconcile", "--wait")
            try:
                process.wait(chance.uniform(0.3, longest_s))
                return
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(20)
                self.killed += 1

    def said(self) -> str:
        """Return what the controller said on standard error, process by process."""
        return "\n--- started again ---\n".join(text[-6000:] for text in self.log)

    def tasks(self) -> dict[str, dict[str, Any]]:
        """Return every task by id as ``controller status`` tells of it."""
        listed = self.project.controller("status", "-o", "json", expect=0).json
        return {task["id"]: task for item in listed for task in item.get("tasks") or ()}

    def states(self) -> dict[str, str]:
        """Return the state of every task by id."""
        return {name: task["state"] for name, task in self.tasks().items()}

    def executions(self) -> Counter[str]:
        """Return how often each run's command was executed."""
        return Counter(self.site.executions())

    def assert_once(self, names: Sequence[str]) -> None:
        """Every one of these jobs has succeeded, executed once in one run, and nothing else was executed."""
        states, executions = self.states(), self.executions()
        wrong = {name: states.get(name) for name in names if states.get(name) != "Succeeded"}
        assert not wrong, f"not Succeeded: {wrong}\n{self.said()}"
        twice = {run: count for run, count in executions.items() if count != 1}
        assert not twice, f"executed more than once: {twice}\n{self.said()}"
        by_job = Counter(run.partition("/")[0] for run in executions)
        assert by_job == Counter(names), f"lost or too many: {by_job - Counter(names)}, {Counter(names) - by_job}"

    def assert_nothing_cancelled(self) -> None:
        """The scheduler knows of no cancelled job of this controller."""
        cancelled = [job for job in self.site.jobs(self.project.instance) if job.state == "CANCELLED"]
        assert not cancelled, f"{cancelled}\n{self.said()}"

    def passes_until(self, what: str, condition: Callable[[], Any], *, deadline_s: float = 90) -> Any:
        """Run single passes until a condition holds."""
        return self.project.passes_until(what, condition, deadline_s=deadline_s)

    def close(self) -> None:
        """End all that was started."""
        self.project.close()
        self.site.end(self.project.instance)
