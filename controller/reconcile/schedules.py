"""Scheduled jobs: which time of its schedule a job's tasks stand for now.

A time is put into the tasks' digests, so that each is a task of its own to the planner. Only the newest time that has
passed counts, so no storm of old ones follows a pause; while a run of an earlier time is active, that time stays, so
that none overlaps; the first time is the first after the controller saw the schedule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from controller.model.conditions import ACTIVE
from controller.model.digests import digest_of
from controller.model.resources import Desired, Job, Task
from controller.model.runs import RunRecord
from controller.planning.carried import Carried
from controller.specs import cron


@dataclass(frozen=True, slots=True, kw_only=True)
class Clockwork:
    """What is remembered of a scheduled job: its schedule, since when it is known, the time it stands for."""

    schedule: str
    since: float
    tick: float | None = None


def with_ticks(
    desired: Desired, known: Mapping[str, Clockwork], runs: Mapping[str, RunRecord], *, now: float
) -> tuple[Desired, dict[str, Clockwork]]:
    """Return the desired state with every scheduled job at its time, and what to remember by job name."""
    carried = Carried(desired)
    busy = {carried.run(record.run).job for record in runs.values() if record.state in ACTIVE}
    jobs, remembered = dict(desired.jobs), {}
    for name, job in desired.jobs.items():
        if job.schedule is None:
            continue
        clockwork = next((known[each] for each in (name, *job.was) if each in known), None)
        if clockwork is None or clockwork.schedule != job.schedule:
            clockwork = Clockwork(schedule=job.schedule, since=now, tick=clockwork.tick if clockwork else None)
        if name not in busy and not job.suspend:
            newest = cron.parse(job.schedule).newest(after=max(clockwork.since, clockwork.tick or 0), until=now)
            clockwork = replace(clockwork, tick=newest if newest is not None else clockwork.tick)
        remembered[name] = clockwork
        jobs[name] = _at(job, clockwork.tick)
    return replace(desired, jobs=jobs), remembered


def _at(job: Job, tick: float | None) -> Job:
    if tick is None:
        return job
    text = datetime.fromtimestamp(tick, UTC).strftime("%Y-%m-%dT%H:%MZ")
    return replace(job, tasks=tuple(_task_at(task, text) for task in job.tasks), tick=text)


def _task_at(task: Task, text: str) -> Task:
    earlier = tuple(place._replace(digest=digest_of([place.digest, text])) for place in task.earlier)
    return replace(task, digest=digest_of([task.digest, text]), earlier=earlier)
