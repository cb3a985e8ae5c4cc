"""Jobs that fail and jobs that the scheduler does not take, on SLURM: each says why, and what helps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Sandbox
from tests.e2e.conftest import Limited
from tests.e2e.harness import Project, documents, job

pytestmark = pytest.mark.sandbox
Slurm = Callable[..., dict[str, Any]]


def test_a_job_that_fails_says_how(project: Project, slurm: Slurm, sandbox: Sandbox) -> None:
    """Exit code, end of standard error and reason are in the status; nothing is tried again by itself."""
    command = "echo fine; echo 'cannot open data.csv' >&2; exit 3"
    project.commit({"specs.yaml": documents(slurm(), job("bad", command, cluster="hpc"))})
    project.settle()
    task = project.task("bad")
    assert (task["state"], task["reason"], task["exit_code"]) == ("Failed", "ExitCode", 3)
    assert task["message"] == "the command ended with exit code 3"
    assert task["stderr_tail"] == "cannot open data.csv\n"
    assert project.condition("Job", "bad", "Stalled")[:2] == ("True", "ExitCode")
    assert project.controller("logs", "bad", "--stderr", expect=0).out == "cannot open data.csv\n"
    assert "cannot open data.csv" in project.controller("status", "bad", expect=0).out
    (told,) = project.status_file("Job", "bad")["tasks"]
    assert (told["state"], told["exit_code"], told["stderr_tail"]) == ("Failed", 3, "cannot open data.csv\n")
    assert project.planned() == []
    (record,) = sandbox.jobs(project.instance)
    assert (record.state, record.exit_code) == ("FAILED", "3:0")


def test_a_wrong_account_is_said_and_mended_at_once(project: Project, slurm: Slurm, sandbox: Sandbox) -> None:
    """SLURM's refusal stalls the job with a remedy; a right account submits it at once, its digest unchanged."""

    def specs(account: str) -> dict[str, str]:
        spec = job("paid", "true", cluster="hpc", resources={"account": account})
        return {"specs.yaml": documents(slurm(), spec, job("other", "true", cluster="hpc"))}

    project.commit(specs("nobody"))
    ran = project.controller("reconcile", "--once", expect=1)
    assert "AccountRejected" in ran.err
    task = project.task("paid")
    assert (task["state"], task["reason"]) == ("Waiting", "AccountRejected")
    assert "sacctmgr show assoc" in task["message"]
    assert project.condition("Job", "paid", "Stalled")[:2] == ("True", "AccountRejected")
    assert project.planned() == []

    digest = task["digest"]
    project.commit(specs("lab"))
    assert project.planned() == ["submit"]
    project.settle()
    task = project.task("paid")
    assert (task["state"], task["digest"]) == ("Succeeded", digest)
    assert project.state("other") == "Succeeded"
    assert [record.state for record in sandbox.jobs(project.instance)] == ["COMPLETED", "COMPLETED"]


def test_a_submit_limit_is_waited_for(limited: Limited, sandbox: Sandbox) -> None:
    """Eight jobs under a QOS that takes five at a time all succeed; being over the limit is a wait, not a failure."""
    waiting = [task for task in limited.first.values() if task["state"] == "Waiting"]
    assert (len(limited.first), len(waiting), limited.submitted) == (8, 3, 5)
    for task in waiting:
        assert task["reason"] == "SubmitLimit"
        assert "QOS" in task["message"]
    assert limited.rest.wait(240) == 0, limited.project.said()
    assert [task["state"] for task in limited.project.tasks().values()] == ["Succeeded"] * 8
    assert [record.state for record in sandbox.jobs(limited.project.instance)] == ["COMPLETED"] * 8
