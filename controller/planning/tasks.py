"""What is said of work: tasks' states, and the conditions of the jobs and workflows that they belong to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from controller.model.conditions import ResourceStatus, TaskState, TaskStatus, Truth
from controller.model.digests import digest_of
from controller.model.plans import Hold
from controller.model.resources import Desired, Job, Task, owner_of
from controller.model.runs import RunRecord
from controller.planning.history import History
from controller.planning.verdicts import PROGRESSING, SETTLED, Verdict, Wait, conditions, time_text, with_problem

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
) -> ResourceStatus:
    """Return what is said of a job, or of a workflow with all its steps.

    ``active`` are the active runs of these jobs, whether they are still asked for or not; ``stuck`` maps ids of runs
    to why a person is needed for them.
    """
    tasks, said = [], []
    for job in jobs:
        for task in job.tasks:
            record, wait = latest.get((job.name, task.key, task.digest)), waits.get(task.id)
            status = _task_status(task, record, wait)
            if wait is None and record is not None and (wait := stuck.get(record.id)) is not None:
                status = replace(status, reason=wait.reason, message=wait.message)
            tasks.append(status)
            said += [wait] if wait is not None else []
    wanted = {(task.job, task.key, task.digest) for job in jobs for task in job.tasks}
    leaving = [record for record in active if (record.run.job, record.run.key, record.run.digest) not in wanted]
    verdict = _judge(tasks, said)
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
    if leaving:
        details["previous_runs"] = ", ".join(f"{record.id} {record.state}" for record in leaving)
    return details


def removed_statuses(
    desired: Desired, active: Mapping[str, Sequence[RunRecord]], holds: Sequence[Hold], history: History
) -> list[ResourceStatus]:
    """Return what is said of jobs that are gone from the repository but still have active runs.

    ``active`` maps a job's name to its active runs.
    """
    gone: dict[str, list[RunRecord]] = {}
    for name, records in active.items():
        key = owner_of(name)
        if name not in desired.jobs and key not in desired.broken:
            gone.setdefault(key, []).extend(records)
    return [_removed_status(key, records, holds, history) for key, records in gone.items()]


def _removed_status(key: str, records: Sequence[RunRecord], holds: Sequence[Hold], history: History) -> ResourceStatus:
    held = _held(holds, records)
    message = f"no longer in the repository; still active: {', '.join(record.id for record in records[:5])}"
    verdict = Verdict(
        ready=(Truth.FALSE, "Removed", message),
        reconciling=(Truth.TRUE, "Removing", message),
        stalled=(Truth.TRUE, held.reason, held.message) if held else PROGRESSING,
    )
    kind, _, name = key.partition("/")
    return ResourceStatus(
        kind=kind,
        name=name,
        digest=records[0].run.digest,
        commit=records[0].run.commit,
        path=history.paths.get(key, ""),
        cluster=records[0].run.cluster,
        labels=before.labels if (before := history.statuses.get(key)) is not None else {},
        conditions=conditions(verdict),
        tasks=tuple(_record_status(record.run.task_id, record) for record in records),
    )


def _held(holds: Iterable[Hold], records: Iterable[RunRecord]) -> Hold | None:
    ids = {record.id for record in records}
    return next((hold for hold in holds if not ids.isdisjoint(hold.subjects)), None)


def _task_status(task: Task, record: RunRecord | None, wait: Wait | None) -> TaskStatus:
    if record is None or wait is not None or record.lapsed:
        reason, message = (wait.reason, wait.message) if wait else ("Planned", "to be submitted in this pass")
        return TaskStatus(id=task.id, state=TaskState.WAITING, reason=reason, message=message, digest=task.digest)
    return _record_status(task.id, record)


def _record_status(task_id: str, record: RunRecord) -> TaskStatus:
    return TaskStatus(
        id=task_id,
        state=record.state,
        reason=record.reason,
        message=record.message,
        job_id=record.job_id,
        attempt=record.run.attempt,
        started=time_text(record.started),
        ended=time_text(record.ended),
        exit_code=record.exit_code,
        run_dir=record.run_dir,
        digest=record.run.digest,
        stderr_tail=record.stderr_tail,
        results=record.results,
    )


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
    if done:
        ready = (Truth.TRUE, "Succeeded", "every task has succeeded" if total > 1 else "the task has succeeded")
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
