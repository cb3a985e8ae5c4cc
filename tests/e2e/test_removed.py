"""A job that is no longer asked for: its end is in the history, and what is known of it is still told."""

from __future__ import annotations

from tests.e2e.harness import Counted, Project, documents, job


def test_a_removed_job_is_still_told_of(project: Project, counted: Counted) -> None:
    """CANCELLED is in its history; status and logs answer, also when its cluster went with it."""
    runs = job("runs", f"echo begun; {counted.command}")
    done = job("done", "echo over", matrix={"k": ["1", "2"]})
    project.commit({"here.yaml": documents(project.here()), "jobs.yaml": documents(runs, done)})
    project.passes_until_states({"runs": "Running", "done/k=1": "Succeeded", "done/k=2": "Succeeded"})
    before = project.task("runs")
    removal = project.commit({"jobs.yaml": documents(job("done", "echo over", matrix={"k": ["1"]}))})
    project.settle()
    project.passes_until("it is gone", lambda: "Job/runs" not in project.names())

    rows = project.controller("history", "runs", "-o", "json", expect=0).json
    assert [row["state"] for row in rows[-2:]] == ["Cancelled", ""]
    assert (rows[-2]["reason"], rows[-2]["job_id"]) == ("SpecRemoved", before["job_id"])
    (told,) = project.controller("status", "runs", "-o", "json", expect=0).json
    (task,) = told["tasks"]
    assert (task["state"], task["job_id"], task["run_dir"]) == ("Cancelled", before["job_id"], before["run_dir"])
    assert removal[:12] in told["details"]["removed"]
    assert "no longer asked for since" in project.controller("status", "runs", expect=0).out
    assert project.controller("logs", "runs", expect=0).out == "begun\n"

    assert project.controller("logs", "done/k=2", expect=0).out == "over\n"
    (told,) = project.controller("status", "done/k=2", "-o", "json", expect=0).json
    assert [task["state"] for task in told["tasks"]] == ["Succeeded"]

    project.commit({"here.yaml": None, "jobs.yaml": None})
    project.settle()
    assert project.controller("logs", "runs", expect=0).out == "begun\n"
    assert project.controller("logs", "done/k=1", expect=0).out == "over\n"
    project.controller("status", "never", expect=2)
    assert project.names() == []
