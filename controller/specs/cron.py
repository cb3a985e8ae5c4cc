"""Schedules: five fields of cron(5), in UTC.

Written out here because the rules of cron (Sunday is 0 and 7, a day of the month *or* a day of the week when both are
given) are not those of APScheduler 3.11, which counts from Monday and wants both. Source: crontab(5) of Debian's cron
3.0. Reads no clock.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST_MONTH = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}
_LONGEST_GAP_DAYS = 366 * 9
"""29 February comes every eight years at least (1896, 1904)."""


class CronError(ValueError):
    """Text that is no schedule; the message completes "<field> ..."."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Cron:
    """The times of a schedule, by the numbers that each field takes; weekdays count from Sunday as 0."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool
    """A day of the month or of the week will do, as both are given."""

    def newest(self, *, after: float, until: float) -> float | None:
        """Return the newest time in (after, until], None if there is none; seconds since the epoch."""
        end = datetime.fromtimestamp(until, UTC)
        day = end.date()
        first = max(datetime.fromtimestamp(after, UTC).date(), day - timedelta(days=_LONGEST_GAP_DAYS))
        while day >= first:
            if self._on(day) and (found := self._last_of(day, end)) is not None:
                time = found.timestamp()
                return time if time > after else None
            day -= timedelta(days=1)
        return None

    def _on(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        by_day, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_day or by_weekday if self.either_day else by_day and by_weekday

    def _last_of(self, day: date, end: datetime) -> datetime | None:
        for hour in reversed(self.hours):
            for minute in reversed(self.minutes):
                time = datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
                if time <= end:
                    return time
        return None


@functools.lru_cache(maxsize=4096)
def parse(text: str) -> Cron:
    """Return the schedule that five fields, or one of ``MACROS``, say.

    Raises:
        CronError: it is none, or one whose time never comes.
    """
    fields = MACROS.get(text, text).split()
    if len(fields) == 1 and text.startswith("@"):
        raise CronError("is no schedule", "write five fields, or one of " + ", ".join(MACROS))
    if len(fields) != 5:
        raise CronError(f"must have five fields (minute hour day month weekday), not {len(fields)}")
    minute, hour, day, month, weekday = fields
    cron = Cron(
        minutes=tuple(sorted(_numbers("minute", minute, 0, 59))),
        hours=tuple(sorted(_numbers("hour", hour, 0, 23))),
        days=_numbers("day", day, 1, 31),
        months=_numbers("month", month, 1, 12, _MONTHS),
        weekdays=frozenset(number % 7 for number in _numbers("weekday", weekday, 0, 7, _WEEKDAYS)),
        either_day=not day.startswith("*") and not weekday.startswith("*"),
    )
    if not cron.either_day and min(cron.days) > max(_LONGEST_MONTH.get(month, 31) for month in cron.months):
        raise CronError(f"never comes: no such month has a day {min(cron.days)}")
    return cron


def _numbers(field: str, text: str, low: int, high: int, names: tuple[str, ...] = ()) -> frozenset[int]:
    """Return what a field takes: ``*``, numbers, names, ranges, steps, several with commas."""
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            start, end = low, high
        else:
            start = _number(field, first, low, high, names)
            end = _number(field, last, low, high, names) if dash else high if slash else start
        if start > end:
            raise CronError(f'has the {field} "{span[:20]}", which ends before it begins')
        if slash and not (step.isdecimal() and step.isascii() and 0 < int(step[:6]) <= high):
            raise CronError(f'has the step "{step[:20]}" in {field}; a step is 1 to {high}')
        found.update(range(start, end + 1, int(step) if slash else 1))
    return frozenset(found)


def _number(field: str, text: str, low: int, high: int, names: tuple[str, ...]) -> int:
    if text.lower() in names:
        return names.index(text.lower()) + (low if field == "month" else 0)
    if text.isdecimal() and text.isascii() and low <= int(text[:6]) <= high:
        return int(text[:6])
    words = f", or {names[0]} to {names[-1]}" if names else ""
    raise CronError(f'has the {field} "{text[:20]}"; that is {low} to {high}{words}')
