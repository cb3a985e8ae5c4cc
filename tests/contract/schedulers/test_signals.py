"""Signals reach the user's own process, once; an end is the command's own, or the scheduler's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.model.conditions import TaskState
from controller.model.resources import Resources
from tests.contract.schedulers.places import Place, until
from tests.unit.planning.values import task

# bash itself, the command's shell, takes no notice of QUIT but by a trap.
PASSED_ON = {"HUP": 1, "QUIT": 3, "USR1": 10, "USR2": 12, "XCPU": 24}
BEGUN = "touch begun; i=0; while [ $i -lt 300 ]; do sleep 0.1 || :; i=$((i + 1)); done"
"""A command's rest that lasts half a minute."""
GONE = "grep -s '^State:.[^Z]' /proc/$(cat left)/status || echo gone"
"""Shell text that says whether a process is gone; one that is dead and not yet waited for is."""


def begun(place: Place, *jobs: str) -> None:
    """Wait until the commands of these jobs are at work."""
    for record in place.records.values():
        if record.run.job in jobs:
            path = f"{place.run_directory(record)}/begun"
            until(f"{record.run.job} has begun", lambda path=path: "y" in place.shell(f"[ -e {path} ] && echo y || :"))  # type: ignore[misc]


@pytest.mark.parametrize("signal", [*PASSED_ON, "CONT"])
def test_a_signal_to_the_batch_script_alone_reaches_the_program_once(place: Place, signal: str) -> None:
    """As ``--signal=B:USR1`` sends it: the program's trap runs once, and its own exit counts."""
    command = f"trap 'echo {signal} >>got' {signal}; kill -{signal} $PPID; sleep 1 || :; sleep 1; test -s got"
    [mine] = place.submit(task(command=command))
    done = place.ends(mine)
    assert (done.state, done.exit_code) == (TaskState.SUCCEEDED, 0), done
    assert place.shell(f"cat {place.run_directory(mine)}/got") == f"{signal}\n"


@pytest.mark.parametrize("signal", sorted(set(PASSED_ON) - {"QUIT"}))
def test_a_program_that_a_signal_ends_has_failed(place: Place, signal: str) -> None:
    """Nobody takes the signal: Failed, by the signal's name, and what comes after it in the command never runs."""
    [mine] = place.submit(task(command=f"kill -{signal} $PPID; sleep 20; echo 42 >result"))
    done = place.ends(mine)
    number = PASSED_ON[signal]
    assert (done.state, done.reason, done.exit_code) == (TaskState.FAILED, "ExitCode", 128 + number), done
    assert done.message == f"the command ended with exit code {128 + number} (signal {number}, SIG{signal})"
    assert "result" not in place.shell(f"ls {place.run_directory(mine)}")


@pytest.mark.parametrize("signal", ["TERM", "INT"])
def test_a_signal_that_asks_for_the_end_is_no_success(place: Place, signal: str) -> None:
    """The program takes it and ends well: what the run's end is, the scheduler says; nothing says Succeeded."""
    command = f"trap 'echo {signal} >>got; exit 0' {signal}; kill -{signal} $PPID; sleep 1; sleep 20; echo 42 >result"
    [mine] = place.submit(task(command=command))
    assert place.ends(mine).state is TaskState.FAILED
    assert sorted(place.shell(f"ls {place.run_directory(mine)}").split()) == ["got"]
    assert "exit.json" not in place.shell(f"ls {place.control_directory(mine)}")


def test_a_cancelled_program_takes_the_signal_once_and_has_time(place: Place) -> None:
    """The scheduler's own way to end a job: one signal to each process, and what the trap writes is there."""
    command = f"trap 'echo TERM >>got; sleep 1; echo saved >>got; exit 0' TERM; {BEGUN}"
    [mine] = place.submit(task(command=command))
    begun(place, "train")
    asked = replace(place.reaches(mine, TaskState.RUNNING), cancel_requested_at=1.0, cancel_reason="SpecRemoved")
    place.records[mine.id] = asked
    place.client().cancel([asked])
    done = place.ends(mine)
    assert (done.state, done.reason) == (TaskState.CANCELLED, "SpecRemoved")
    assert place.shell(f"cat {place.run_directory(mine)}/got") == "TERM\nsaved\n"


def test_nothing_of_a_run_outlives_its_command(place: Place) -> None:
    """What the command leaves in the background is asked to end, and ended, before the run's end is told."""
    command = (
        "(trap 'echo asked >asked; exit' TERM; while :; do sleep 0.1; done) &\n"
        "(trap '' TERM HUP; echo $PPID >parent; exec sleep 600) & echo $! >left\nsleep 1"
    )
    [mine] = place.submit(task(command=command))
    assert place.ends(mine).state is TaskState.SUCCEEDED
    directory = place.run_directory(mine)
    assert place.shell(f"cat {directory}/asked") == "asked\n"
    assert place.shell(f"cd {directory}; {GONE}") == "gone\n"


def test_what_a_cancelled_run_leaves_is_ended_too(place: Place) -> None:
    """The command ends at the signal, and what it had started in the background and ignores signals goes as well."""
    command = f"(trap '' TERM HUP; exec sleep 600) & echo $! >left; {BEGUN}"
    [mine] = place.submit(task(command=command))
    begun(place, "train")
    asked = replace(place.reaches(mine, TaskState.RUNNING), cancel_requested_at=1.0, cancel_reason="SpecRemoved")
    place.records[mine.id] = asked
    place.client().cancel([asked])
    assert place.ends(mine).state is TaskState.CANCELLED
    until("it is gone", lambda: place.shell(f"cd {place.run_directory(mine)}; {GONE}") == "gone\n")


def test_a_signal_while_the_setup_runs_ends_it(place: Place) -> None:
    """Before the command there is the setup, which has the signal: it has failed by that name, and nothing was run."""
    place.cluster = replace(place.cluster, setup="kill -USR1 $PPID; sleep 20")
    [mine] = place.submit(task(command="echo ran >ran"))
    done = place.ends(mine)
    assert (done.state, done.reason, done.exit_code) == (TaskState.FAILED, "SetupFailed", 138)
    assert "SIGUSR1" in done.message
    assert "ran" not in place.shell(f"ls {place.run_directory(mine)}")


@pytest.mark.sandbox
def test_the_scheduler_sends_a_signal_before_the_time_is_up(slurm: Place) -> None:
    """``--signal``, with and without ``B:``, and a time limit: side by side, since each takes a minute and more.

    SLURM may send the signal up to a minute early (sbatch(1)): of two minutes 45 seconds, the traps stand by then.
    """
    traps = "trap 'echo saved >>got; exit 0' USR1"
    waits = "sleep 300 & wait $!"
    cases = {
        "killed": ("B:USR1@45", "sleep 300; echo 42 >result"),
        "trapped": ("B:USR1@45", f"{traps}; {waits}; echo 42 >result"),
        "goes-on": ("B:USR1@45", "trap 'echo saved >>got' USR1; sleep 300 & wait $! || echo checked >>got; kill $!"),
        "limit": ("", "trap 'echo saved >>got; exit 0' TERM; sleep 100 & wait $! || sleep 3; echo 42 >result"),
        "ignores": ("", "trap '' TERM; sleep 600; echo 42 >result"),
    }
    for name, (option, command) in cases.items():
        extra = (f"--signal={option}",) if option else ()
        slurm.submit(task(name, command=command), resources=Resources(walltime_s=120 if option else 60, extra=extra))
    runs = {record.run.job: record for record in list(slurm.records.values())}
    done = {name: slurm.ends(record, deadline_s=300) for name, record in runs.items()}
    said = {name: slurm.shell(f"cd {slurm.run_directory(record)} && tail -n 9 * || :") for name, record in runs.items()}
    assert (done["killed"].state, done["killed"].exit_code) == (TaskState.FAILED, 138), done["killed"]
    assert (done["trapped"].state, said["trapped"]) == (TaskState.SUCCEEDED, "saved\n"), done["trapped"]
    assert (done["goes-on"].state, said["goes-on"]) == (TaskState.SUCCEEDED, "saved\nchecked\n"), done["goes-on"]
    assert (done["limit"].reason, said["limit"]) == ("Timeout", "saved\n"), done["limit"]
    assert (done["ignores"].reason, said["ignores"]) == ("Timeout", ""), done["ignores"]
