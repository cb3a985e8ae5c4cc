"""Whether a task may be submitted in this pass: suspension, schedule, needs, retries, its cluster, its previous run."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from controller.model.conditions import ACTIVE, TaskState
from controller.model.observed import ClusterObservation
from controller.model.resources import Cluster, Job, Task
from controller.model.runs import RunRecord
from controller.planning.draft import Draft
from controller.planning.lacking import MOST_AGAIN, PUT_AGAIN, times_lacked
from controller.planning.verdicts import NEEDS_A_PERSON, Wait
from controller.planning.wanted import WANTED_AGAIN

_AGAIN_S = 30.0
"""Wait before the second attempt of those that ``lacking`` is about; the first is made at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a task stands: ``done`` (nothing to submit), an attempt that is due, or what it waits for."""

    done: bool = False
    attempt: int = 0
    wait: Wait | None = None


def standing_of(draft: Draft, job: Job, cluster: Cluster, task: Task) -> Standing:
    """Return whether a task's next run is due. Lapsed submits are not asked about here."""
    records = draft.runs_of(task)
    last = records[-1] if records else None
    retry: Wait | None = None
    if last is not None:
        if last.state in ACTIVE or last.state is TaskState.SUCCEEDED:
            return Standing(done=True)
        if last.state is TaskState.CANCELLED and last.reason not in WANTED_AGAIN:
            return Standing(done=True)
        if last.state is TaskState.FAILED:
            if not may_retry(draft, job, records):
                return Standing(done=True)
            retry = _backoff(draft, job, records)
    wait = _held_by_spec(job, task) or draft.held.get(task.id) or _needs(draft, job) or retry
    wait = wait or cluster_fault(cluster, draft.seen(cluster)) or _previous(draft, job, task)
    if wait is not None:
        return Standing(wait=wait)
    return Standing(attempt=last.run.attempt + 1 if last else 1)


def may_retry(draft: Draft, job: Job, records: list[RunRecord]) -> bool:
    """Whether a task whose last run failed has an attempt left for that reason."""
    reason = records[-1].reason
    if reason in PUT_AGAIN and 0 < times_lacked(draft.image(job), records) <= MOST_AGAIN:
        return True
    return _failures(draft, job, records) <= job.retries.max and reason in job.retries.on


def _failures(draft: Draft, job: Job, records: list[RunRecord]) -> int:
    """Return how many attempts have failed. One that no record is left of has, or the next would not have begun."""
    forgotten = records[-1].run.attempt - len(records)
    failed = sum(record.state is TaskState.FAILED for record in records) + max(0, forgotten)
    return failed - min(MOST_AGAIN, times_lacked(draft.image(job), records))


def _backoff(draft: Draft, job: Job, records: list[RunRecord]) -> Wait | None:
    """The wait doubles with each failure; a fifth more or less by the run's id, so that retries do not march."""
    last = records[-1]
    spread = 0.8 + 0.4 * int.from_bytes(sha256(last.id.encode()).digest()[:2], "big") / 0xFFFF
    lacked = times_lacked(draft.image(job), records)
    if last.reason in PUT_AGAIN and lacked <= MOST_AGAIN:
        wait_s = _AGAIN_S * (lacked - 1)
    else:
        wait_s = job.retries.backoff_s * 2 ** max(0, _failures(draft, job, records) - 1)
    if draft.now >= (last.ended or last.intended_at) + wait_s * spread:
        return None
    return Wait("Backoff", f"attempt {last.run.attempt} failed ({last.reason}: {last.message}); it is tried again")


def _held_by_spec(job: Job, task: Task) -> Wait | None:
    if job.suspend or task.suspended:
        return Wait("Suspended", f"suspended in {job.source.path}:{job.source.line}")
    if job.schedule is not None and job.tick is None:
        return Wait("Scheduled", f"waits for the next time of its schedule ({job.schedule}, UTC)")
    return None


def _needs(draft: Draft, job: Job) -> Wait | None:
    """All of every job that this one needs has to succeed, at its present digest."""
    waits = []
    for name in job.needs:
        upstream = draft.desired.jobs.get(name)
        if upstream is None:
            return Wait("NeedMissing", f"it needs {name}, which cannot be read", stalled=True)
        for task in upstream.tasks:
            records = draft.runs_of(task)
            state = records[-1].state if records else TaskState.WAITING
            if state is TaskState.SUCCEEDED:
                continue
            if state is TaskState.FAILED and not may_retry(draft, upstream, records):
                return Wait(
                    "NeedFailed", f"{task.id} has failed ({records[-1].reason}); mend it and this goes on", stalled=True
                )
            if state is TaskState.CANCELLED and records[-1].reason not in WANTED_AGAIN:
                return Wait("NeedCancelled", f"{task.id} was cancelled ({records[-1].reason})", stalled=True)
            waits.append(task.id)
            break
    return Wait("WaitingForNeeds", f"waits for {', '.join(waits)}") if waits else None


def cluster_fault(cluster: Cluster, seen: ClusterObservation | None) -> Wait | None:
    """Return why nothing may be done on a cluster; None when it was seen whole."""
    if seen is None or not seen.reachable:
        reason = seen.error_reason if seen and seen.error_reason else "ClusterUnknown"
        said = seen.error if seen else "not seen yet"
        message = said if said.startswith("cluster ") else f"cluster {cluster.name}: {said}"
        return Wait(reason, message, stalled=reason in NEEDS_A_PERSON)
    # A full scan that failed leaves runs unknown that the journal has lost: not even their attempts can be counted.
    if seen.facts is None or seen.queue is None or seen.events is None or "everything" in seen.faults:
        fault = "; ".join(f"{part}: {said}" for part, said in sorted(seen.faults.items()))
        return Wait("ClusterUnknown", f"cluster {cluster.name} could not be seen whole ({fault})")
    if seen.facts.lost:
        return Wait(
            "WorkdirMissing",
            f"cluster {cluster.name}: {seen.facts.root} was there before and is gone or not mounted. "
            "If it was emptied on purpose, make it again with: "
            f"mkdir -p {seen.facts.root} && touch {seen.facts.root}/.controller",
            stalled=True,
        )
    return None


def _previous(draft: Draft, job: Job, task: Task) -> Wait | None:
    """An earlier run of the same task that is left to finish comes first."""
    for record in draft.active_by_task.get((job.name, task.key), ()):
        leaving = record.id in draft.cancelled or record.cancel_requested_at is not None
        if not leaving:
            return Wait("PreviousRunActive", f"its previous run {record.id} is active (on_change: {job.on_change})")
    return None
