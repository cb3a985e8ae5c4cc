"""The plan: for each task what is missing for it, for each run that nobody wants any more its cancellation.

Read top to bottom it is the data path: cancels, then what each task needs (image, files), then submits, then what to
say of everything. Nothing is planned on a cluster, image or spec that could not be seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.model.conditions import ACTIVE, TERMINAL, TaskState
from controller.model.observed import ClusterObservation, Observed
from controller.model.plans import (
    Action,
    BuildImage,
    CancelRun,
    Failure,
    Hold,
    Plan,
    PlannedRun,
    PublishImage,
    StageFiles,
    SubmitBatch,
)
from controller.model.resources import Cluster, Desired, Image, Job, OnChange, OnRemove, Task
from controller.model.runs import RunRecord, batch_of, run_of
from controller.planning.brakes import hold_back
from controller.planning.history import History, latest_by_task
from controller.planning.statuses import Wait, statuses_of

WANTED_AGAIN = frozenset({"SpecChanged", "SpecRemoved"})
"""Reasons of our own cancellations after which the same task may run again when it is asked for again."""

CANCEL_AGAIN_S = 60.0
"""How long after a cancellation a run that is still active is asked to end once more."""


@dataclass(slots=True)
class _Draft:
    """What is being put together."""

    desired: Desired
    observed: Observed
    history: History
    now: float
    instance: str
    actions: dict[str, Action] = field(default_factory=dict)
    needs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    waits: dict[str, Wait] = field(default_factory=dict)
    """Task id -> why it does not run yet."""
    room: dict[str, int] = field(default_factory=dict)
    """Cluster -> how many more runs may be submitted now."""


def make_plan(desired: Desired, observed: Observed, history: History, *, now: float, instance: str) -> Plan:
    """Return what one pass is to do. Runs in ``history`` must have been brought up to date with ``observed``."""
    draft = _Draft(desired=desired, observed=observed, history=history, now=now, instance=instance)
    cancels, holds = hold_back(_cancels(draft), desired, history)
    cancelled = {cancel.record.id for cancel in cancels}
    for cancel in cancels:
        draft.actions[cancel.key] = cancel
    for job in sorted(desired.jobs.values(), key=lambda job: (-job.priority, job.name)):
        _plan_job(draft, job, cancelled)
    for image in desired.images.values():
        _plan_unused_image(draft, image)
    return Plan(
        commit=desired.commit,
        actions=tuple(draft.actions.values()),
        needs=draft.needs,
        statuses=statuses_of(desired, observed, history, waits=draft.waits, holds=holds, now=now),
        holds=holds,
    )


def _cancels(draft: _Draft) -> list[CancelRun]:
    cancels = []
    for record in draft.history.active():
        name = record.run.cluster
        cluster = draft.desired.clusters.get(name) or draft.desired.retired.get(name)
        seen = draft.observed.clusters.get(record.run.cluster)
        asked = record.cancel_requested_at
        if asked is not None and draft.now - asked < CANCEL_AGAIN_S:
            continue
        if cluster is None or seen is None or not seen.reachable:
            continue
        unwanted = _unwanted(draft, record)
        if unwanted is not None:
            reason, why = unwanted
            cancels.append(CancelRun(cluster=cluster, record=record, reason=reason, why=why))
    return cancels


def _unwanted(draft: _Draft, record: RunRecord) -> tuple[str, str] | None:
    """Return why an active run is to be cancelled, as (reason, sentence); None while it is not."""
    run = record.run
    key = f"Job/{run.job}"
    job = draft.desired.jobs.get(run.job)
    if job is not None:
        task = next((task for task in job.tasks if task.key == run.key), None)
        if task is not None and task.digest == run.digest:
            return None
        if task is not None:
            changed = job.on_change is OnChange.REPLACE
            return ("SpecChanged", f"{task.id} has changed and its job says on_change: replace") if changed else None
        keeps = job.on_remove is OnRemove.KEEP
        return None if keeps else ("SpecRemoved", f"{run.job}/{run.key} is no longer in its job's matrix")
    if key in draft.desired.broken or not _removed_for_certain(draft, key):
        return None
    if record.on_remove is not OnRemove.CANCEL:
        return None
    return "SpecRemoved", f"job {run.job} is no longer in the repository and said on_remove: cancel"


def _removed_for_certain(draft: _Draft, key: str) -> bool:
    """A resource that may hide in a file that cannot be read is not removed."""
    if not draft.desired.broken_paths:
        return True
    path = draft.history.paths.get(key)
    return path is not None and path not in draft.desired.broken_paths


def _plan_job(draft: _Draft, job: Job, cancelled: set[str]) -> None:
    cluster = draft.desired.clusters[job.cluster]
    latest = latest_by_task(draft.history.runs.values())
    fresh: list[PlannedRun] = []
    again: dict[str, list[RunRecord]] = defaultdict(list)
    for task in job.tasks:
        record = latest.get((job.name, task.key, task.digest))
        if record is not None and record.lapsed:
            again[record.batch].append(record)
        elif record is None or (record.state is TaskState.CANCELLED and record.reason in WANTED_AGAIN):
            wait = _why_not(draft, job, cluster, task, cancelled)
            if wait is not None:
                draft.waits[task.id] = wait
                continue
            attempt = record.run.attempt + 1 if record else 1
            run = run_of(task, attempt=attempt, cluster=cluster.name, commit=job.source.commit)
            fresh.append(PlannedRun(run=run, task=task))
    _submit(draft, job, cluster, fresh)
    for batch, records in again.items():
        _resubmit(draft, job, cluster, batch, records)


def _why_not(draft: _Draft, job: Job, cluster: Cluster, task: Task, cancelled: set[str]) -> Wait | None:
    """Return why a task cannot be submitted in this pass at all; None when it can, once its needs are there."""
    if job.suspend:
        return Wait("Suspended", f"suspended in {job.source.path}:{job.source.line}")
    seen = draft.observed.clusters.get(cluster.name)
    blocked = _cluster_fault(cluster, seen)
    if blocked is not None:
        return blocked
    previous = [
        record
        for record in draft.history.active()
        if record.run.job == job.name
        and record.run.key == task.key
        and record.id not in cancelled
        and record.cancel_requested_at is None
    ]
    if previous:
        return Wait("PreviousRunActive", f"its previous run {previous[0].id} is active (on_change: {job.on_change})")
    return None


def _cluster_fault(cluster: Cluster, seen: ClusterObservation | None) -> Wait | None:
    if seen is None or not seen.reachable:
        reason = seen.error_reason if seen and seen.error_reason else "ClusterUnknown"
        return Wait(reason, f"cluster {cluster.name}: {seen.error if seen else 'not seen yet'}", stalled=False)
    if seen.facts is None or seen.queue is None or seen.events is None:
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


def _submit(draft: _Draft, job: Job, cluster: Cluster, runs: list[PlannedRun]) -> None:
    if not runs:
        return
    needs, wait = _needs(draft, job, cluster)
    if wait is not None:
        draft.waits.update({planned.task.id: wait for planned in runs})
        return
    room = draft.room.setdefault(cluster.name, _room(draft, cluster))
    seen = draft.observed.clusters[cluster.name]
    size = max(1, seen.facts.max_array_size - 1 if seen.facts else 1)
    for planned in runs[room:]:
        draft.waits[planned.task.id] = Wait(
            "QueueLimit",
            f"cluster {cluster.name}: as many runs are queued as limits allow ({cluster.limits.max_queued})",
        )
    runs = runs[:room]
    draft.room[cluster.name] = room - len(runs)
    for start in range(0, len(runs), size):
        part = tuple(runs[start : start + size])
        batch = batch_of(planned.run.id for planned in part)
        why = "new" if all(planned.run.attempt == 1 for planned in part) else "wanted again"
        _add_submit(
            draft,
            SubmitBatch(cluster=cluster, job=job, image=_image(draft, job), runs=part, batch=batch, why=why),
            needs,
        )


def _resubmit(draft: _Draft, job: Job, cluster: Cluster, batch: str, records: list[RunRecord]) -> None:
    """Submit the very same batch again: its directory and the claims of its runs keep it from executing twice."""
    tasks = {task.key: task for task in job.tasks}
    whole = sorted((r for r in draft.history.runs.values() if r.batch == batch), key=lambda r: r.index)
    waits = [_cluster_fault(cluster, draft.observed.clusters.get(cluster.name))]
    needs, missing = _needs(draft, job, cluster)
    wait = next((wait for wait in (*waits, missing) if wait is not None), None)
    if wait is not None or any(r.run.key not in tasks for r in whole):
        draft.waits.update({tasks[r.run.key].id: wait for r in records if wait is not None})
        return
    runs = tuple(PlannedRun(run=r.run, task=tasks[r.run.key]) for r in whole)
    action = SubmitBatch(
        cluster=cluster,
        job=job,
        image=_image(draft, job),
        runs=runs,
        batch=batch,
        tries=records[0].tries,
        why="an earlier try to submit it did not go through",
    )
    _add_submit(draft, action, needs)


def _add_submit(draft: _Draft, action: SubmitBatch, needs: tuple[str, ...]) -> None:
    failure = _recent(draft, action.key)
    if failure is not None:
        draft.waits.update({planned.task.id: _wait_for(failure) for planned in action.runs})
        return
    draft.actions[action.key] = action
    draft.needs[action.key] = needs


def _needs(draft: _Draft, job: Job, cluster: Cluster) -> tuple[tuple[str, ...], Wait | None]:
    """Plan what the job's runs need on the cluster; return those actions' keys, or why they cannot be had now."""
    keys: list[str] = []
    seen = draft.observed.clusters[cluster.name]
    image = _image(draft, job)
    if image is not None:
        if seen.images is None:
            return (), Wait("ClusterUnknown", f"cluster {cluster.name}: its images could not be listed")
        if image.identity not in seen.images:
            wait = _plan_publish(draft, image, cluster, keys)
            if wait is not None:
                return (), wait
    if job.files is not None:
        if seen.files is None:
            return (), Wait("ClusterUnknown", f"cluster {cluster.name}: its files could not be listed")
        if job.files.tree not in seen.files:
            stage = StageFiles(cluster=cluster, files=job.files, why=f"job {job.name} names them")
            failure = _recent(draft, stage.key)
            if failure is not None:
                return (), _wait_for(failure)
            draft.actions.setdefault(stage.key, stage)
            keys.append(stage.key)
    return tuple(keys), None


def _plan_publish(draft: _Draft, image: Image, cluster: Cluster, keys: list[str]) -> Wait | None:
    publish = PublishImage(image=image, cluster=cluster, why=f"cluster {cluster.name} has no SIF of it")
    failure = _recent(draft, publish.key)
    if failure is not None:
        return _wait_for(failure)
    build, wait = _plan_build(draft, image, why=publish.why)
    if wait is not None:
        return wait
    draft.actions.setdefault(publish.key, publish)
    if build is not None:
        draft.needs[publish.key] = (build,)
    keys.append(publish.key)
    return None


def _plan_build(draft: _Draft, image: Image, *, why: str) -> tuple[str | None, Wait | None]:
    engine = draft.observed.engine
    if engine is None or engine.images is None:
        error = engine.error if engine else "the Docker Engine was not asked"
        return None, Wait(engine.error_reason if engine else "EngineUnknown", f"image {image.name}: {error}")
    if image.identity in engine.images:
        return None, None
    build = BuildImage(image=image, why=f"{why}, nor has the Docker Engine the image")
    failure = _recent(draft, build.key)
    if failure is not None:
        return None, _wait_for(failure)
    draft.actions.setdefault(build.key, build)
    return build.key, None


def _plan_unused_image(draft: _Draft, image: Image) -> None:
    """An image that no job names is built all the same: it is asked for."""
    if any(job.image == image.name for job in draft.desired.jobs.values()):
        return
    if draft.observed.engine is not None and draft.observed.engine.images is not None:
        _plan_build(draft, image, why="no job names it yet")


def _image(draft: _Draft, job: Job) -> Image | None:
    return draft.desired.images[job.image] if job.image else None


def _room(draft: _Draft, cluster: Cluster) -> int:
    """How many runs may be submitted to a cluster now."""
    records = [record for record in draft.history.runs.values() if record.run.cluster == cluster.name]
    active = sum(record.state in ACTIVE for record in records)
    recent = sum((record.submitted_at or 0) > draft.now - 60 for record in records if record.state not in TERMINAL)
    return max(0, min(cluster.limits.max_queued - active, cluster.limits.submit_per_minute - recent))


def _recent(draft: _Draft, key: str) -> Failure | None:
    failure = draft.history.failures.get(key)
    return failure if failure is not None and draft.now < failure.next_try else None


def _wait_for(failure: Failure) -> Wait:
    return Wait(failure.reason, failure.message, stalled=failure.stalled, failed=not failure.waiting)


def pending(plan: Plan) -> Mapping[str, int]:
    """Return how many actions of each kind a plan holds, by class name."""
    counts: dict[str, int] = defaultdict(int)
    for action in plan.actions:
        counts[type(action).__name__] += 1
    return counts


__all__ = ["Hold", "make_plan", "pending"]
