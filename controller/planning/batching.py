"""Runs that are due into submissions: as few as arrays and limits allow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from controller.model.conditions import TaskState
from controller.model.observed import ClusterObservation, Partition
from controller.model.plans import PlannedRun, SubmitBatch, limit_key
from controller.model.resources import Cluster, Job, Resources
from controller.model.runs import RunRecord, batch_of
from controller.planning.draft import Draft, wait_for
from controller.planning.latevalues import filled
from controller.planning.provision import plan_needs
from controller.planning.readiness import cluster_fault
from controller.planning.verdicts import Wait


def submit(draft: Draft, job: Job, cluster: Cluster, runs: Sequence[PlannedRun]) -> None:
    """Plan the submission of a job's due runs, or say what they wait for."""
    if not runs:
        return
    full = draft.recent(limit_key(cluster, job))
    if full is not None:
        draft.waits.update({planned.task.id: wait_for(full) for planned in runs})
        return
    needs, wait = plan_needs(draft, job, cluster)
    if wait is not None:
        draft.waits.update({planned.task.id: wait for planned in runs})
        return
    seen = draft.observed.clusters[cluster.name]
    for resources, same in _by_resources(draft, job, seen, runs).items():
        for part in _parts(same, seen):
            if (wait := draft.rate_wait(cluster)) is not None:
                draft.waits.update({planned.task.id: wait for planned in part})
                continue
            part = _within_limits(draft, job, cluster, part)
            if not part:
                continue
            batch = batch_of(planned.run.id for planned in part)
            action = SubmitBatch(
                cluster=cluster,
                job=job,
                image=draft.image(job),
                runs=tuple(part),
                batch=batch,
                resources=resources,
                max_running=job.max_running,
                why=_why(draft, job, part),
            )
            _add(draft, action, needs)


def _why(draft: Draft, job: Job, runs: Sequence[PlannedRun]) -> str:
    """Return why runs are due: nothing has run yet, the task is new to its job, or it is not what has run."""
    attempt = max(planned.run.attempt for planned in runs)
    if attempt > 1:
        return f"attempt {attempt}"
    known = draft.keys.get(job.name, set())
    changed = sum(planned.run.key in known for planned in runs)
    if not known:
        return "new"
    if not changed:
        return "new in a job that has run"
    what = "changed since the last run (spec, files, image, or rerun)"
    return what if changed == len(runs) else f"{changed} {what}, {len(runs) - changed} new"


def resubmit(draft: Draft, job: Job, cluster: Cluster, batch: str) -> None:
    """Submit the very same batch again: its directory and the claims of its runs keep it from executing twice.

    A batch of which some runs have ended meanwhile, or are no longer wanted, is never sent again: the rest starts over.
    """
    tasks = {task.key: task for task in job.tasks}
    whole = sorted((r for r in draft.history.runs.values() if r.batch == batch), key=lambda r: r.index)
    lapsed = [record for record in whole if record.lapsed and record.run.key in tasks]
    wait = cluster_fault(cluster, draft.seen(cluster))
    needs: tuple[str, ...] = ()
    if wait is None:
        needs, wait = plan_needs(draft, job, cluster)
    runs: list[PlannedRun] = []
    for record in whole:
        task = tasks.get(record.run.key)
        planned = filled(draft, record.run, task) if task is not None and task.digest == record.run.digest else None
        if isinstance(planned, Wait):
            wait = wait or planned
        elif planned is not None:
            runs.append(planned)
    wait = wait or draft.rate_wait(cluster)
    if wait is not None:
        draft.waits.update({tasks[record.run.key].id: wait for record in lapsed})
        return
    if len(runs) < len(whole) or not all(record.lapsed for record in whole):
        _start_over(draft, job, cluster, lapsed)
        return
    action = SubmitBatch(
        cluster=cluster,
        job=job,
        image=draft.image(job),
        runs=tuple(runs),
        batch=batch,
        resources=grown(draft, job, runs[0], draft.observed.clusters[cluster.name]),
        max_running=job.max_running,
        tries=max(record.tries for record in whole),
        unanswered_since=min((r.unanswered_since for r in whole if r.unanswered_since is not None), default=None),
        why="an earlier try to submit it did not go through",
    )
    _add(draft, action, needs)


def _start_over(draft: Draft, job: Job, cluster: Cluster, lapsed: Sequence[RunRecord]) -> None:
    """Submit what is left of a batch in a batch of its own. The same runs: their claims still guard them."""
    tasks = {task.key: task for task in job.tasks}
    runs = []
    for record in lapsed:
        task = tasks[record.run.key]
        if task.digest == record.run.digest:
            planned = filled(draft, record.run, task)
            if isinstance(planned, PlannedRun):
                runs.append(planned)
    submit(draft, job, cluster, runs)


def grown(draft: Draft, job: Job, planned: PlannedRun, seen: ClusterObservation) -> Resources:
    """Return what a run asks for: its job's resources, multiplied once for each attempt that ran out of them.

    Never beyond what the partition has, where that is known; a partition that nobody set is the default one.
    """
    if planned.run.attempt == 1:
        return job.resources
    records = [r for r in draft.runs_of(planned.task) if r.run.attempt < planned.run.attempt]
    out_of = [record.reason for record in records if record.state is TaskState.FAILED]
    asked, retries = job.resources, job.retries
    partitions = seen.facts.partitions if seen.facts else {}
    there = partitions.get(asked.partition or "", Partition())
    memory, walltime = asked.memory_mib, asked.walltime_s
    if memory is not None and (times := out_of.count("OutOfMemory")):
        memory = _capped(memory, retries.grow_memory**times, there.memory_mib)
    if walltime is not None and (times := out_of.count("Timeout")):
        walltime = _capped(walltime, retries.grow_time**times, there.walltime_s)
    return replace(asked, memory_mib=memory, walltime_s=walltime)


def _capped(value: int, factor: float, most: int) -> int:
    more = round(value * factor)
    return max(value, min(more, most)) if most else more


def _by_resources(
    draft: Draft, job: Job, seen: ClusterObservation, runs: Sequence[PlannedRun]
) -> dict[Resources, list[PlannedRun]]:
    same: dict[Resources, list[PlannedRun]] = defaultdict(list)
    for planned in runs:
        same[grown(draft, job, planned, seen)].append(planned)
    return same


def _parts(runs: Sequence[PlannedRun], seen: ClusterObservation) -> list[list[PlannedRun]]:
    """MaxArraySize 1001 means that the last index is 1000: one less than its value, counted from 0, is safe."""
    size = max(1, seen.facts.max_array_size - 1 if seen.facts else 1)
    return [list(runs[start : start + size]) for start in range(0, len(runs), size)]


def _within_limits(draft: Draft, job: Job, cluster: Cluster, runs: list[PlannedRun]) -> list[PlannedRun]:
    """Keep what may be submitted now, and say of the others why they wait."""
    room = draft.room_on(cluster)
    reason = Wait("QueueLimit", f"cluster {cluster.name}: limits.max_queued ({cluster.limits.max_queued}) is reached")
    if job.max_running is not None:
        active = [r for r in draft.active_by_job.get(job.name, ()) if r.id not in draft.cancelled]
        planned = sum(len(a.runs) for a in draft.actions.values() if isinstance(a, SubmitBatch) and a.job is job)
        if active or planned:
            # The array's own limit counts within one array only; beside another one, only what is free is sent.
            free = max(0, job.max_running - len(active) - planned)
            if free < min(room, len(runs)):
                room, reason = free, Wait("MaxRunning", f"max_running of job {job.name} is reached ({job.max_running})")
    for planned_run in runs[room:]:
        draft.waits[planned_run.task.id] = reason
    kept = runs[:room]
    draft.room[cluster.name] = draft.room_on(cluster) - len(kept)
    return kept


def _add(draft: Draft, action: SubmitBatch, needs: tuple[str, ...]) -> None:
    failure = draft.recent(action.key)
    if failure is not None:
        draft.waits.update({planned.task.id: wait_for(failure) for planned in action.runs})
        return
    draft.count_submit(action.cluster)
    draft.actions[action.key] = action
    draft.needs[action.key] = needs
