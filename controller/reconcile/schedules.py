"""Scheduled jobs: which time of its schedule a job's tasks stand for now.

A time is put into the tasks' digests, so that each is a task of its own to the planner. Only the newest time that has
passed counts, so no storm of old ones follows a pause; while a run of an earlier time is active, that time stays, so
that none overlaps; the first time is the first after the controller saw the schedule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from controller.model.conditions import ACTIVE
from controller.model.digests import digest_of
from controller.model.resources import Desired, Job
from controller.model.runs import RunRecord

_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")


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
    busy = {record.run.job for record in runs.values() if record.state in ACTIVE}
    jobs, remembered = dict(desired.jobs), {}
    for name, job in desired.jobs.items():
        if job.schedule is None:
            continue
        clockwork = known.get(name)
        if clockwork is None or clockwork.schedule != job.schedule:
            clockwork = Clockwork(schedule=job.schedule, since=now, tick=clockwork.tick if clockwork else None)
        if name not in busy and not job.suspend:
            newest = newest_time(job.schedule, after=max(clockwork.since, clockwork.tick or 0), until=now)
            clockwork = replace(clockwork, tick=newest if newest is not None else clockwork.tick)
        remembered[name] = clockwork
        jobs[name] = _at(job, clockwork.tick)
    return replace(desired, jobs=jobs), remembered


def newest_time(schedule: str, *, after: float, until: float) -> float | None:
    """Return the newest time of a schedule in (after, until]; seconds since the epoch, None when there is none."""
    trigger = trigger_of(schedule)
    end = datetime.fromtimestamp(until, UTC)
    first = datetime.fromtimestamp(after, UTC) + timedelta(microseconds=1)
    window = timedelta(minutes=2)
    # Look back in ever longer steps, so that a schedule of every minute is not walked through from years ago.
    while True:
        start = max(first, end - window)
        found = _last_from(trigger, start, end)
        if found is not None:
            return found.timestamp()
        if start == first:
            return None
        window *= 8


def _last_from(trigger: Any, start: datetime, end: datetime) -> datetime | None:
    found: datetime | None = None
    fire: datetime | None = trigger.get_next_fire_time(None, start)
    while fire is not None and fire <= end:
        found = fire
        fire = trigger.get_next_fire_time(fire, fire + timedelta(seconds=1))
    return found


def trigger_of(schedule: str) -> Any:
    """Return an APScheduler trigger for five fields of cron(5), in UTC.

    APScheduler 3.11 counts weekdays from Monday as 0 and refuses 7; cron counts from Sunday, and 7 is Sunday too. So
    numbers become names first.

    Raises:
        ValueError: it is no schedule.
    """
    from apscheduler.triggers.cron import CronTrigger

    fields = schedule.split()
    if len(fields) != 5:
        raise ValueError(f"a schedule has five fields (minute hour day month weekday), not {len(fields)}")
    minute, hour, day, month, weekday = fields
    return CronTrigger(minute=minute, hour=hour, day=day, month=month, day_of_week=_weekdays(weekday), timezone="UTC")


def _weekdays(field: str) -> str:
    """Turn cron's weekday numbers into the list of names that they mean."""
    if field.startswith("*") or any(char.isalpha() for char in field):
        return field
    names: list[str] = []
    for part in field.split(","):
        numbers, _, step = part.partition("/")
        first, _, last = numbers.partition("-")
        if not first.isdigit() or (last and not last.isdigit()) or int(last or first) > 7:
            raise ValueError(f"{part!r} is no weekday of cron: 0 to 7, or names")
        end = int(last) if last else 6 if step else int(first)
        names += [_WEEKDAYS[number] for number in range(int(first), end + 1, int(step or 1))]
    return ",".join(dict.fromkeys(names))


def _at(job: Job, tick: float | None) -> Job:
    if tick is None:
        return job
    text = datetime.fromtimestamp(tick, UTC).strftime("%Y-%m-%dT%H:%MZ")
    tasks = tuple(replace(task, digest=digest_of([task.digest, text])) for task in job.tasks)
    return replace(job, tasks=tasks, tick=text)
