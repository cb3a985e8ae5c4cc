"""Why a pending job waits, as squeue says it, and whether a person is needed for that."""

from __future__ import annotations

import pytest

from controller.schedulers import scheduler_named
from tests.unit.schedulers.printed import NONCE, queue

SLURM = scheduler_named("slurm")
NEVER = (
    "PartitionTimeLimit", "PartitionNodeLimit", "PartitionConfig", "BadConstraints", "DependencyNeverSatisfied",
    "ReservationDeleted", "InvalidAccount", "InvalidQOS", "AccountNotAllowed", "QOSNotAllowed",
    "QOSMaxCpuPerJobLimit", "QOSMaxNodePerJobLimit", "QOSMaxWallDurationPerJobLimit", "QOSMaxMemoryPerJob",
    "QOSMinCpuNotSatisfied", "QOSMinGRES", "QOSMinMemory", "AssocMaxCpuPerJobLimit", "AssocMaxNodePerJobLimit",
    "AssocMaxMemPerJob", "AssocMaxWallDurationPerJobLimit", "AssocMaxGRESPerJob",
)  # fmt: skip
HELD = ("JobHeldUser", "JobHeldAdmin", "JobHoldMaxRequeue", "launch failed requeued held")
PASSES = (
    "None", "Priority", "Resources", "Dependency", "BeginTime", "Licenses", "Reservation", "PartitionDown",
    "PartitionInactive", "ReqNodeNotAvail", "ReqNodeNotAvail, UnavailableNodes:c[1-2]", "NodeDown", "Cleaning",
    "JobArrayTaskLimit", "QOSMaxJobsPerUserLimit", "QOSMaxCpuPerUserLimit", "QOSMaxGRESPerUser", "QOSGrpCpuLimit",
    "QOSMaxMemoryPerUser", "QOSMaxNodePerUserLimit", "AssocGrpCpuLimit", "AssocGrpCPUMinutesLimit", "AssocMaxJobsLimit",
    "AssocGrpBillingMinutes", "QOSMaxSubmitJobPerUserLimit", "SomethingOfALaterVersion",
)  # fmt: skip


def pending(reason: str) -> tuple[str, bool]:
    [job] = SLURM.parse_queue(queue(f"17|PENDING|N/A|{reason}|inst-0123456789ab"), NONCE)
    return job.message, job.needs_person


@pytest.mark.parametrize("reason", NEVER)
def test_what_can_never_start_says_what_to_change(reason: str) -> None:
    """Nothing that passes by itself changes it."""
    message, needs_person = pending(reason)
    assert needs_person
    assert message.startswith("it can never start as asked: ")
    assert "controller rerun TASK" in message


@pytest.mark.parametrize("reason", HELD)
def test_what_is_held_waits_for_a_person(reason: str) -> None:
    """A hold is somebody's, and so is its end."""
    message, needs_person = pending(reason)
    assert needs_person
    assert "release" in message or "ask" in message


@pytest.mark.parametrize("reason", PASSES)
def test_what_passes_by_itself_needs_nobody(reason: str) -> None:
    """A node that comes back, a job that ends, a limit that is counted anew; a word not known says nothing."""
    assert not pending(reason)[1]


def test_partitions_are_read_with_the_largest_node_of_each() -> None:
    """sinfo --exact has a line for each kind of node; a memory of 1 MiB is one that nobody configured."""
    text = (
        "partition short* 4000 1-00:00:00 4 2 (null)\n"
        "partition short* 8000 1-00:00:00 16 3 gpu:l40s:2(S:0-1),gpu:a100:4,license:1\n"
        "partition old 1 infinite 4 2 gpu:2\n"
    )
    found = SLURM.partitions(text)
    assert found[""] == found["short"]
    short = found["short"]
    assert (short.memory_mib, short.walltime_s, short.cpus, short.nodes) == (8000, 86400, 16, 5)
    assert short.gpus == {"": 6, "l40s": 2, "a100": 4}
    assert (found["old"].memory_mib, found["old"].walltime_s, found["old"].gpus) == (0, 0, {"": 2})
