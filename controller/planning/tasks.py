"""What is said of work: tasks' states, and the conditions of the jobs and workflows that they belong to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from controller.model.conditions import ACTIVE, TERMINAL, ResourceStatus, TaskState, TaskStatus, Truth
from controller.model.digests import digest_of
from controller.model.plans import Hold
from controller.model.resources import Desired, Job, Task, owner_of
from controller.model.runs import RunRecord
from controller.planning.carried import WAS, place_in
from controller.planning.history import History, latest_by_task
from controller.planning.recall import Sightings
from controller.planning.results import unread
from controller.planning.verdicts import PROGRESSING, SETTLED, Verdict, Wait, conditions, time_text, with_problem

TICK_OF = "scheduled_for.{}"
"""Name of the detail that holds the time which a scheduled job stands for."""
_REMOVED = "Removed"
_SPEC_UNREADABLE = "its spec cannot be read, so its cluster was not asked"
_WORST_FIRST = (
    TaskState.FAILED,
    TaskState.UNKNOWN,
    TaskState.CANCELLED,
    TaskState.WAITING,
    TaskState.SUBMITTING,
    TaskState.QUEUED,
    TaskState.RUNNING,
    TaskState.SUCCEEDED,
)


def work_status(
    desired: Desired,
    key: str,
    jobs: Sequence[Job],
    *,
    latest: Mapping[tuple[str, str, str], RunRecord],
    active: Sequence[RunRecord],
    waits: Mapping[str, Wait],
    holds: Sequence[Hold],
    stuck: Mapping[str, Wait],
    sight: Sightings,
    published: ResourceStatus | None,
) -> ResourceStatus:
    """Return what is said of a job, or of a workflow with all its steps.

    ``active`` are the active runs of these jobs, whether they are still asked for or not; ``stuck`` maps ids of runs
    to why a person is needed for them. ``published`` is what the status branch says of the resource, where it may know
    more.
    """
    earlier = {entry.id: entry for entry in published.tasks} if published else {}
    tasks, said, records = list[TaskStatus](), list[Wait](), list[RunRecord]()
    for job in jobs:
        for task in job.tasks:
            record, wait = latest.get((job.name, task.key, task.digest)), waits.get(task.id)
            home = job.cluster if job.cluster == jobs[0].cluster else ""
            status = _task_status(task, record, wait, earlier.get(task.id), home)
            if wait is None and record is not None and (wait := stuck.get(record.id)) is not None:
                status = replace(status, reason=wait.reason, message=wait.message)
            tasks.append(status)
            said += [wait] if wait is not None else []
            records += [record] if record is not None else []
    wanted = {(task.job, task.key, task.digest) for job in jobs for task in job.tasks}
    leaving = [record for record in active if (record.run.job, record.run.key, record.run.digest) not in wanted]
    verdict = sight.noted(_judge(tasks, said), records)
    if key in desired.stale:
        verdict = with_problem(verdict, desired, key)
    held = _held(holds, leaving)
    if held is not None:
        stalled = (Truth.TRUE, held.reason, held.message)
        verdict = Verdict(ready=verdict.ready, reconciling=verdict.reconciling, stalled=stalled)
    kind, _, name = key.partition("/")
    return ResourceStatus(
        kind=kind,
        name=name,
        digest=tasks[0].digest if len(tasks) == 1 else digest_of([task.digest for task in tasks]),
        commit=jobs[0].source.commit,
        path=jobs[0].source.path,
        cluster=jobs[0].cluster,
        labels=desired.workflows[name].labels if name in desired.workflows and kind == "Workflow" else jobs[0].labels,
        conditions=conditions(verdict),
        tasks=tuple(tasks),
        details=_details(jobs, leaving),
    )


def _details(jobs: Sequence[Job], leaving: Sequence[RunRecord]) -> dict[str, str]:
    notices = dict.fromkeys(job.notice for job in jobs if job.notice)
    details = {"files": "; ".join(notices)} if notices else {}
    details |= {WAS.format(job.name): ", ".join(job.was) for job in jobs if job.was}
    details |= {TICK_OF.format(job.name): job.tick for job in jobs if job.tick is not None}
    if leaving:
        details["previous_runs"] = ", ".join(f"{r.id} {r.state}" for r in leaving)
    return details


def removed_statuses(
    desired: Desired, active: Mapping[str, Sequence[RunRecord]], holds: Sequence[Hold], history: History
) -> list[ResourceStatus]:
    """Return what is said of jobs that are gone from the repository: those with active runs, or whose runs just ended.

    ``active`` maps a job's name to its active runs. An end is said once, so that the branch's commits hold it; when it
    has been, the resource is no longer told of.
    """
    gone: dict[str, list[RunRecord]] = {}
    for name, records in active.items():
        key = owner_of(name)
        if name not in desired.jobs and key not in desired.broken:
            gone.setdefault(key, []).extend(records)
    wanted = {owner_of(name) for name in desired.jobs} | desired.broken
    latest = latest_by_task(history.runs.values())
    for key, status in sorted(history.published.items()):
        if key not in wanted:
            ended = _ended_since(status, latest)
            if ended:
                gone[key] = [*gone.get(key, ()), *ended]
    return [_removed_status(key, records, holds, history) for key, records in gone.items()]


def _ended_since(status: ResourceStatus, latest: Mapping[tuple[str, str, str], RunRecord]) -> list[RunRecord]:
    """Return the runs that are published as not ended, and have."""
    records = [latest.get((*place_in(status, task.id), task.digest)) for task in status.tasks if not _is_over(task)]
    return [record for record in records if record is not None and record.state in TERMINAL]


def _is_over(task: TaskStatus) -> bool:
    return task.state in TERMINAL


def is_removed(status: ResourceStatus) -> bool:
    """Whether a status is of a resource that was removed: it says so, or names no file though its spec was read once.

    The latter where the name was found again, in what cannot be read.
    """
    ready = next((each for each in status.conditions if each.type == "Ready"), None)
    return not status.path or (ready is not None and ready.reason == _REMOVED)


def _removed_status(key: str, records: Sequence[RunRecord], holds: Sequence[Hold], history: History) -> ResourceStatus:
    held = _held(holds, records)
    active = [record.id for record in records if record.state not in TERMINAL]
    message = "no longer in the repository; " + (
        f"still active: {', '.join(active[:5])}" if active else "none of its runs is active any more"
    )
    # Of a run that the journal was lost of, whose spec is in no commit that can be had any more.
    lost = [record for record in records if record.state not in TERMINAL and record.on_remove is None]
    if lost:
        jobs = ", ".join(sorted({record.job_id or record.id for record in lost})[:5])
        message += (
            f"; what its spec said of it (on_remove) is not known any more: left alone, cancel by hand: job {jobs}"
        )
    verdict = Verdict(
        ready=(Truth.FALSE, _REMOVED, message),
        reconciling=(Truth.TRUE, "Removing", message),
        stalled=(Truth.TRUE, held.reason, held.message) if held else PROGRESSING,
    )
    kind, _, name = key.partition("/")
    before = history.statuses.get(key)
    return ResourceStatus(
        kind=kind,
        name=name,
        digest=records[0].run.digest,
        commit=records[0].run.commit,
        path=history.paths.get(key) or (before.path if before is not None else ""),
        cluster=records[0].run.cluster,
        labels=before.labels if before is not None else {},
        conditions=conditions(verdict),
        tasks=tuple(_record_status(record.run.task_id, record, records[0].run.cluster) for record in records),
    )


def _held(holds: Iterable[Hold], records: Iterable[RunRecord]) -> Hold | None:
    ids = {record.id for record in records}
    return next((hold for hold in holds if not ids.isdisjoint(hold.subjects)), None)


def broken_tasks(status: ResourceStatus, history: History) -> tuple[TaskStatus, ...]:
    """Return the tasks of a resource that nobody can read now, as published, but for what is known to have happened."""
    latest = latest_by_task(history.runs.values())
    tasks = []
    for entry in status.tasks:
        record = latest.get((*place_in(status, entry.id), entry.digest))
        if record is not None and record.run.attempt >= entry.attempt and not record.lapsed:
            tasks.append(_record_status(entry.id, record, status.cluster))
        elif entry.state in ACTIVE:
            tasks.append(replace(entry, state=TaskState.UNKNOWN, reason="NotObserved", message=_SPEC_UNREADABLE))
        else:
            tasks.append(entry)
    return tuple(tasks)


def _task_status(
    task: Task, record: RunRecord | None, wait: Wait | None, earlier: TaskStatus | None, home: str
) -> TaskStatus:
    """Return what is said of a task. One that waits keeps what is known of the attempt before."""
    if record is not None and wait is None and not record.lapsed:
        return _record_status(task.id, record, home)
    if record is not None and not record.lapsed:
        known = _record_status(task.id, record, home)
    elif earlier is not None and earlier.digest == task.digest and earlier.attempt:
        known = earlier
    else:
        known = TaskStatus(id=task.id, state=TaskState.WAITING, digest=task.digest)
    reason, message = (wait.reason, wait.message) if wait else ("Planned", "to be submitted in this pass")
    return replace(known, state=TaskState.WAITING, reason=reason, message=message)


def _record_status(task_id: str, record: RunRecord, home: str) -> TaskStatus:
    """Return what is said of a run; its cluster only where that is not ``home``, its resource's."""
    return TaskStatus(
        id=task_id,
        state=record.state,
        reason=record.reason,
        message=record.message,
        job_id=record.job_id,
        account=record.charged.account,
        partition=record.charged.partition,
        qos=record.charged.qos,
        attempt=record.run.attempt,
        started=time_text(record.started),
        ended=time_text(record.ended),
        exit_code=record.exit_code,
        run_dir=record.run_dir,
        cluster="" if record.run.cluster == home else record.run.cluster,
        digest=record.run.digest,
        stderr_tail=record.stderr_tail,
        results=record.results,
        result_faults=record.result_faults,
    )


def _unreadable(tasks: Sequence[TaskStatus]) -> str:
    """Return which results could not be read, the first of them with its reason."""
    faults = [(task.id, name, said) for task in tasks for name, said in sorted(task.result_faults.items())]
    if not faults:
        return ""
    task_id, name, said = faults[0]
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"; the result {name} of {task_id} cannot be read: {said}{more}"


def _judge(tasks: Sequence[TaskStatus], waits: Sequence[Wait]) -> Verdict:
    counts = Counter(task.state for task in tasks)
    total = len(tasks)
    summary = ", ".join(f"{counts[state]} {state}" for state in _WORST_FIRST if counts[state])
    worst = next((state for state in _WORST_FIRST if counts[state]), TaskState.SUCCEEDED)
    first = next((task for task in tasks if task.state is worst), None)
    said = f"{first.message or first.reason}" if first is not None else ""
    message = said if total == 1 else f"{summary}: {said}" if said else summary
    reason = first.reason if first is not None and first.reason else str(worst)
    done = counts[TaskState.SUCCEEDED] == total
    ended = done or not (total - counts[TaskState.SUCCEEDED] - counts[TaskState.FAILED] - counts[TaskState.CANCELLED])
    # What waits for a person alone is not in progress, however long it waits.
    idle = sum(wait.reason in ("Suspended", "Scheduled") or wait.stalled for wait in waits)
    moving = total - counts[TaskState.SUCCEEDED] - counts[TaskState.FAILED] - counts[TaskState.CANCELLED] - idle
    moving += sum(bool(unread(task.result_faults)) for task in tasks)
    if done:
        words = "every task has succeeded" if total > 1 else "the task has succeeded"
        ready = (Truth.TRUE, "Succeeded", words + _unreadable(tasks))
    else:
        ready = (Truth.UNKNOWN if worst is TaskState.UNKNOWN else Truth.FALSE, reason, message)
    bad = next((wait for wait in waits if wait.stalled), None)
    stalled = PROGRESSING
    if bad is not None:
        stalled = (Truth.TRUE, bad.reason, bad.message)
    elif not done and (ended or counts[TaskState.FAILED]):
        stalled = (Truth.TRUE, reason, message)
    paused = next((wait for wait in waits if wait.reason in ("Suspended", "Scheduled")), None)
    reconciling = (Truth.TRUE, "InProgress", summary) if moving > 0 else SETTLED
    if moving <= 0 and paused is not None:
        reconciling = (Truth.FALSE, paused.reason, paused.message)
    return Verdict(ready=ready, reconciling=reconciling, stalled=stalled)
