"""What the planner is told of the past."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from controller.model.conditions import ACTIVE, ResourceStatus, TaskState
from controller.model.ledger import End
from controller.model.plans import RERUN_LIMITS, Failure, RerunLimits, Trial
from controller.model.resources import Desired
from controller.model.runs import RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Runs by id, action keys that failed lately, earlier statuses by ``Kind/name``, and where resources stood.

    ``trials`` holds how images' tests ended, by the key of their action.
    ``underway`` holds the keys of actions that an earlier pass has begun and that have not ended.

    ``paths`` maps ``Kind/name`` to the file it was last read from. ``approved`` is set when a person has allowed this
    commit to do what the brakes would hold back; ``descends`` is False when the commit does not descend from the last
    one applied.
    """

    runs: Mapping[str, RunRecord] = field(default_factory=dict)
    failures: Mapping[str, Failure] = field(default_factory=dict)
    trials: Mapping[str, Trial] = field(default_factory=dict)
    underway: frozenset[str] = frozenset()
    statuses: Mapping[str, ResourceStatus] = field(default_factory=dict)
    published: Mapping[str, ResourceStatus] = field(default_factory=dict)
    """What the status branch says of resources, by ``Kind/name``, where this controller may know less."""
    instance: str = ""
    """The instance in force: the ledger may also tell of runs of another one."""
    ends: Sequence[End] = ()
    """What the ledger tells of jobs and digests that are asked for and of which no record says an end."""
    ledger_faults: Mapping[str, str] = field(default_factory=dict)
    """Shard of the ledger of which entries may be missing -> the file that is damaged."""
    rerun_limits: RerunLimits = RERUN_LIMITS
    let_go: Mapping[str, str] = field(default_factory=dict)
    """Job -> its version that an approval has let run again."""
    then: Mapping[str, Desired | None] = field(default_factory=dict)
    """Commit -> what it asked for, where the planner has asked; None for one that cannot be read."""
    last_seen: Mapping[str, float] = field(default_factory=dict)
    """Cluster -> when it last answered."""
    paths: Mapping[str, str] = field(default_factory=dict)
    build_logs: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Name of an image -> where the log of its newest build is."""
    approved: bool = False
    descends: bool = True
    submits: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Cluster -> when its latest submissions were, at least those of the last minute."""
    grace_s: float = 120.0
    """How long a submit of unknown end is looked for."""

    def active(self) -> list[RunRecord]:
        """Runs that hold, or may come to hold, an allocation, in order of id."""
        return [record for _, record in sorted(self.runs.items()) if record.state in ACTIVE]


def latest_by_task(records: Iterable[RunRecord]) -> dict[tuple[str, str, str], RunRecord]:
    """Return the record that counts for each (job, key, digest): the last in order of attempt."""
    latest: dict[tuple[str, str, str], RunRecord] = {}
    for record in records:
        run = record.run
        place = (run.job, run.key, run.digest)
        if place not in latest or rank_of(latest[place]) < rank_of(record):
            latest[place] = record
    return latest


def rank_of(record: RunRecord) -> tuple[bool, int, bool]:
    """Return by what the runs of one task are put in order: their attempts.

    Runs that were begun under different names have attempts of the same number: what has succeeded stays so.
    """
    return record.state is TaskState.SUCCEEDED, record.run.attempt, record.run.begun_as is None
