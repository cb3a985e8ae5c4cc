"""What the status branch tells of runs, where this controller knows less or the place of a run was not seen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.model.conditions import ResourceStatus, TaskState, TaskStatus
from controller.model.runs import RunRecord
from controller.planning.history import History
from controller.planning.recall import recalled
from tests.unit.planning.values import INSTANCE, ROOT, desired, facts, job, observed, record, seen, task


def told(of: RunRecord, **changes: object) -> ResourceStatus:
    """Return the status of a job whose only task is this run's."""
    run = of.run
    entry = TaskStatus(
        id=run.job,
        state=of.state,
        reason=of.reason,
        message="",
        job_id=of.job_id,
        attempt=run.attempt,
        started=None,
        ended=None,
        exit_code=None,
        run_dir=f"{ROOT}/{INSTANCE}/runs/{of.id}",
        digest=run.digest,
        cluster="hpc",
    )
    status = ResourceStatus(kind="Job", name=run.job, digest="", commit="c", cluster="hpc")
    return replace(status, tasks=(replace(entry, **changes),))  # type: ignore[arg-type]


def test_who_had_a_run_cancelled_stays_known() -> None:
    """A journal made anew has only the scheduler's word, which does not tell who asked."""
    mine = record(task(), state=TaskState.CANCELLED, reason="CancelledOutside")
    status = told(replace(mine, reason="SpecRemoved"))
    history = History(runs={mine.id: mine}, published={"Job/train": status}, instance=INSTANCE)
    wanted = desired(job())
    assert recalled(wanted, observed(seen()), history)[mine.id].reason == "SpecRemoved"


@pytest.mark.parametrize(
    ("root", "marked", "there"),
    [(ROOT, True, True), (ROOT, False, False), ("/elsewhere", True, False)],
    ids=["seen whole", "not mounted", "another directory"],
)
def test_a_run_is_absent_only_where_its_directory_was_seen(root: str, marked: bool, there: bool) -> None:
    """What is published as under way is Unknown unless its own directory was looked at, and has our mark."""
    mine = record(task(), state=TaskState.RUNNING)
    status = told(mine, run_dir=f"{root}/{INSTANCE}/runs/{mine.id}")
    history = History(published={"Job/train": status}, instance=INSTANCE)
    wanted = desired(job())
    found = recalled(wanted, observed(seen(facts=facts(initialised=marked))), history)
    assert {key: each.state for key, each in found.items()} == ({} if there else {mine.id: TaskState.UNKNOWN})
