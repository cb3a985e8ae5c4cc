"""The local scheduler goes on whoever dies."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from controller.model.conditions import TaskState
from controller.model.resources import Resources
from tests.contract.schedulers.places import Place, commands, until
from tests.unit.planning.values import task


def processes_of(root: str, verb: str) -> list[int]:
    """Processes of the scheduler in a work directory, by what they were started as."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if f"{root}/local" in words and verb in words:
            found.append(int(entry.name))
    return found


def session_of(process: int) -> list[int]:
    """All processes of a process's session."""
    session, found = os.getsid(process), []
    for entry in Path("/proc").iterdir():
        with suppress(ValueError, ProcessLookupError):
            if os.getsid(int(entry.name)) == session:
                found.append(int(entry.name))
    return found


def test_a_job_goes_on_when_its_submitter_is_killed(local: Place, tmp_path: Path) -> None:
    """Whoever submitted it and everything beneath is killed: the command runs to its end."""
    [first] = local.submit(task("first"))
    local.ends(first)
    script = tmp_path / "script"
    script.write_text(f"echo begun >{tmp_path}/begun; sleep 1; echo over >{tmp_path}/over\n")
    submit = f"bash {local.root}/bin/local-scheduler-*.sh {local.root}/local submit x 1 0 {script} 0 1; sleep 600"
    submitter = subprocess.Popen(["bash", "-c", submit], start_new_session=True, stdout=subprocess.DEVNULL)
    until("it has begun", (tmp_path / "begun").exists)
    os.killpg(submitter.pid, signal.SIGKILL)
    submitter.wait()
    until("it is over", (tmp_path / "over").exists)


def test_a_killed_runner_is_replaced_at_the_next_look(local: Place) -> None:
    """The process that starts jobs is killed: what waits is started once somebody looks again, and all of it once."""
    local.one_at_a_time()
    records = local.submit(*commands("sweep", *["sleep 0.5; echo once"] * 4))

    def killed() -> bool:
        """What a runner starts has its command line for a moment, so some are gone already."""
        found = processes_of(local.root, "runner")
        for process in found:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        return bool(found)

    until("a runner is killed", killed)
    for record in records:
        assert local.ends(record).state is TaskState.SUCCEEDED
        assert local.stdout(record) == "once\n"


def watch_of(root: str) -> list[int]:
    """The process that watches the time limit of the only job, and what it waits by."""
    watch = [process for process in processes_of(root, "execute") if os.getsid(process) != process]
    below = [
        int(entry.parent.name)
        for entry in Path("/proc").glob("[0-9]*/stat")
        if int(entry.read_text().rpartition(")")[2].split()[1]) in watch
    ]
    return watch + below


@pytest.mark.parametrize("watched", [False, True])
def test_a_killed_job_is_a_lost_node(local: Place, watched: bool) -> None:
    """Everything of a job is killed with no last act, but perhaps for the watch over its time: NODE_FAIL, and soon."""
    [mine] = local.submit(task(command="sleep 600"))
    local.reaches(mine, TaskState.RUNNING)
    until("the command runs", lambda: "started.json" in local.shell(f"ls {local.control_directory(mine)}"))
    leader = next(process for process in processes_of(local.root, "execute") if os.getsid(process) == process)
    spared = watch_of(local.root) if watched else []
    # The leader first: it would tell how the others ended.
    for process in sorted(session_of(leader), key=lambda process: process != leader):
        if process in spared:
            continue
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)

    def stated() -> set[str]:
        return {job.word for job in local.observe().accounting or () if job.job_id == mine.job_id}

    until("it is told", lambda: stated() == {"NODE_FAIL"})
    assert local.reaches(mine, TaskState.UNKNOWN, TaskState.FAILED).reason == "NodeFail"


def test_a_time_limit_ends_a_run(local: Place) -> None:
    """A run over its time limit is Failed with Timeout, and its command is gone."""
    [mine] = local.submit(task(command="sleep 600; echo over"), resources=Resources(walltime_s=1))
    assert local.ends(mine).reason == "Timeout"
    assert local.stdout(mine) == ""


def test_fifty_jobs_share_two_slots(local: Place, tmp_path: Path) -> None:
    """Fifty runs, two at a time: never more at once, each exactly once, in the order in which they came."""
    local.shell(f"mkdir -p {local.root}/local/slots && echo 2 >{local.root}/local/slots/count")
    log = tmp_path / "log"
    line = f"echo + >>{log}; sleep 0.05; echo - >>{log}"
    records = local.submit(*commands("sweep", *[line] * 50))
    for record in records:
        assert local.ends(record, deadline_s=120).state is TaskState.SUCCEEDED
    signs = log.read_text().split()
    at_once = [signs[: n + 1].count("+") - signs[: n + 1].count("-") for n in range(len(signs))]
    assert (signs.count("+"), max(at_once), min(at_once)) == (50, 2, 0)


def test_max_running_is_a_jobs_own_limit(local: Place, tmp_path: Path) -> None:
    """An array that may run one at a time does, although there are more slots."""
    local.shell(f"mkdir -p {local.root}/local/slots && echo 4 >{local.root}/local/slots/count")
    log = tmp_path / "log"
    batch = local.batch(*commands("sweep", *[f"echo + >>{log}; sleep 0.2; echo - >>{log}"] * 4))
    local.send(replace(batch, max_running=1))
    for record in list(local.records.values()):
        assert local.ends(record).state is TaskState.SUCCEEDED
    assert log.read_text().split() == ["+", "-"] * 4
