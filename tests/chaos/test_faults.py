"""Faults that need no particular scheduler: a wrong clock, a refused push, a job cancelled by hand, a reused number."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.test_failpoints import wait_for_file
from tests.chaos.trial import Trial
from tests.contract.remotes.servers import TOKEN, HttpGit
from tests.e2e.harness import STATUS_BRANCH, wait_for

HOUR = 3600.0
YEAR = 365 * 24 * HOUR
ROOT = Path(__file__).parents[2]


def pass_with_clock(trial: Trial, off_s: float) -> None:
    """Run one pass with a clock that is off."""
    env = trial.project.environment({"CONTROLLER_FAILPOINTS": str(trial.failpoints), "PYTHONPATH": str(ROOT)})
    argv = [sys.executable, "-m", "tests.chaos.clock", str(off_s)]
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, -9), done.stderr


def test_a_clock_that_jumps_harms_no_job(trial: Trial) -> None:
    """With a clock an hour or a year off, either way, a running job runs on, and runs once; a new one runs once too."""
    go = f"{trial.site.workdir}.go"
    runs = trial.counted("runs", wait_for_file(go))
    trial.commit(runs)
    trial.passes_until("it runs", lambda: trial.executions().total() == 1)
    for off_s in (HOUR, -HOUR, YEAR, -YEAR):
        pass_with_clock(trial, off_s)
        assert trial.states() == {"runs": "Running"}, off_s
    trial.commit(runs, trial.counted("new"))
    pass_with_clock(trial, YEAR)
    trial.site.shell(f"touch {go}")
    pass_with_clock(trial, -YEAR)
    trial.converge()
    trial.assert_once(["runs", "new"])
    trial.assert_nothing_cancelled()


@pytest.mark.parametrize("name", ["submit.try.after", "submit.sbatch.after"])
@pytest.mark.parametrize("off_s", [HOUR, -HOUR])
def test_a_clock_that_jumps_after_an_unanswered_submit(local: Trial, name: str, off_s: float) -> None:
    """The grace period after an unanswered submit may pass at once, or begin anew; the job still runs exactly once."""
    local.commit(local.counted("one"))
    local.site.arm(name)
    pass_with_clock(local, off_s)
    assert not local.site.armed(name)
    local.converge()
    local.assert_once(["one"])


def test_a_status_that_cannot_be_pushed_stops_nothing(served: Trial) -> None:
    """While a hook refuses the status branch jobs go on; the status is written once it may be."""
    project = served.project
    project.hook("update", f'if [ "$1" = refs/heads/{STATUS_BRANCH} ] && [ -e refuse ]; then echo no >&2; exit 1; fi\n')
    (project.bare / "refuse").touch()
    served.commit(served.counted("one"), served.counted("two"))

    def one_pass() -> str:
        return project.controller("reconcile", "--once", expect=1).out

    wait_for("both were executed", lambda: one_pass() and served.executions().total() == 2)
    wait_for("both are known to have succeeded", lambda: one_pass().count("Succeeded") == 2)
    assert project.status_tip() is None
    (project.bare / "refuse").unlink()
    project.one_pass()
    served.assert_once(["one", "two"])


def test_a_job_cancelled_by_hand_stays_cancelled(trial: Trial) -> None:
    """Cancelled past the controller it is Cancelled, CancelledOutside, and is not run again by itself."""
    go = f"{trial.site.workdir}.go"
    trial.commit(trial.counted("mine", wait_for_file(f"{go}.never")), trial.counted("other", wait_for_file(go)))
    trial.passes_until("both run", lambda: trial.executions().total() == 2 and trial.tasks()["mine"]["job_id"])
    cancel_by_hand(trial, trial.tasks()["mine"]["job_id"])
    trial.passes_until("it is seen", lambda: trial.states()["mine"] == "Cancelled")
    assert trial.tasks()["mine"]["reason"] == "CancelledOutside"
    assert trial.states()["other"] == "Running"
    trial.site.shell(f"touch {go}")
    trial.converge()
    shutil.rmtree(trial.project.state_dir)
    trial.converge()
    assert trial.states() == {"mine": "Cancelled", "other": "Succeeded"}
    assert sorted(trial.executions().values()) == [1, 1]


def test_a_cancellation_of_ours_is_known_as_such_after_the_database_is_lost(trial: Trial) -> None:
    """Cancelled because its spec was gone, it runs again when the spec is back, for a controller without memory too."""
    go = f"{trial.site.workdir}.go"
    keep, gone = trial.counted("keep", "true"), trial.counted("gone", wait_for_file(go))
    trial.commit(keep, gone)
    trial.passes_until("it runs", lambda: trial.executions().total() == 2 and trial.states()["gone"] == "Running")
    trial.commit(keep)
    trial.passes_until("it was cancelled", lambda: trial.states() == {"keep": "Succeeded"})
    shutil.rmtree(trial.project.state_dir)
    trial.site.shell(f"touch {go}")
    trial.commit(keep, gone)
    trial.converge()
    assert trial.states() == {"keep": "Succeeded", "gone": "Succeeded"}
    assert sorted(trial.executions().values()) == [1, 1, 1], "an attempt each, and a second one at what was cancelled"


def cancel_by_hand(trial: Trial, job_id: str) -> None:
    """Do what a person does at the command line of the scheduler."""
    if trial.site.cluster()["scheduler"] == "slurm":
        trial.site.shell(f"scancel {job_id}")
    else:
        name = trial.site.shell(f"cat {trial.site.workdir}/local/jobs/{job_id}/name").strip()
        trial.site.shell(f"bash {local_scheduler(trial)} cancel {job_id} {name}")


def local_scheduler(trial: Trial) -> str:
    """Return the local scheduler's program and home, as its first words."""
    work = trial.site.workdir
    return f"$(echo {work}/bin/local-scheduler-*.sh) {work}/local"


def forget_jobs(trial: Trial) -> None:
    """Have the local scheduler begin to count from 1 again, as after a loss of its state."""
    trial.site.shell(f"rm -rf {trial.site.workdir}/local")


def test_a_number_used_again_is_another_job(local: Trial) -> None:
    """A job that gets the number of an earlier one runs once, by its own claim; the earlier one keeps its end."""
    local.commit(local.counted("first"))
    local.converge()
    forget_jobs(local)
    local.commit(local.counted("first"), local.counted("second"))
    local.converge()
    assert [task["job_id"] for task in local.tasks().values()] == ["1", "1"]
    local.assert_once(["first", "second"])
    forget_jobs(local)
    shutil.rmtree(local.project.state_dir)
    local.commit(local.counted("first"), local.counted("second"), local.counted("third"))
    local.converge()
    local.assert_once(["first", "second", "third"])


def test_a_job_submitted_again_under_the_same_number_does_not_run(local: Trial) -> None:
    """The very job whose claim stands, submitted once more, and given its old number again, executes nothing."""
    local.commit(local.counted("one"))
    local.converge()
    forget_jobs(local)
    batch = local.site.shell(f"ls {local.site.workdir}/{local.project.instance}/submissions").strip()
    place = f"{local.site.workdir}/{local.project.instance}/submissions/{batch}"
    for number in (1, 2):
        local.site.shell(
            f"cd {place} && try={number} && scheduler_program=$(echo {local.site.workdir}/bin/*.sh) "
            f"root={local.site.workdir} && . ./submit"
        )
    wait_for("both have ended", lambda: len(local.site.jobs(local.project.instance)) == 2)
    local.assert_once(["one"])


def test_a_cancellation_spares_a_stranger_with_the_same_number(local: Trial) -> None:
    """Where the scheduler has given a lost job's number away, a cancellation does not hit the job that has it now."""
    go = f"{local.site.workdir}.go"
    local.commit(local.counted("mine", wait_for_file(f"{go}.never")))
    local.passes_until("it runs", lambda: local.states() == {"mine": "Running"} and local.executions().total() == 1)
    number = local.tasks()["mine"]["job_id"]
    local.site.end(local.project.instance)
    forget_jobs(local)
    script = f"{local.site.workdir}.stranger"
    local.site.shell(f"printf 'touch {go}.alive; {wait_for_file(go)}; touch {go}.ended\\n' >{script}")
    given = local.site.shell(f"cd / && bash {local_scheduler(local)} submit someone-else 1 0 {script} 0 x").strip()
    assert given == number
    wait_for("the stranger runs", Path(f"{go}.alive").exists)
    local.commit(local.counted("mine", "true"))
    local.passes_until("it was replaced", lambda: local.executions().total() == 2, deadline_s=120)
    local.site.shell(f"touch {go}")
    wait_for("the stranger ends by itself", Path(f"{go}.ended").exists, deadline_s=20)


def test_a_spec_that_breaks_after_a_crash_keeps_its_last_good_version(local: Trial) -> None:
    """Killed as soon as it had submitted, the controller still knows the specs by which it did."""
    go = f"{local.site.workdir}.go"
    local.commit(local.counted("one", wait_for_file(go)))
    local.arm("submit.sent")
    assert local.start("reconcile", "--once").wait(60) == -signal.SIGKILL
    local.project.commit({"cluster.yaml": "kind: [", "specs-0.yaml": "kind: ["})
    wait_for("it is seen to run", lambda: local.project.one_pass(expect=1) and local.states() == {"one": "Running"})
    local.site.shell(f"touch {go}")
    wait_for("it has ended", lambda: local.project.one_pass(expect=1) and local.states() == {"one": "Succeeded"})
    local.assert_once(["one"])


@pytest.fixture
def served(local: Trial) -> Iterator[Trial]:
    """A trial whose repository is reached over http, so that its hooks run."""
    project = local.project
    server = HttpGit(project.bare.parent)
    (project.directory / "token").write_text(TOKEN)
    project.repo = server.url(project.bare)
    project.configure(token_file=str(project.directory / "token"))
    yield local
    server.close()
