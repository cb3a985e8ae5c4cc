"""A plan being put together: what is given, and what has been decided so far."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from controller.model.conditions import ACTIVE
from controller.model.images import Image
from controller.model.observed import ClusterObservation, Observed
from controller.model.plans import Action, Failure
from controller.model.resources import Cluster, Desired, Job, Task
from controller.model.runs import RunRecord
from controller.planning.history import History, rank_of
from controller.planning.rate import free_at
from controller.planning.verdicts import Wait, time_text

LONGEST_WAIT_S = 3600.0
LASTING = frozenset({"BuildKitNeeded", "DockerfileInvalid", "EnvironmentLost"})
"""Reasons that lie in what an action's key names, so that only another key, or another program, ends otherwise."""
LASTING_WAIT_S = 86_400.0
"""After how long such an action is tried once more: the engine, or the cluster's Apptainer, may be another by then."""
"""Longer than any wait after a failure."""
_UNDERWAY = {
    "build": ("Building", "its image is being built"),
    "publish": ("Publishing", "its image is on its way to the cluster"),
    "test": ("TestRunning", "its image is being tested"),
}


@dataclass(slots=True)
class Draft:
    """Given: desired, observed, history, now. Decided: actions, what they need, and what tasks wait for."""

    desired: Desired
    observed: Observed
    history: History
    now: float
    attempts: dict[tuple[str, str, str], list[RunRecord]] = field(default_factory=dict)
    """(job, task key, digest) -> its runs in order of attempt."""
    active_by_job: dict[str, list[RunRecord]] = field(default_factory=dict)
    active_by_task: dict[tuple[str, str], list[RunRecord]] = field(default_factory=dict)
    """(job, task key) -> its active runs at any digest."""
    before: dict[tuple[str, str], list[RunRecord]] = field(default_factory=dict)
    """(job, task key) -> its runs at any digest, newest first."""
    keys: dict[str, set[str]] = field(default_factory=dict)
    """Job -> keys of its tasks that have had a run, at any digest."""
    tasks: dict[tuple[str, str], Task] = field(default_factory=dict)
    """(job, task key) -> the task that is asked for."""
    actions: dict[str, Action] = field(default_factory=dict)
    needs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    waits: dict[str, Wait] = field(default_factory=dict)
    """Task id -> why it does not run yet."""
    held: dict[str, Wait] = field(default_factory=dict)
    """Task id -> the brake that keeps it from running."""
    room: dict[str, int] = field(default_factory=dict)
    """Cluster -> how many more runs may be submitted now."""
    submits: dict[str, list[float]] = field(default_factory=dict)
    """Cluster -> times of the submissions of the last minute, those of this plan among them."""
    resume_at: float | None = None
    """When the first of the submissions that ``submit_per_minute`` keeps waiting may go."""
    cancelled: set[str] = field(default_factory=set)
    """Runs that this plan cancels."""

    def __post_init__(self) -> None:
        attempts = defaultdict(list)
        active = defaultdict(list)
        by_task = defaultdict(list)
        keys = defaultdict(set)
        before = defaultdict(list)
        for _, record in sorted(self.history.runs.items()):
            run = record.run
            attempts[(run.job, run.key, run.digest)].append(record)
            keys[run.job].add(run.key)
            before[(run.job, run.key)].append(record)
            if record.state in ACTIVE:
                active[run.job].append(record)
                by_task[(run.job, run.key)].append(record)
        for records in attempts.values():
            records.sort(key=rank_of)
        self.attempts, self.active_by_job, self.active_by_task = dict(attempts), dict(active), dict(by_task)
        for records in before.values():
            records.sort(key=lambda record: record.intended_at, reverse=True)
        self.before, self.keys = dict(before), dict(keys)
        self.tasks = {(job.name, task.key): task for job in self.desired.jobs.values() for task in job.tasks}

    def runs_of(self, task: Task) -> list[RunRecord]:
        """Return the runs of a task at its present digest, in order of attempt."""
        return self.attempts.get((task.job, task.key, task.digest), [])

    def seen(self, cluster: Cluster) -> ClusterObservation | None:
        """Return what was seen of a cluster."""
        return self.observed.clusters.get(cluster.name)

    def image(self, job: Job) -> Image | None:
        """Return the image that a job runs in."""
        return self.desired.images[job.image] if job.image else None

    def recent(self, key: str) -> Failure | None:
        """Return why an action is not to begin now: it is under way, or it failed and it is too early to try again."""
        if key in self.history.underway:
            return underway(key)
        failure = self.history.failures.get(key)
        if failure is None:
            return None
        # A time that is further off was written by a clock that was ahead.
        longest = 2 * LASTING_WAIT_S if failure.reason in LASTING else LONGEST_WAIT_S
        return failure if 0 < failure.next_try - self.now < longest else None

    def room_on(self, cluster: Cluster) -> int:
        """Return how many more runs may be submitted to a cluster now."""
        if cluster.name not in self.room:
            runs = self.history.runs.values()
            active = sum(record.state in ACTIVE for record in runs if record.run.cluster == cluster.name)
            self.room[cluster.name] = max(0, cluster.limits.max_queued - active)
        return self.room[cluster.name]

    def rate_wait(self, cluster: Cluster) -> Wait | None:
        """Return why nothing more is submitted to a cluster now; None while there is room in this minute."""
        limit = cluster.limits.submit_per_minute
        at = free_at(self._submits_on(cluster.name), limit, now=self.now)
        if at is None:
            return None
        self.resume_at = at if self.resume_at is None else min(self.resume_at, at)
        message = (
            f"cluster {cluster.name}: limits.submit_per_minute ({limit}) is reached; it goes on at {time_text(at)}"
        )
        return Wait("SubmitRate", message)

    def count_submit(self, cluster: Cluster) -> None:
        """Count a submission of this plan."""
        self._submits_on(cluster.name).append(self.now)

    def _submits_on(self, name: str) -> list[float]:
        return self.submits.setdefault(name, list(self.history.submits.get(name, ())))


def underway(key: str) -> Failure:
    """Return what is said of an action that an earlier pass has begun."""
    reason, said = _UNDERWAY[key.partition(":")[0]]
    return Failure(reason=reason, message=said, count=0, next_try=0.0, waiting=True)


def wait_for(failure: Failure) -> Wait:
    """Return what a failed action means for the tasks that need it."""
    return Wait(failure.reason, failure.message, stalled=failure.stalled, failed=not failure.waiting)
