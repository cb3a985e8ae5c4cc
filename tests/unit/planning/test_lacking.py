"""Runs that found gone what the controller had put on the cluster: put there again, and no failure of the job's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.model.conditions import TaskState
from controller.model.images import SifFile
from controller.model.observed import EventKind, JobState, SifSeen
from controller.model.resources import Job, Retries
from controller.model.runs import RunRecord
from controller.planning.lacking import MOST_AGAIN, PUT_AGAIN
from controller.planning.settle import Seen, settle
from tests.unit.planning.values import (
    NOW,
    desired,
    event,
    history,
    image,
    job,
    observed,
    plan,
    queued,
    record,
    run,
    seen,
    submits,
)

RETRIES = Retries(max=1, on=frozenset({"NodeFail"}), backoff_s=1)


def ended(*reasons: str) -> list[RunRecord]:
    """Return one failed attempt for each reason, long ago."""
    return [
        record(run(attempt=number), state=TaskState.FAILED, reason=reason, ended=NOW - 5000)
        for number, reason in enumerate(reasons, 1)
    ]


def attempt_after(*reasons: str, of: Job | None = None) -> int | None:
    """Return the attempt that is submitted after such ends, None for none."""
    found = submits(plan(desired(of or job()), past=history(*ended(*reasons))))
    return found[0].runs[0].run.attempt if found else None


@pytest.mark.parametrize("reason", sorted(PUT_AGAIN))
def test_the_next_attempt_needs_no_retries(reason: str) -> None:
    """So many times at most; from then on it is a failure like any other."""
    for count in range(1, MOST_AGAIN + 1):
        assert attempt_after(*[reason] * count) == count + 1
    assert attempt_after(*[reason] * (MOST_AGAIN + 1)) is None
    named = job(retries=Retries(max=1, on=frozenset({reason}), backoff_s=1))
    assert attempt_after(*[reason] * (MOST_AGAIN + 1), of=named) == MOST_AGAIN + 2
    assert attempt_after(*[reason] * (MOST_AGAIN + 2), of=named) is None


def test_it_uses_up_no_attempt_of_the_jobs() -> None:
    """The one retry that the job has is still there, and is one."""
    mine = job(retries=RETRIES)
    assert attempt_after("FilesIncomplete", "NodeFail", of=mine) == 3
    assert attempt_after("NodeFail", "FilesIncomplete", of=mine) == 3
    assert attempt_after("FilesIncomplete", "NodeFail", "NodeFail", of=mine) is None
    assert attempt_after("FilesIncomplete", "ExitCode", of=mine) is None


def test_the_second_time_it_waits() -> None:
    """The first is tried at once, the second half a minute later."""
    first, second = (replace(each, ended=NOW - 1) for each in ended("FilesIncomplete", "FilesIncomplete"))
    assert submits(plan(desired(job()), past=history(first)))
    assert not submits(plan(desired(job()), past=history(first, second)))


def test_a_sif_that_a_spec_names_is_left_to_the_user() -> None:
    """Nobody puts it there again but who wrote the spec."""
    own = replace(image(), origin=SifFile(path="/s/x.sif"))
    world = observed(seen(sifs={"/s/x.sif": SifSeen(path="/s/x.sif", readable=True)}))
    mine = job(image="torch")
    for reason, again in (("ImageMissing", False), ("ImageChanged", False), ("FilesIncomplete", True)):
        made = plan(desired(own, mine), world, history(*ended(reason)))
        assert bool(submits(made)) == again, reason


@pytest.mark.parametrize("claimed", [False, True])
def test_a_submission_that_is_gone(claimed: bool) -> None:
    """The job says so by its exit code; of a run that was claimed it is the command's own code."""
    mine = record(missing_since=NOW - 60)
    job_ended = queued(mine, JobState.FAILED, exit_code=76, ended=NOW - 5)
    events = (event(mine, EventKind.CLAIMED),) if claimed else ()
    said = settle(
        mine,
        Seen(queue_known=True, accounting=job_ended, accounting_known=True, events=events),
        now=NOW,
        grace_s=120,
    )
    assert (said.state, said.reason) == (TaskState.FAILED, "ExitCode" if claimed else "SubmissionGone")


@pytest.mark.parametrize(
    ("known", "asked", "words"),
    [(True, True, "no longer in the queue,"), (False, True, "cannot be read"), (False, False, "in the next pass")],
)
def test_what_is_said_of_accounting_is_so(known: bool, asked: bool, words: str) -> None:
    """Not asked is not unreadable."""
    view = Seen(queue_known=True, accounting_known=known, accounting_asked=asked)
    said = settle(record(), view, now=NOW, grace_s=120)
    assert (said.state, said.reason) == (TaskState.UNKNOWN, "NotSeen")
    assert words in said.message
