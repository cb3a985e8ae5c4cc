"""What keeps running jobs safe from a bad commit: a spec that cannot be read, a commit that would end too much."""

from __future__ import annotations

from tests.e2e.harness import Counted, Project, condition, documents, job


def test_a_spec_that_cannot_be_read_changes_nothing_that_runs(project: Project, counted: Counted) -> None:
    """A file that stops parsing stalls its own job, with the place, and leaves its run alone; others carry on."""
    project.commit({"cluster.yaml": documents(project.here()), "a.yaml": documents(job("runs", counted.command))})
    project.passes_until("it runs", lambda: project.state("runs") == "Running" and counted.lines)
    before = project.task("runs")

    broken = "kind: Job\nname: runs\ncluster: here\ncommand: [true\n"
    project.commit({"a.yaml": broken, "b.yaml": documents(job("other", "true"))})
    ran = project.controller("reconcile", "--once", expect=1)
    assert "a.yaml:" in ran.err
    assert counted.alive()
    assert project.task("runs") == before
    status, reason, message = project.condition("Job", "runs", "Stalled")
    assert (status, reason) == ("True", "SpecInvalid")
    assert message.startswith("a.yaml:")
    assert "the last good version stays in force" in message
    project.passes_until("the other is done", lambda: project.state("other") == "Succeeded", expect=1)

    project.commit({"a.yaml": documents(job("runs", counted.command))})
    counted.release()
    project.settle()
    after = project.task("runs")
    assert (after["state"], after["job_id"]) == ("Succeeded", before["job_id"])
    assert len(counted.lines) == 1
    assert project.condition("Job", "runs", "Stalled")[0] == "False"


def test_a_commit_that_would_cancel_much_waits_for_a_word(project: Project, counted: Counted) -> None:
    """Removing twelve active jobs at once cancels none of them until a commit says ``Controller-Approve: yes``."""
    names = [f"job-{n:02}" for n in range(12)]
    jobs = documents(*(job(name, counted.command) for name in names))
    project.commit({"cluster.yaml": documents(project.here()), "jobs.yaml": jobs})
    project.passes_until("some run", lambda: counted.lines)

    project.commit({"jobs.yaml": None}, "Remove all")
    plan = project.controller("plan", expect=1)
    assert "MassCancel" in plan.out
    ran = project.controller("reconcile", "--once", expect=0)
    assert "held back: MassCancel" in ran.err
    assert "Controller-Approve: yes" in ran.err
    assert counted.alive()
    assert sorted(project.tasks()) == names
    assert {task["state"] for task in project.tasks().values()} == {"Running", "Queued"}
    held = [item for item in project.resources().values() if item["kind"] == "Job"]
    assert {condition(item, "Stalled")[:2] for item in held} == {("True", "MassCancel")}

    project.commit({}, "Remove all, really\n\nController-Approve: yes")
    project.passes_until("all are gone", lambda: project.names() == ["Cluster/here"])
    assert not counted.alive()
    assert not list((project.workdir / "local" / "queue").iterdir())
