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


def test_options_that_exclude_each_other_are_said_at_once(project: Project, slurm: Slurm, sandbox: Sandbox) -> None:
    """A default memory beside --mem-per-cpu: SLURM's words and a remedy after one pass, nothing "Progressing"."""
    cluster = slurm()
    cluster["defaults"] = {**cluster["defaults"], "memory": "64M"}

    def specs(*extra: str) -> dict[str, str]:
        spec = job("both", "true", cluster="hpc", resources={"extra": list(extra)})
        return {"specs.yaml": documents(cluster, spec)}

    project.commit(specs("--mem-per-cpu=100M"))
    project.one_pass(expect=1)
    task = project.task("both")
    assert (task["state"], task["reason"]) == ("Waiting", "OptionsRejected")
    assert "mutually exclusive" in task["message"]
    assert "resources.memory becomes --mem" in task["message"]
    assert project.condition("Job", "both", "Stalled")[:2] == ("True", "OptionsRejected")
    project.commit(specs())
    project.settle()
    assert project.state("both") == "Succeeded"
    assert [record.state for record in sandbox.jobs(project.instance)] == ["COMPLETED"]


def test_a_job_that_can_never_start_is_said_to_be_so(project: Project, slurm: Slurm, sandbox: Sandbox) -> None:
    """More time than the partition allows is accepted and waits for ever: Stalled, and not cancelled."""

    def specs(time: str) -> dict[str, str]:
        return {"specs.yaml": documents(slurm(), job("long", "true", cluster="hpc", resources={"time": time}))}

    project.commit(specs("40d"))
    project.passes_until("SLURM says why", lambda: project.task("long")["reason"] == "PartitionTimeLimit")
    task = project.task("long")
    assert task["state"] == "Queued"
    for words in ("it can never start as asked", "resources.time", "controller rerun long"):
        assert words in task["message"]
    assert project.condition("Job", "long", "Stalled")[:2] == ("True", "PartitionTimeLimit")
    assert project.planned() == []
    (record,) = sandbox.jobs(project.instance)
    assert record.state == "PENDING"

    # What the message says helps.
    project.commit(specs("5m"))
    env = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org"}
    env |= {"GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.org"}
    project.controller("rerun", "long", expect=0, env=env)
    project.settle()
    assert project.state("long") == "Succeeded"


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
