"""What follows from a commit that changes, removes or suspends what runs, on SLURM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Sandbox
from tests.e2e.harness import Project, documents, job, wait_for

pytestmark = [pytest.mark.sandbox, pytest.mark.usefixtures("limited")]
Slurm = Callable[..., dict[str, Any]]
LONG = "sleep 500"


def start(project: Project, slurm: Slurm, *jobs: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Commit jobs and run passes until all of them run; return their tasks by job."""
    project.commit({"cluster.yaml": documents(slurm()), "jobs.yaml": documents(*jobs)})
    names = [item["name"] for item in jobs]
    project.passes_until("all run", lambda: all(project.state(name) == "Running" for name in names))
    return {name: project.task(name) for name in names}


def ended_as(sandbox: Sandbox, job_id: str, state: str) -> None:
    wait_for(f"job {job_id} {state}", lambda: sandbox.state_of(job_id) == state, deadline_s=30)


def test_a_changed_spec_replaces_the_run_or_lets_it_finish(project: Project, slurm: Slurm, sandbox: Sandbox) -> None:
    """A new digest cancels the old run and starts another; with ``on_change: finish`` the old one goes on."""
    marker = f"{slurm()['workdir']}/{project.instance}-finish"
    waits = f"while [ ! -e {marker} ]; do sleep 0.2; done"
    before = start(
        project,
        slurm,
        job("replaced", LONG, cluster="hpc"),
        job("finishing", waits, cluster="hpc", on_change="finish"),
    )
    project.commit(
        {
            "jobs.yaml": documents(
                job("replaced", f"{LONG}; true", cluster="hpc"),
                job("finishing", f"{waits}; echo changed", cluster="hpc", on_change="finish"),
            )
        }
    )
    project.passes_until("the new one runs", lambda: project.state("replaced") == "Running")
    after = project.task("replaced")
    assert after["digest"] != before["replaced"]["digest"]
    assert after["job_id"] != before["replaced"]["job_id"]
    ended_as(sandbox, before["replaced"]["job_id"], "CANCELLED")
    assert sandbox.state_of(after["job_id"]) == "RUNNING"

    waiting = project.task("finishing")
    assert (waiting["state"], waiting["reason"]) == ("Waiting", "PreviousRunActive")
    assert "on_change: finish" in waiting["message"]
    assert sandbox.state_of(before["finishing"]["job_id"]) == "RUNNING"
    sandbox.ssh(f"touch {marker}")
    project.passes_until("the changed one is done", lambda: project.state("finishing") == "Succeeded")
    ended_as(sandbox, before["finishing"]["job_id"], "COMPLETED")
    assert project.controller("logs", "finishing", expect=0).out == "changed\n"


def test_a_removed_spec_cancels_the_run_or_keeps_it(project: Project, slurm: Slurm, sandbox: Sandbox) -> None:
    """Removing a job's spec ends its run; with ``on_remove: keep`` the run goes on. Both leave the status at last."""
    before = start(project, slurm, job("gone", LONG, cluster="hpc"), job("kept", LONG, cluster="hpc", on_remove="keep"))
    project.commit({"jobs.yaml": None})
    project.passes_until("the cancelled one is gone", lambda: "Job/gone" not in project.names())
    ended_as(sandbox, before["gone"]["job_id"], "CANCELLED")
    assert sandbox.state_of(before["kept"]["job_id"]) == "RUNNING"
    status, reason, message = project.condition("Job", "kept", "Ready")
    assert (status, reason) == ("False", "Removed")
    assert "no longer in the repository" in message
    sandbox.ssh(f"scancel {before['kept']['job_id']}")
    project.passes_until("nothing is left of it", lambda: project.names() == ["Cluster/hpc"])


def test_a_suspended_job_waits(project: Project, slurm: Slurm, sandbox: Sandbox) -> None:
    """``suspend: true`` submits nothing and says who asked for that; taken away, the job runs."""
    project.commit({"specs.yaml": documents(slurm(), job("later", "true", cluster="hpc", suspend=True))})
    project.settle()
    task = project.task("later")
    assert (task["state"], task["reason"], task["message"]) == (
        "Waiting",
        "Suspended",
        f"suspended in specs.yaml:{_line(project, 'kind: Job')}",
    )
    assert sandbox.jobs(project.instance) == []
    project.commit({"specs.yaml": documents(slurm(), job("later", "true", cluster="hpc"))})
    project.settle()
    assert project.state("later") == "Succeeded"


def _line(project: Project, text: str) -> int:
    return (project.clone / "specs.yaml").read_text().splitlines().index(text) + 1
