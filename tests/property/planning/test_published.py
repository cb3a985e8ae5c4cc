"""A pass that knows less, in whatever way, unsays nothing that is published and runs nothing a second time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.model.conditions import ACTIVE, TERMINAL, ResourceStatus, TaskState, TaskStatus
from controller.model.observed import Charged, Observed
from controller.model.resources import Desired
from controller.model.runs import RunRecord
from controller.planning.history import History
from controller.planning.readiness import cluster_fault
from controller.planning.wanted import WANTED_AGAIN
from tests.effort import examples
from tests.property.planning.test_plans import CLUSTERS, pasts, wishes, worlds
from tests.unit.planning.values import NOW, observed, plan, seen, submits

QUICK = settings(max_examples=examples(150))


@st.composite
def less(draw: st.DrawFn, records: Iterable[RunRecord]) -> dict[str, RunRecord]:
    """Return what is left of records: any may be forgotten, or rebuilt without what is known of it."""
    left = {}
    for record in records:
        kept = draw(st.sampled_from(("whole", "forgotten", "bare")))
        if kept == "bare":
            left[record.id] = replace(
                record, state=TaskState.UNKNOWN, reason="NotSeen", job_id=None, run_dir=None, started=None, results={}
            )
        elif kept == "whole":
            left[record.id] = record
    return left


@st.composite
def lives(draw: st.DrawFn) -> tuple[Desired, dict[str, RunRecord], list[tuple[Desired, History, Observed]]]:
    """Return what is wanted, what is known of it at first, and passes that each know some of that."""
    wanted, past = draw(wishes()), draw(pasts())
    full = {
        key: replace(
            record,
            started=NOW - 900,
            charged=Charged(account="lab", partition="short", qos="normal"),
            results={"loss": "0.5"} if record.state in TERMINAL else {},
        )
        for key, record in past.runs.items()
    }
    passes = []
    for _ in range(draw(st.integers(1, 3))):
        unreadable = draw(st.sets(st.sampled_from(sorted(wanted.jobs)))) if wanted.jobs else set()
        kept = {name: job for name, job in wanted.jobs.items() if name not in unreadable}
        broken = frozenset(f"Job/{name}" for name in unreadable)
        passes.append(
            (
                replace(wanted, jobs=kept, broken=broken),
                History(runs=draw(less(full.values())), approved=True),
                draw(worlds()),
            )
        )
    return wanted, full, passes


def tasks_of(statuses: Iterable[ResourceStatus]) -> dict[tuple[str, str], TaskStatus]:
    """Return every task that is told of, by id and digest."""
    return {(task.id, task.digest): task for status in statuses for task in status.tasks}


@QUICK
@given(lives())
def test_nothing_published_is_unsaid(
    life: tuple[Desired, dict[str, RunRecord], list[tuple[Desired, History, Observed]]],
) -> None:
    """Ends stand with all their facts; of a run under way, job id, start and attempt stay while it cannot be seen."""
    wanted, full, passes = life
    whole = observed(*(seen(name) for name in CLUSTERS))
    first = plan(wanted, whole, History(runs=full, approved=True))
    statuses = first.statuses
    # What a pass submits for another attempt has not ended for good.
    due = {(run.task.id, run.task.digest) for batch in submits(first) for run in batch.runs}
    asked = {(task.id, task.digest) for job in wanted.jobs.values() for task in job.tasks} - due
    retried = {task.id for job in wanted.jobs.values() for task in job.tasks if job.retries.max}
    clusters = {task.id: job.cluster for job in wanted.jobs.values() for task in job.tasks}

    def may_begin_again(task: TaskStatus) -> bool:
        """Whether an end is no last one: it has attempts left, or was cancelled for a reason that is over."""
        return task.reason in WANTED_AGAIN or (task.state is TaskState.FAILED and task.id in retried)

    for desired, past, world in passes:
        published = {status.key: status for status in statuses}
        made = plan(desired, world, replace(past, published=published))
        before, statuses = tasks_of(statuses), made.statuses
        after = tasks_of(statuses)
        for place, task in before.items():
            if place not in asked:
                continue
            now = after[place]
            if task.state in TERMINAL and may_begin_again(task) and now.state is TaskState.WAITING:
                assert replace(now, state=task.state, reason=task.reason, message=task.message) == task
            elif task.state in TERMINAL:
                assert now == task
            elif task.attempt:
                name = clusters[task.id]
                unseen = cluster_fault(wanted.clusters[name], world.clusters.get(name)) is not None
                if unseen or task.state not in ACTIVE:
                    assert (now.job_id, now.attempt, now.run_dir, now.started) == (
                        task.job_id,
                        task.attempt,
                        task.run_dir,
                        task.started,
                    )
        over = {place for place, task in before.items() if task.state in TERMINAL and not may_begin_again(task)}
        again = {(run.task.id, run.task.digest) for batch in submits(made) for run in batch.runs}
        assert not again & over & asked
        asked -= again
