"""What is published stands: a pass that knows less, or a cluster that lost its files, unsays nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Sandbox
from tests.e2e.harness import Counted, Gate, Project, documents, job

LOSS = {"results": {"metrics": {"loss": {"json": "out.json", "path": "final.loss"}}}}
WRITES_LOSS = """printf '{"final": {"loss": 0.25}}' >out.json"""


def fresh(project: Project) -> dict[str, str]:
    """Return the environment of a colleague: a state directory of their own, and no way to the cluster."""
    place = project.directory / "fresh"
    shutil.rmtree(place, ignore_errors=True)
    return {"CONTROLLER_STATE_DIR": str(place)}


def known(task: dict[str, Any]) -> dict[str, Any]:
    """Return what is known of a task but for what changes when its cluster cannot be seen."""
    return {key: value for key, value in task.items() if key not in ("state", "reason", "message")}


def there(project: Project) -> dict[str, Any]:
    """Return a cluster here that cannot be seen where PLACE is not set."""
    return project.here(workdir="$PLACE")


def test_a_pass_that_sees_no_cluster_unsays_nothing(project: Project, tmp_path: Path) -> None:
    """Ends stay with all their facts, a running job is Unknown with its own; the cluster's silence is beside it."""
    runs, here = Counted(tmp_path), {"PLACE": str(project.workdir)}
    specs = [
        job("good", WRITES_LOSS, **LOSS),
        job("bad", "echo wrong >&2; exit 3"),
        job("runs", runs.command),
        job("later", "true", suspend=True),
    ]
    project.commit({"specs.yaml": documents(there(project), *specs)})
    project.passes_until_states({"good": "Succeeded", "bad": "Failed", "runs": "Running", "later": "Waiting"}, env=here)
    before = project.tasks()
    assert before["good"]["results"] == {"loss": "0.25"}

    for env in (fresh(project), {}, fresh(project)):
        told = project.one_pass(env=env)
        assert told["actions"] == []
        after = project.tasks()
        assert {name: after[name] for name in ("good", "bad", "later")} == {
            name: before[name] for name in ("good", "bad", "later")
        }
        assert (after["runs"]["state"], after["runs"]["reason"]) == ("Unknown", "WorkdirUnset")
        assert known(after["runs"]) == known(before["runs"])
        assert project.condition("Cluster", "here", "Ready")[:2] == ("Unknown", "WorkdirUnset")
        assert project.resource("Cluster", "here")["details"]["workdir"] == str(project.workdir)
        assert "was last seen at 2" in project.condition("Job", "runs", "Ready")[2]

    runs.release()
    project.passes_until_states({"runs": "Succeeded"}, env={**fresh(project), **here})
    assert project.tasks()["good"] == before["good"]
    assert len(runs.lines) == 1


def test_what_is_published_runs_no_second_time(project: Project, counted: Counted) -> None:
    """State directory and run directories are gone: what succeeded stays, what needs it gets its results."""
    counted.release()
    first = [job("good", f"{counted.command}; {WRITES_LOSS}", **LOSS), job("bad", "exit 3")]
    project.commit({"specs.yaml": documents(project.here(), *first)})
    project.settle()
    before = project.tasks()
    shutil.rmtree(project.state_dir)
    shutil.rmtree(project.workdir / project.instance)
    needs = job("after", "printf %s ${{ needs.good.results.loss }}", needs=["good"])
    project.commit({"specs.yaml": documents(project.here(), *first, needs)})
    project.settle()
    after = project.tasks()
    assert {name: after[name] for name in before} == before
    assert project.controller("logs", "after", expect=0).out == "0.25"
    assert len(counted.lines) == 1

    # What the branch told is in the journal now: the branch alone may go as well.
    project.git("update-ref", "-d", "refs/heads/controller/status", where=project.bare)
    project.settle()
    assert {name: project.tasks()[name] for name in before} == before
    assert len(counted.lines) == 1


def test_a_spec_that_a_new_state_directory_never_saw_whole(project: Project, counted: Counted) -> None:
    """Broken since, in a field or as a file, it stays in force as it was: its run goes on, its ends stay."""
    specs = {
        "good.yaml": documents(job("good", WRITES_LOSS, **LOSS)),
        "runs.yaml": documents(job("runs", counted.command)),
        "here.yaml": documents(project.here()),
    }
    project.commit(specs)
    project.passes_until_states({"good": "Succeeded", "runs": "Running"})
    before = project.tasks()
    project.commit({"good.yaml": "kind: Job\nname: good\ncomand: x\n", "runs.yaml": "kind: [\n"})
    shutil.rmtree(project.state_dir)
    project.one_pass(expect=1)
    assert project.tasks() == before
    status, reason, message = project.condition("Job", "good", "Stalled")
    assert (status, reason) == ("True", "SpecInvalid")
    assert "the last good version stays in force" in message
    project.one_pass(expect=1, env=fresh(project))
    assert project.tasks() == before
    counted.release()
    project.passes_until_states({"runs": "Succeeded"}, expect=1)
    assert len(counted.lines) == 1


def test_a_spec_whose_earlier_versions_are_gone(project: Project) -> None:
    """The branch was rewritten and the spec is broken: no version can be had, and its ends stand as published."""
    project.commit({"here.yaml": documents(project.here()), "good.yaml": documents(job("good", WRITES_LOSS, **LOSS))})
    project.settle()
    before = project.task("good")
    project.git("checkout", "-q", "--orphan", "other")
    (project.clone / "good.yaml").write_text("kind: Job\nname: good\ncomand: x\n")
    project.git("add", "-A")
    project.git("commit", "-q", "-m", "Begin anew")
    project.git("push", "-q", "--force", "origin", "HEAD:main")
    project.git("gc", "-q", "--prune=now", where=project.bare)
    shutil.rmtree(project.state_dir)
    for _ in range(2):
        project.one_pass(expect=1)
        assert project.task("good") == before
        assert project.condition("Job", "good", "Stalled")[:2] == ("True", "SpecInvalid")


@pytest.mark.sandbox
def test_a_pass_without_a_way_to_slurm_unsays_nothing(
    project: Project,
    slurm: Callable[..., dict[str, Any]],
    sandbox: Sandbox,
    gate: tuple[Gate, Path],
) -> None:
    """A colleague's pass with a new state directory and the way cut: all stands, and nothing is submitted again."""
    way, hosts = gate
    far = slurm(connection={"port": way.port, "known_hosts": str(hosts)})
    specs = [
        job("good", WRITES_LOSS, cluster="hpc", **LOSS),
        job("bad", "exit 3", cluster="hpc"),
        job("runs", "sleep 500", cluster="hpc"),
    ]
    project.commit({"specs.yaml": documents(far, *specs)})
    project.passes_until_states({"good": "Succeeded", "bad": "Failed", "runs": "Running"})
    before = project.tasks()
    way.close()
    project.one_pass(env=fresh(project))
    after = project.tasks()
    assert (after["good"], after["bad"]) == (before["good"], before["bad"])
    assert (after["runs"]["state"], after["runs"]["reason"]) == ("Unknown", "Unreachable")
    assert known(after["runs"]) == known(before["runs"])
    assert project.condition("Job", "good", "Ready")[:2] == ("True", "Succeeded")
    assert "was last seen at" in project.condition("Job", "good", "Ready")[2]
    assert project.condition("Cluster", "hpc", "Ready")[:2] == ("Unknown", "Unreachable")
    way.open()
    project.one_pass()
    assert project.tasks() == before
    assert len(sandbox.jobs(project.instance)) == 3
