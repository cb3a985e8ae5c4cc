"""Which active runs nobody wants any more, and why. Whatever could not be read is still wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from controller.model.plans import CancelRun
from controller.model.resources import OnChange, OnRemove, owner_of
from controller.model.runs import RunRecord
from controller.planning.draft import Draft
from controller.planning.verdicts import Wait

CANCEL_AGAIN_S = 60.0
"""How long after a cancellation a run that is still active is asked to end once more."""
MOVED = "ClusterMoved"
"""Reason for taking the claim of a run whose submit never went through, as far as is known, and that goes elsewhere."""
WANTED_AGAIN = frozenset({"SpecChanged", "SpecRemoved", MOVED})
"""Reasons of our own cancellations after which the same task may run again when it is asked for again."""


def cancels_in(draft: Draft) -> list[CancelRun]:
    """Return a cancellation for each active run that is no longer wanted, on clusters that could be seen."""
    cancels = []
    for record in draft.history.active():
        name = record.where
        if not record.batch:
            # Of what the status branch alone tells, it is not known which of its job's tasks it is.
            continue
        cluster = draft.desired.clusters.get(name) or draft.desired.retired.get(name)
        seen = draft.observed.clusters.get(name)
        asked = record.cancel_requested_at
        if asked is not None and 0 <= draft.now - asked < CANCEL_AGAIN_S:
            continue
        if cluster is None or seen is None or not seen.reachable:
            continue
        unwanted = _unwanted(draft, record)
        if unwanted is not None:
            reason, why = unwanted
            cancels.append(CancelRun(cluster=cluster, record=record, reason=reason, why=why))
    return cancels


def waiting_cancels(draft: Draft) -> dict[str, str]:
    """Return run -> why its cancellation waits, for runs that are no longer wanted on clusters that cannot be seen."""
    found = {}
    for record in draft.history.active():
        seen = draft.observed.clusters.get(record.where)
        unwanted = _unwanted(draft, record)
        if unwanted is not None and (seen is None or not seen.reachable):
            said = f"{seen.error_reason}: {seen.error}" if seen is not None else "it was not looked at"
            found[record.id] = f"to be cancelled ({unwanted[1]}) once cluster {record.where} can be seen: {said}"
    return found


def replaced_in(draft: Draft) -> dict[str, list[RunRecord]]:
    """Return task id -> the active runs to be cancelled that it replaces, at another digest or a name that is gone.

    Whether their cluster can be seen or not: what is decided by their number must not change with that.
    """
    same = {task.digest: task for task in draft.tasks.values()}
    found: dict[str, list[RunRecord]] = {}
    for record in draft.history.active():
        task = draft.tasks.get((record.run.job, record.run.key)) or same.get(record.run.digest)
        if task is not None and _unwanted(draft, record) is not None:
            found.setdefault(task.id, []).append(record)
    return found


def kept_for(draft: Draft, replaced: Mapping[str, Sequence[RunRecord]]) -> dict[str, str]:
    """Return run -> why its cancellation waits: a brake keeps the task that replaces it, so it goes on instead."""
    return {
        record.id: f"goes on, as {draft.held[task].reason} holds {task}, which would replace it"
        for task, records in replaced.items()
        if task in draft.held
        for record in records
    }


def withdrawals_in(draft: Draft) -> list[CancelRun]:
    """Return a cancellation for each run that is to be submitted again, and somewhere else than before.

    Its claim was where the earlier try was: taken there, no job of that try can ever start it beside the next one.
    """
    found = []
    for record in draft.history.runs.values():
        job = draft.desired.jobs.get(record.run.job)
        if not record.lapsed or job is None or record.where == job.cluster:
            continue
        cluster = draft.desired.clusters.get(record.where) or draft.desired.retired.get(record.where)
        seen = draft.observed.clusters.get(record.where)
        if cluster is not None and seen is not None and seen.reachable:
            found.append(CancelRun(cluster=cluster, record=record, reason=MOVED, why=left_behind(record).message))
    return found


def left_behind(record: RunRecord) -> Wait:
    """Return what a task waits for whose submit is to be taken back where it was first tried."""
    return Wait(MOVED, f"an earlier submit of {record.id} on {record.where} is taken back first")


def _unwanted(draft: Draft, record: RunRecord) -> tuple[str, str] | None:
    """Return why an active run is to be cancelled, as (reason, sentence); None while it is not."""
    run = record.run
    if record.given:
        return None
    job = draft.desired.jobs.get(run.job)
    if job is not None:
        task = draft.tasks.get((run.job, run.key))
        if task is None:
            keeps = job.on_remove is OnRemove.KEEP
            return None if keeps else ("SpecRemoved", f"{run.job}/{run.key} is no longer in its job's matrix")
        # A scheduled job's earlier time is not a change: that run ends by itself, and the next one waits for it.
        if task.digest == run.digest or job.schedule is not None or job.on_change is OnChange.FINISH:
            return None
        return "SpecChanged", f"{task.id} has changed and its job says on_change: replace"
    key = owner_of(run.job)
    if key in draft.desired.broken or not _removed_for_certain(draft, key):
        return None
    if record.on_remove is not OnRemove.CANCEL:
        return None
    return "SpecRemoved", f"{key} is no longer in the repository and said on_remove: cancel"


def _removed_for_certain(draft: Draft, key: str) -> bool:
    """A resource that may hide in a file that cannot be read is not removed."""
    if not draft.desired.broken_paths:
        return True
    path = draft.history.paths.get(key)
    return path is not None and path not in draft.desired.broken_paths
