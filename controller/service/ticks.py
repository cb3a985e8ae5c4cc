"""The timer that asks for a pass at an interval: APScheduler with one job that does nothing but ask.

No pass runs in its threads. Its dropping of overlapping runs is of no consequence, as a tick only sets a
flag.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from apscheduler.schedulers.background import BackgroundScheduler

_JOB = "tick"


class Timer(Protocol):
    """Calls ``fire`` at once and then at an interval, until it is stopped."""

    def start(self, fire: Callable[[], None]) -> None:
        """Start, with the first tick at once."""

    def next_in(self, delay_s: float) -> None:
        """Move the next tick to ``delay_s`` from now, sooner or later than it was due."""

    def next_within(self, delay_s: float) -> None:
        """Move the next tick to ``delay_s`` from now, unless it is due sooner."""

    def stop(self) -> None:
        """Let no tick come any more."""


class Ticks:
    """The real timer, by the wall clock in UTC. Start and stop it from one thread."""

    def __init__(self, *, interval_s: float, jitter_s: float = 0.0) -> None:
        self._interval_s = interval_s
        self._jitter_s = jitter_s
        self._scheduler: BackgroundScheduler | None = None

    def start(self, fire: Callable[[], None]) -> None:
        """Start APScheduler's thread, with the first tick at once."""
        from apscheduler.executors.pool import ThreadPoolExecutor
        from apscheduler.schedulers.background import BackgroundScheduler
        from apscheduler.triggers.interval import IntervalTrigger

        # Without misfire_grace_time=None a tick that comes a second late, on a busy machine, is dropped.
        scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(1)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        trigger = IntervalTrigger(seconds=self._interval_s, jitter=self._jitter_s or None, timezone=UTC)
        scheduler.add_job(fire, trigger, id=_JOB, next_run_time=datetime.now(UTC))
        scheduler.start()
        self._scheduler = scheduler

    def next_in(self, delay_s: float) -> None:
        """Move the next tick to ``delay_s`` from now."""
        if self._scheduler is not None:
            self._scheduler.modify_job(_JOB, next_run_time=datetime.now(UTC) + timedelta(seconds=delay_s))

    def next_within(self, delay_s: float) -> None:
        """Move the next tick to ``delay_s`` from now, unless it is due sooner."""
        if self._scheduler is None:
            return
        due = self._scheduler.get_job(_JOB).next_run_time
        if due > datetime.now(UTC) + timedelta(seconds=delay_s):
            self.next_in(delay_s)

    def stop(self) -> None:
        """Stop APScheduler's threads and wait for them."""
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=True)
            self._scheduler = None
