"""What is said of every resource: the conditions Ready, Reconciling and Stalled, and the tasks of those that have any.

A message never holds anything that changes by itself (an age, a countdown): a pass that changes nothing has to say
the same thing, or every pass would be a commit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from controller.model.conditions import ResourceStatus, Truth
from controller.model.observed import Observed
from controller.model.plans import Hold
from controller.model.resources import Desired, Job, owner_of
from controller.model.runs import RunRecord
from controller.planning.history import History, latest_by_task
from controller.planning.places import cluster_status, image_status
from controller.planning.recall import Sightings
from controller.planning.stuck import stuck
from controller.planning.tasks import broken_tasks, removed_statuses, work_status
from controller.planning.verdicts import SETTLED, Verdict, Wait, conditions, time_text, with_problem

_NO_LAST_GOOD = "; it was removed before, so no earlier version of it is in force"


def statuses_of(
    desired: Desired,
    observed: Observed,
    history: History,
    *,
    waits: Mapping[str, Wait],
    holds: Sequence[Hold],
    recalled: Collection[str],
    cancels: Mapping[str, str] | None = None,
    now: float,
) -> tuple[ResourceStatus, ...]:
    """Return the status of every resource that the commit names, in order of kind and name.

    ``waits`` maps task id to why it does not run yet; ``recalled`` are the runs that are shown as published;
    ``cancels`` maps runs to why their cancellation waits.
    """
    statuses = [cluster_status(desired, cluster, observed, history) for cluster in desired.clusters.values()]
    statuses += [image_status(desired, image, observed, history, waits) for image in desired.images.values()]
    latest = latest_by_task(history.runs.values())
    sight = Sightings(observed=observed, last_seen=history.last_seen, recalled=frozenset(recalled))
    active: dict[str, list[RunRecord]] = {}
    for record in history.active():
        active.setdefault(record.run.job, []).append(record)
    needing = {
        record.id: wait
        for record in history.active()
        if (wait := stuck(record, observed.clusters.get(record.where), now=now, grace_s=history.grace_s))
    }
    owners: dict[str, list[Job]] = {}
    for job in desired.jobs.values():
        owners.setdefault(owner_of(job.name), []).append(job)
    for key, jobs in owners.items():
        mine = [record for name, records in active.items() if owner_of(name) == key for record in records]
        statuses.append(
            work_status(
                desired,
                key,
                jobs,
                latest=latest,
                active=mine,
                waits=waits,
                holds=holds,
                stuck=needing,
                sight=sight,
                published=history.published.get(key),
            )
        )
    known = {status.key for status in statuses}
    statuses += [s for s in removed_statuses(desired, active, holds, history) if s.key not in known]
    statuses += _broken_statuses(desired, history, {status.key for status in statuses})
    statuses = [_with_cancels(status, active, cancels or {}) for status in statuses]
    return tuple(
        _dated(status, history.statuses.get(status.key), now)
        for status in sorted(statuses, key=lambda status: (status.kind, status.name))
    )


def _with_cancels(
    status: ResourceStatus, active: Mapping[str, Sequence[RunRecord]], cancels: Mapping[str, str]
) -> ResourceStatus:
    """Say of a resource which of its runs are to be cancelled, and are not yet."""
    if not cancels or status.kind not in ("Job", "Workflow"):
        return status
    mine = [r.id for name, records in active.items() if owner_of(name) == status.key for r in records]
    said = "; ".join(f"{run}: {cancels[run]}" for run in mine if run in cancels)
    return replace(status, details={**status.details, "cancel_waits": said}) if said else status


def _broken_statuses(desired: Desired, history: History, said: set[str]) -> list[ResourceStatus]:
    """Resources that the commit names and nobody can read, and that no earlier commit could stand in for.

    What is published of one stands: nobody knows that it is not asked for any more. A name that was only found in what
    cannot be read is no resource, unless there has been one.
    """
    removed = {key for key, path in history.paths.items() if not path}
    known = history.paths.keys() | history.published.keys()
    known -= removed - {owner_of(record.run.job) for record in history.active()}
    named = {problem.resource for problem in desired.problems} - desired.former
    statuses = []
    for key in sorted(desired.broken - said - ((desired.suspects | desired.former) - known - named)):
        kind, _, name = key.partition("/")
        verdict = with_problem(Verdict(ready=SETTLED, reconciling=SETTLED, stalled=SETTLED), desired, key)
        _, reason, message = verdict.stalled if verdict.stalled[0] is Truth.TRUE else verdict.reconciling
        message += _NO_LAST_GOOD if key in removed else ""
        verdict = replace(verdict, ready=(Truth.FALSE, reason, message))
        path = next((problem.path for problem in desired.problems if problem.resource == key), "")
        told = history.published.get(key)
        if told is None:
            before = history.statuses.get(key)
            labels = before.labels if before is not None else {}
            told = ResourceStatus(kind=kind, name=name, digest="", commit=desired.commit, labels=labels)
        # Without a path it is still known as removed where all but the branch is lost; see ``is_removed``.
        path = "" if key in removed else path or told.path or history.paths.get(key, "")
        statuses.append(replace(told, path=path, conditions=conditions(verdict), tasks=broken_tasks(told, history)))
    return statuses


def _dated(status: ResourceStatus, earlier: ResourceStatus | None, now: float) -> ResourceStatus:
    """Give each condition the time of its last change."""
    before = {condition.type: condition for condition in earlier.conditions} if earlier else {}
    dated = []
    for condition in status.conditions:
        old = before.get(condition.type)
        same = old is not None and (old.status, old.reason) == (condition.status, condition.reason)
        changed = old.changed if same and old is not None else time_text(now) or ""
        dated.append(replace(condition, changed=changed))
    return replace(status, conditions=tuple(dated))
