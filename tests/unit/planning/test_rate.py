"""How many submissions a minute may have, and what is said of those that wait."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.model.conditions import TaskState
from controller.model.plans import Plan
from controller.model.resources import Limits
from controller.model.runs import RunRecord
from controller.planning.rate import free_at, times_of
from tests.unit.planning.values import NOW, cluster, desired, history, job, plan, record, submits, task

LIMITED = cluster(limits=Limits(submit_per_minute=2))
JOBS = [job(name) for name in ("a", "b", "c", "d")]


def waiting(of: Plan) -> dict[str, tuple[str, str]]:
    """Task -> reason and message, for those that wait."""
    tasks = [each for status in of.statuses for each in status.tasks]
    return {each.id: (each.reason, each.message) for each in tasks if each.reason == "SubmitRate"}


def ended(name: str, ago_s: float) -> RunRecord:
    """A job of `true`: submitted and over."""
    of = job(name).tasks[0]
    return record(of, state=TaskState.SUCCEEDED, submitted_at=NOW - ago_s, intended_at=NOW - ago_s)


def test_jobs_that_have_ended_count() -> None:
    """Two went ten seconds ago and are over: the next goes when the first of them is a minute ago, and says so."""
    past = history(ended("a", 10), ended("b", 5), submits={"hpc": (NOW - 10, NOW - 5)})
    found = plan(desired(LIMITED, *JOBS), past=past)
    assert submits(found) == []
    assert waiting(found).keys() == {"c", "d"}
    reason, message = waiting(found)["c"]
    assert reason == "SubmitRate"
    assert "limits.submit_per_minute (2) is reached; it goes on at 1970-01-12T13:47:30Z" in message
    assert found.resume_at == NOW + 50
    later = plan(desired(LIMITED, *JOBS), past=past, now=NOW + 50)
    assert [action.job.name for action in submits(later)] == ["c"]
    assert waiting(later).keys() == {"d"}


def test_an_array_is_one_submission() -> None:
    """However many runs it has; how many runs are queued is another limit."""
    tasks = [task("sweep", f"n={number}", f"work {number}") for number in range(50)]
    found = plan(desired(cluster(limits=Limits(submit_per_minute=1)), job("sweep", *tasks)))
    (action,) = submits(found)
    assert len(action.runs) == 50
    full = plan(desired(cluster(limits=Limits(max_queued=20)), job("sweep", *tasks)))
    (action,) = submits(full)
    assert len(action.runs) == 20
    assert {each.reason for each in full.statuses[-1].tasks} == {"Planned", "QueueLimit"}


def test_the_same_batch_sent_again_counts() -> None:
    """A submit that has to be made up for waits for its turn too."""
    lapsed = record(job("a").tasks[0], state=TaskState.WAITING, lapsed=True, job_id=None, tries=1)
    full = history(lapsed, submits={"hpc": (NOW - 1, NOW - 1)})
    found = plan(desired(LIMITED, job("a")), past=full)
    assert submits(found) == []
    assert waiting(found).keys() == {"a"}
    found = plan(desired(LIMITED, job("a")), past=full, now=NOW + 60)
    assert len(submits(found)) == 1


@pytest.mark.parametrize(
    ("times", "limit", "expected"),
    [
        ((), 1, None),
        ((NOW - 60,), 1, None),
        ((NOW - 59,), 1, NOW + 1),
        ((NOW - 59,), 2, None),
        ((NOW - 30, NOW - 50, NOW - 10), 2, NOW + 30),
        ((NOW + 7200,), 1, None),
        ((NOW + 10,), 1, NOW + 70),
    ],
)
def test_when_the_next_may_go(times: tuple[float, ...], limit: int, expected: float | None) -> None:
    """A minute after the submission that has to leave the minute; a time far ahead is a clock's mistake."""
    assert free_at(times, limit, now=NOW) == expected


def test_a_new_journal_asks_the_records() -> None:
    """One submission a batch, at the time that is known of it; what began long ago was submitted before that."""
    one, two = ended("a", 10), replace(ended("b", 0), started=NOW - 500)
    array = [replace(ended("c", 3), batch="same", index=0), replace(ended("d", 3), batch="same", index=1)]
    assert sorted(times_of([one, two, *array])["hpc"]) == [NOW - 500, NOW - 10, NOW - 3]
