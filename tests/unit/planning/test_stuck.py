"""Runs that wait for what does not come by itself: said to be so, and left as they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.model.conditions import ResourceStatus, TaskState, Truth
from controller.model.observed import BatchRecord, ClusterObservation, JobState, Partition
from controller.model.resources import Gpus, Resources
from controller.model.runs import RunRecord
from controller.planning.absorb import absorb
from tests.unit.planning.values import INSTANCE, NOW, desired, facts, history, job, observed, plan, queued, record, seen

PARTITIONS = {
    "": Partition(memory_mib=8000, walltime_s=86400, cpus=16, nodes=4, gpus={"": 2, "l40s": 2}),
    "big": Partition(memory_mib=500_000, walltime_s=0, cpus=64, nodes=1, gpus={}),
    "unknown": Partition(),
}
GRACE_S = 120.0


def status_after(known: RunRecord, world: ClusterObservation, now: float = NOW) -> tuple[ResourceStatus, RunRecord]:
    """What is said of the job after one look."""
    after = absorb([known], world, instance=INSTANCE, now=now, grace_s=GRACE_S)[known.id]
    found = plan(desired(job()), observed(world), history(after, grace_s=GRACE_S), now=now)
    assert not [action for action in found.actions if type(action).__name__ == "CancelRun"]
    (status,) = (each for each in found.statuses if each.kind == "Job")
    return status, after


def stalled(status: ResourceStatus) -> tuple[str, str] | None:
    (condition,) = (each for each in status.conditions if each.type == "Stalled")
    return (condition.reason, condition.message) if condition.status is Truth.TRUE else None


def waiting(
    reason: str, message: str = "", needs_person: bool = False, **changes: Any
) -> tuple[RunRecord, ClusterObservation]:
    known = record(**changes)
    line = queued(known, JobState.PENDING, index=None, reason=reason, message=message, needs_person=needs_person)
    return known, seen(queue=(line,), facts=facts(partitions=PARTITIONS))


def test_a_job_that_can_never_start_is_stalled_and_stays_queued() -> None:
    """Nothing is cancelled; the message names this task, and the condition says that a person is needed."""
    known, world = waiting("PartitionTimeLimit", "it can never start as asked: lower it; controller rerun TASK", True)
    status, after = status_after(known, world)
    (task,) = status.tasks
    assert (task.state, task.reason) == (TaskState.QUEUED, "PartitionTimeLimit")
    assert stalled(status) == ("PartitionTimeLimit", "it can never start as asked: lower it; controller rerun train")
    # Once the partition is changed it waits as any other does.
    line = queued(known, JobState.PENDING, index=None, reason="Priority")
    status, after = status_after(after, seen(queue=(line,)))
    assert (stalled(status), after.needs_person) == (None, False)
    # And what is running needs nobody.
    status, _ = status_after(after, seen(queue=(queued(known, JobState.RUNNING, index=None),)))
    assert stalled(status) is None


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (Resources(cpus=17), "cpus"),
        (Resources(memory_mib=8001), "memory"),
        (Resources(nodes=5), "nodes"),
        (Resources(walltime_s=86401), "time"),
        (Resources(gpus=Gpus(count=3)), "gpus"),
        (Resources(gpus=Gpus(count=1, type="a100")), "gpus"),
        (Resources(gpus=Gpus(count=1), partition="big"), "gpus"),
        (Resources(cpus=65, partition="big"), "cpus"),
    ],
)
@pytest.mark.parametrize("reason", ["Resources", "Priority", ""])
def test_what_no_node_can_give_is_said_where_the_scheduler_only_waits(
    asked: Resources, field: str, reason: str
) -> None:
    """SLURM 22.05 and 26.05 accept --cpus-per-task=10000 and leave the job pending: the partitions tell."""
    status, _ = status_after(*waiting(reason, asked=asked))
    found = stalled(status)
    assert found is not None
    assert found[0] == "TooLarge"
    assert found[1].startswith(f"it can never start as asked: {field}: ")
    assert "controller rerun train" in found[1]
    assert status.tasks[0].state is TaskState.QUEUED


@pytest.mark.parametrize(
    "asked",
    [
        None,
        Resources(),
        Resources(cpus=16, memory_mib=8000, nodes=4, walltime_s=86400, gpus=Gpus(count=2, type="l40s")),
        Resources(cpus=17, partition="big"),
        Resources(walltime_s=10**9, partition="big"),
        Resources(cpus=10_000, partition="unknown"),
        Resources(cpus=10_000, partition="nosuch"),
        Resources(memory_mib=9000, partition="big,unknown"),
        Resources(cpus=17, extra=("--partition=big",)),
        Resources(memory_mib=10**6, extra=("--mem=1G",)),
    ],
)
def test_nothing_is_said_of_what_fits_or_is_not_known(asked: Resources | None) -> None:
    """A request that fits, a partition that is not known, options in extra that may say otherwise."""
    assert stalled(status_after(*waiting("Resources", asked=asked))[0]) is None


def unanswered(age_s: float, **changes: Any) -> tuple[RunRecord, ClusterObservation]:
    known = record(
        state=TaskState.SUBMITTING,
        job_id=None,
        intended_at=NOW - age_s,
        submitted_at=None,
        submit_said="sbatch: Socket timed out",
        **changes,
    )
    batch = BatchRecord(batch=known.batch, present=True, tries=1)
    # Queue and accounting: the first can be read, the second cannot, so that nothing is sent again.
    world = seen(batches={known.batch: batch}, accounting=None, find_job="squeue --name=NAME")
    return known, replace(world, faults={"accounting": "slurmdbd does not answer"})


def test_an_unanswered_submit_says_so_beyond_twice_the_grace_period() -> None:
    """Since when, what sbatch said, where to look, what to do; not "Progressing"."""
    status, _ = status_after(*unanswered(1.5 * GRACE_S))
    assert stalled(status) is None
    assert "Socket timed out" in status.tasks[0].message
    known, world = unanswered(2 * GRACE_S)
    status, after = status_after(known, world)
    found = stalled(status)
    assert found is not None
    assert found[0] == "SubmitUnanswered"
    for words in (
        "not known since 1970-01-12T13:42:40Z",
        "Socket timed out",
        "squeue --name=inst-",
        "controller rerun",
    ):
        assert words in found[1]
    assert status.tasks[0].state is TaskState.SUBMITTING
    # The same words in every later pass: a status that changes by itself would be a commit a pass.
    later, _ = status_after(after, world, now=NOW + 600)
    assert later.conditions[2].message == found[1]


def test_the_time_is_counted_over_all_tries() -> None:
    """The same batch sent again and again without an answer is not new each time."""
    known, world = unanswered(10.0, unanswered_since=NOW - 10 * GRACE_S)
    found = stalled(status_after(known, world)[0])
    assert found is not None
    assert "not known since 1970-01-12T13:26:40Z" in found[1]


def test_a_job_that_is_found_is_taken_over() -> None:
    """However late."""
    known, world = unanswered(10 * GRACE_S)
    status, after = status_after(known, replace(world, queue=(queued(known, JobState.RUNNING, index=None),)))
    assert (after.state, after.job_id, after.unanswered_since) == (TaskState.RUNNING, "7", None)
    assert stalled(status) is None
