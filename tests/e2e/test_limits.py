"""Limits that a cluster's spec sets hold for what was submitted, whatever became of it."""

from __future__ import annotations

from tests.e2e.harness import Project, documents, job


def started(project: Project) -> list[float]:
    """When the local scheduler was given each job, by its own record."""
    return sorted(place.stat().st_mtime for place in (project.workdir / project.instance).glob("submissions/*/submit"))


def test_a_minute_has_no_more_submissions_than_the_limit(project: Project) -> None:
    """Jobs of `true` are over at once and count all the same, also in the next process and without a journal."""
    cluster = project.here(limits={"submit_per_minute": 2})
    project.commit({"specs.yaml": documents(cluster, *(job(name, "true") for name in ("a", "b", "c")))})
    project.passes_until("two have gone", lambda: len(started(project)) == 2)
    project.passes_until("both are over", lambda: [project.state(name) for name in "ab"] == ["Succeeded"] * 2)
    assert project.task("c")["reason"] == "SubmitRate"
    assert "limits.submit_per_minute (2) is reached; it goes on at 20" in project.task("c")["message"]

    for each in project.state_dir.glob("journal.sqlite3*"):
        each.unlink()
    project.one_pass()
    project.one_pass()
    assert len(started(project)) == 2, "nobody remembers, and more was submitted"

    project.settle()
    assert project.state("c") == "Succeeded"
    first, _, third = started(project)
    assert third - first >= 59, "the third went within the minute of the first"
