"""What is said of every resource: tasks' states, and the conditions Ready, Reconciling and Stalled.

A message never holds anything that changes by itself (an age, a countdown): a pass that changes nothing has to say
the same thing, or every pass would be a commit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from controller.model.conditions import Condition, ResourceStatus, TaskState, TaskStatus, Truth
from controller.model.digests import digest_of
from controller.model.observed import ClusterObservation, Observed
from controller.model.plans import Hold
from controller.model.resources import Cluster, Desired, Image, Job, Task
from controller.model.runs import RunRecord
from controller.planning.history import History, latest_by_task

_ORDER = (
    TaskState.FAILED,
    TaskState.UNKNOWN,
    TaskState.CANCELLED,
    TaskState.WAITING,
    TaskState.SUBMITTING,
    TaskState.QUEUED,
    TaskState.RUNNING,
    TaskState.SUCCEEDED,
)


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a task does not run yet. ``stalled``: a person is needed. ``failed``: something went wrong for it."""

    reason: str
    message: str
    stalled: bool = False
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    ready: tuple[Truth, str, str]
    reconciling: tuple[Truth, str, str]
    stalled: tuple[Truth, str, str]


def statuses_of(
    desired: Desired,
    observed: Observed,
    history: History,
    *,
    waits: Mapping[str, Wait],
    holds: Sequence[Hold],
    now: float,
) -> tuple[ResourceStatus, ...]:
    """Return the status of every resource that the commit names, in order of kind and name."""
    statuses = [_cluster_status(desired, cluster, observed) for cluster in desired.clusters.values()]
    statuses += [_image_status(desired, image, observed, history, waits) for image in desired.images.values()]
    latest = latest_by_task(history.runs.values())
    by_job: dict[str, list[RunRecord]] = {}
    for record in history.active():
        by_job.setdefault(record.run.job, []).append(record)
    for job in desired.jobs.values():
        tasks = [
            _task_status(task, latest.get((job.name, task.key, task.digest)), waits.get(task.id)) for task in job.tasks
        ]
        leaving = _leaving(job, by_job.get(job.name, ()))
        statuses.append(_job_status(desired, job, tasks, leaving, waits, holds))
    statuses += _removed_statuses(desired, by_job, holds, history)
    statuses += _broken_statuses(desired, {status.key for status in statuses})
    return tuple(
        _dated(status, history.statuses.get(status.key), now)
        for status in sorted(statuses, key=lambda status: (status.kind, status.name))
    )


def time_text(seconds: float | None) -> str | None:
    """Return seconds since the epoch as ISO 8601 in UTC, whole seconds."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


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
    )


def _leaving(job: Job, active: Sequence[RunRecord]) -> list[RunRecord]:
    """Active runs of a job that its spec no longer asks for."""
    wanted = {(task.key, task.digest) for task in job.tasks}
    return [record for record in active if (record.run.key, record.run.digest) not in wanted]


def _job_status(
    desired: Desired,
    job: Job,
    tasks: Sequence[TaskStatus],
    leaving: Sequence[RunRecord],
    waits: Mapping[str, Wait],
    holds: Sequence[Hold],
) -> ResourceStatus:
    key = f"Job/{job.name}"
    verdict = _judge(tasks, [waits[task.id] for task in tasks if task.id in waits])
    if desired.stale and key in desired.stale:
        verdict = _with_problem(verdict, desired, key)
    held = [hold for hold in holds if any(record.id in hold.subjects for record in leaving)]
    if held:
        stalled = (Truth.TRUE, held[0].reason, held[0].message)
        verdict = _Verdict(ready=verdict.ready, reconciling=verdict.reconciling, stalled=stalled)
    details = {"previous_runs": ", ".join(f"{r.id} {r.state}" for r in leaving)} if leaving else {}
    digest = tasks[0].digest if len(tasks) == 1 else digest_of([task.digest for task in tasks])
    return ResourceStatus(
        kind="Job",
        name=job.name,
        digest=digest,
        commit=job.source.commit,
        path=job.source.path,
        cluster=job.cluster,
        conditions=_conditions(verdict),
        tasks=tuple(tasks),
        details=details,
    )


def _judge(tasks: Sequence[TaskStatus], waits: Sequence[Wait]) -> _Verdict:
    counts = Counter(task.state for task in tasks)
    total = len(tasks)
    summary = ", ".join(f"{counts[state]} {state}" for state in _ORDER if counts[state])
    worst = next((state for state in _ORDER if counts[state]), TaskState.SUCCEEDED)
    first = next((task for task in tasks if task.state is worst), None)
    said = f"{first.message or first.reason}" if first is not None else ""
    message = said if total == 1 else f"{summary}: {said}" if said else summary
    done = counts[TaskState.SUCCEEDED] == total
    ended = done or not (total - counts[TaskState.SUCCEEDED] - counts[TaskState.FAILED] - counts[TaskState.CANCELLED])
    reason = first.reason if first is not None and first.reason else str(worst)
    if done:
        ready = (Truth.TRUE, "Succeeded", "every task has succeeded" if total > 1 else "the task has succeeded")
    elif worst is TaskState.UNKNOWN:
        ready = (Truth.UNKNOWN, reason, message)
    else:
        ready = (Truth.FALSE, reason, message)
    stalled = (Truth.FALSE, "Progressing", "")
    bad = next((wait for wait in waits if wait.stalled), None)
    if bad is not None:
        stalled = (Truth.TRUE, bad.reason, bad.message)
    elif ended and not done:
        stalled = (Truth.TRUE, reason, message)
    reconciling = (Truth.FALSE, "Settled", "") if ended else (Truth.TRUE, "InProgress", summary)
    if any(wait.reason == "Suspended" for wait in waits):
        reconciling = (Truth.FALSE, "Suspended", next(w.message for w in waits if w.reason == "Suspended"))
    return _Verdict(ready=ready, reconciling=reconciling, stalled=stalled)


def _cluster_status(desired: Desired, cluster: Cluster, observed: Observed) -> ResourceStatus:
    seen = observed.clusters.get(cluster.name)
    details: dict[str, str] = {"scheduler": cluster.scheduler}
    if seen is None:
        ready = (Truth.UNKNOWN, "NotObserved", "no job names it, so it was not looked at")
    elif not seen.reachable:
        ready = (Truth.UNKNOWN, seen.error_reason, seen.error)
    elif seen.faults:
        ready = (Truth.FALSE, "PartlySeen", "; ".join(f"{part}: {said}" for part, said in sorted(seen.faults.items())))
    else:
        ready = (Truth.TRUE, "Reachable", "queue, spool and files can be read")
    if seen is not None and seen.facts is not None:
        facts = seen.facts
        details |= {"workdir": facts.root, "host": facts.host, "user": facts.user}
        details |= {"scheduler_version": facts.scheduler_version, "container_version": facts.container_version}
        if facts.lost:
            ready = (Truth.FALSE, "WorkdirMissing", f"{facts.root} was there before and is gone or not mounted")
    stalled = (Truth.TRUE, ready[1], ready[2]) if ready[1] in _NEEDS_A_PERSON else (Truth.FALSE, "Progressing", "")
    verdict = _Verdict(ready=ready, reconciling=(Truth.FALSE, "Settled", ""), stalled=stalled)
    key = f"Cluster/{cluster.name}"
    if key in desired.stale:
        verdict = _with_problem(verdict, desired, key)
    return ResourceStatus(
        kind="Cluster",
        name=cluster.name,
        digest="",
        commit=cluster.source.commit,
        path=cluster.source.path,
        conditions=_conditions(verdict),
        details={name: value for name, value in details.items() if value},
    )


_NEEDS_A_PERSON = frozenset(
    {"HostKeyRejected", "AuthenticationFailed", "WorkdirUnset", "WorkdirUnwritable", "WorkdirMissing"}
)


def _image_status(
    desired: Desired, image: Image, observed: Observed, history: History, waits: Mapping[str, Wait]
) -> ResourceStatus:
    jobs = [job for job in desired.jobs.values() if job.image == image.name]
    clusters = sorted({job.cluster for job in jobs})
    where = {name: _sif_at(observed.clusters.get(name), image.identity) for name in clusters}
    engine = observed.engine
    on_engine = None if engine is None or engine.images is None else image.identity in engine.images
    details = {"identity": image.identity}
    if on_engine:
        details["engine"] = "built"
    details |= {f"sif.{name}": "present" for name, there in where.items() if there}
    failed = next((f for key, f in sorted(history.failures.items()) if image.identity in key.split(":")), None)
    waiting = [waits[task.id] for job in jobs for task in job.tasks if task.id in waits]
    blocked = next((wait for wait in waiting if wait.reason in _OF_THE_IMAGE), None)
    if (where and all(where.values())) or (not where and on_engine):
        ready = (Truth.TRUE, "Present", "present wherever a job needs it")
    elif failed is not None:
        ready = (Truth.FALSE, failed.reason, failed.message)
    elif blocked is not None:
        ready = (Truth.FALSE, blocked.reason, blocked.message)
    elif None in where.values() or (not where and on_engine is None):
        ready = (Truth.UNKNOWN, "NotObserved", "the places where it belongs could not all be seen")
    else:
        missing = ", ".join(f"cluster {name}" for name, there in where.items() if not there) or "the Docker Engine"
        ready = (Truth.FALSE, "NotPresent", f"not on {missing}; made when a run needs it")
    stalled = (Truth.TRUE, failed.reason, failed.message) if failed is not None and failed.stalled else None
    verdict = _Verdict(
        ready=ready,
        reconciling=(Truth.FALSE, "Settled", ""),
        stalled=stalled or (Truth.FALSE, "Progressing", ""),
    )
    if (key := f"Image/{image.name}") in desired.stale:
        verdict = _with_problem(verdict, desired, key)
    return ResourceStatus(
        kind="Image",
        name=image.name,
        digest=image.identity,
        commit=image.source.commit,
        path=image.source.path,
        conditions=_conditions(verdict),
        details=details,
    )


_OF_THE_IMAGE = frozenset({"EngineUnavailable", "EngineRefused", "BuildFailed", "ConversionBusy", "ConversionFailed"})


def _sif_at(seen: ClusterObservation | None, identity: str) -> bool | None:
    return None if seen is None or seen.images is None else identity in seen.images


def _removed_statuses(
    desired: Desired, by_job: Mapping[str, Sequence[RunRecord]], holds: Sequence[Hold], history: History
) -> list[ResourceStatus]:
    """Jobs that are gone from the repository but still have active runs."""
    statuses = []
    for name, records in by_job.items():
        key = f"Job/{name}"
        if name in desired.jobs or key in desired.broken:
            continue
        held = next((hold for hold in holds if any(record.id in hold.subjects for record in records)), None)
        message = f"no longer in the repository; still active: {', '.join(record.id for record in records[:5])}"
        verdict = _Verdict(
            ready=(Truth.FALSE, "Removed", message),
            reconciling=(Truth.TRUE, "Removing", message),
            stalled=(Truth.TRUE, held.reason, held.message) if held else (Truth.FALSE, "Progressing", ""),
        )
        statuses.append(
            ResourceStatus(
                kind="Job",
                name=name,
                digest=records[0].run.digest,
                commit=records[0].run.commit,
                path=history.paths.get(key, ""),
                cluster=records[0].run.cluster,
                conditions=_conditions(verdict),
                tasks=tuple(
                    _record_status(f"{name}/{record.run.key}" if record.run.key else name, record) for record in records
                ),
            )
        )
    return statuses


def _broken_statuses(desired: Desired, said: set[str]) -> list[ResourceStatus]:
    """Resources that the commit names and nobody can read, and that no earlier commit could stand in for."""
    statuses = []
    for key in sorted(desired.broken - said):
        kind, _, name = key.partition("/")
        verdict = _with_problem(
            _Verdict(
                ready=(Truth.FALSE, "SpecInvalid", ""),
                reconciling=(Truth.FALSE, "Settled", ""),
                stalled=(Truth.TRUE, "SpecInvalid", ""),
            ),
            desired,
            key,
        )
        ready = (Truth.FALSE, "SpecInvalid", verdict.stalled[2])
        verdict = _Verdict(ready=ready, reconciling=verdict.reconciling, stalled=verdict.stalled)
        path = next((problem.path for problem in desired.problems if problem.resource == key), "")
        statuses.append(
            ResourceStatus(
                kind=kind, name=name, digest="", commit=desired.commit, path=path, conditions=_conditions(verdict)
            )
        )
    return statuses


def _with_problem(verdict: _Verdict, desired: Desired, key: str) -> _Verdict:
    problem = next((problem for problem in desired.problems if problem.resource == key), None)
    message = problem.headline() if problem else "its file cannot be read"
    if key in desired.stale:
        message += "; the last good version stays in force"
    return _Verdict(ready=verdict.ready, reconciling=verdict.reconciling, stalled=(Truth.TRUE, "SpecInvalid", message))


def _conditions(verdict: _Verdict) -> tuple[Condition, ...]:
    rows = (("Ready", verdict.ready), ("Reconciling", verdict.reconciling), ("Stalled", verdict.stalled))
    return tuple(
        Condition(type=name, status=status, reason=reason or "Unknown", message=message, changed="")
        for name, (status, reason, message) in rows
    )


def _dated(status: ResourceStatus, earlier: ResourceStatus | None, now: float) -> ResourceStatus:
    """Give each condition the time of its last change."""
    before = {condition.type: condition for condition in earlier.conditions} if earlier else {}
    conditions = []
    for condition in status.conditions:
        old = before.get(condition.type)
        same = old is not None and (old.status, old.reason) == (condition.status, condition.reason)
        changed = old.changed if same and old is not None else time_text(now) or ""
        conditions.append(replace(condition, changed=changed))
    return replace(status, conditions=tuple(conditions))
