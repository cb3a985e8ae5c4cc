"""The controller's own end at a bad moment: jobs go on, the next pass finds them, nothing runs twice."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.e2e.harness import STATUS_BRANCH, Counted, Project, documents, job, wait_for

STUCK = f"""
[ "$1" = refs/heads/{STATUS_BRANCH} ] || exit 0
: >stuck
while [ ! -e go-on ]; do sleep 0.1; done
"""
"""Update hook of the remote: the push of the status takes as long as the test wants."""


def stick(project: Project, *jobs: dict[str, object]) -> subprocess.Popen[bytes]:
    """Start a pass that submits jobs and then stays in the middle of its report; return it there."""
    # The first pass writes its instance on the status branch before it submits: that one is not to be stopped.
    project.commit({"specs.yaml": documents(project.here())})
    project.one_pass()
    project.hook("update", STUCK)
    project.commit({"specs.yaml": documents(project.here(), *jobs)})
    process = project.start("reconcile", "--once")
    wait_for("the pass is in its report", (project.bare / "stuck").exists)
    return process


def test_a_killed_controller_leaves_its_job_running(served: Project, counted: Counted) -> None:
    """Killed in mid-pass, it leaves the job running; the next pass knows it again, and it runs once."""
    process = stick(served, job("one", counted.command))
    wait_for("the job runs", counted.alive)
    process.kill()
    process.wait(20)
    (served.bare / "go-on").touch()
    assert counted.alive()
    served.passes_until("it is found", lambda: served.state("one") == "Running")
    counted.release()
    served.settle()
    task = served.task("one")
    assert (task["state"], task["attempt"]) == ("Succeeded", 1)
    assert len(counted.lines) == 1


def test_two_passes_do_not_overlap(served: Project, counted: Counted) -> None:
    """A pass that meets another says so and leaves with 0, as cron wants; it does nothing."""
    process = stick(served, job("one", counted.command))
    second = served.controller("reconcile", "--once", expect=0)
    assert "another pass is under way" in second.err
    assert "nothing done" in second.err
    assert second.out == ""
    (served.bare / "go-on").touch()
    assert process.wait(60) == 0
    counted.release()
    served.settle()
    assert len(counted.lines) == 1


def test_a_lost_state_directory_is_rebuilt(project: Project, tmp_path: Path) -> None:
    """Without journal and mirror the next pass finds finished and running jobs again and submits none of them."""
    done, runs = Counted(tmp_path, "done"), Counted(tmp_path, "runs")
    done.release()
    project.commit({"specs.yaml": documents(project.here(), job("done", done.command), job("runs", runs.command))})
    project.passes_until(
        "one is done", lambda: (project.state("done"), project.state("runs")) == ("Succeeded", "Running")
    )
    before = project.task("done"), project.task("runs")
    shutil.rmtree(project.state_dir)
    project.passes_until("both are known", lambda: (project.task("done"), project.task("runs")) == before)
    runs.release()
    project.settle()
    assert project.state("runs") == "Succeeded"
    assert (len(done.lines), len(runs.lines)) == (1, 1)


def test_a_controller_killed_again_and_again_runs_each_job_once(project: Project, tmp_path: Path) -> None:
    """Killed at ten different moments of its passes, the controller still has every job run exactly once."""
    log = tmp_path / "ran"
    jobs = []
    for tenth in range(10):
        jobs.append(job(f"job-{tenth}", f"echo {tenth} >>{log}; sleep 0.3"))
        project.commit({"specs.yaml": documents(project.here(), *jobs)})
        process = project.start("reconcile", "--wait")
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.4 + tenth * 0.15)
        process.kill()
        process.wait(20)
    project.settle()
    assert [task["state"] for task in project.tasks().values()] == ["Succeeded"] * 10
    assert sorted(log.read_text().split()) == [str(tenth) for tenth in range(10)]
