"""The loop of the long-running controller: passes one after another, whenever somebody asked for one.

Ticks, webhooks, signals and people call ``request_pass`` from their own threads; that sets a flag and wakes
the one worker, which is the thread that called ``run``. However many ask while a pass runs, one more pass
follows it. Nothing but the fact that somebody asked goes in: a pass reads the repository and the world
itself.

What must not be in here: what a pass does, HTTP, signal handlers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Protocol

import structlog

from controller.model.errors import ControllerError, TransientError
from controller.model.machine import fault_of
from controller.service.pacing import Health, Pace, Progress, health
from controller.service.summary import PassResult, PassSummary
from controller.service.ticks import Ticks, Timer

RunPass = Callable[[threading.Event], PassSummary]
"""Runs one pass. When the event is set it ends its current safe step and returns. Raises ControllerError."""

TICK = "tick"

log = structlog.get_logger()


class Companion(Protocol):
    """Something that runs beside the loop for exactly as long as it: signals, the HTTP port."""

    def start(self) -> None:
        """Start; raises ControllerError when it cannot."""

    def stop(self) -> None:
        """Stop, within seconds."""


class PassObserver(Protocol):
    """Is told how passes end."""

    def pass_ended(self, summary: PassSummary) -> None:
        """A pass ran to its end."""

    def pass_failed(self, reason: str, duration_s: float) -> None:
        """A pass could not run."""


class Service:
    """Runs passes until it is told to stop. Building one starts nothing."""

    def __init__(
        self,
        run_pass: RunPass,
        *,
        pace: Pace,
        timer: Timer | None = None,
        observers: Sequence[PassObserver] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run_pass = run_pass
        self._pace = pace
        self._timer = timer or Ticks(interval_s=pace.interval_s, jitter_s=pace.jitter_s)
        self._observers = tuple(observers)
        self._clock = clock
        self._changed = threading.Condition()
        self._requests: set[str] = set()
        self._stop = threading.Event()
        self._progress = Progress(started_s=clock())

    # ---- called from any thread, but not from inside a signal handler: they take a lock ----

    def request_pass(self, reason: str) -> None:
        """Ask for a pass soon. Returns at once; ``reason`` is for the log only."""
        with self._changed:
            if self._stop.is_set():
                return
            self._requests.add(reason)
            self._changed.notify_all()

    def stop(self) -> None:
        """Ask for a clean end: no new pass, and the running one ends its current safe step."""
        with self._changed:
            self._stop.set()
            self._changed.notify_all()

    @property
    def progress(self) -> Progress:
        """What the loop knows of its own passes now."""
        with self._changed:
            return replace(self._progress, requested=bool(self._requests), stopping=self._stop.is_set())

    def health(self) -> Health:
        """Whether the loop is alive."""
        return health(self.progress, self._pace, self._clock())

    # ---- the worker ----

    def run(self, companions: Sequence[Companion] = ()) -> None:
        """Run passes in this thread until ``stop``; starts and ends the companions and the ticks.

        Raises:
            ControllerError: a companion could not start; no pass was run.
        """
        self._note(started_s=self._clock())
        with ExitStack() as running:
            for companion in companions:
                companion.start()
                running.callback(companion.stop)
            self._timer.start(lambda: self.request_pass(TICK))
            running.callback(self._timer.stop)
            log.info("service_started", interval_s=self._pace.interval_s)
            while (reasons := self._next_requests()) is not None:
                self._one_pass(reasons)
            log.info("service_stopping")
        log.info("service_stopped", passes_completed=self.progress.completed)

    def _next_requests(self) -> list[str] | None:
        """Wait until a pass is asked for and may begin. None: stop."""
        with self._changed:
            while not self._stop.is_set():
                gap_s = self._gap_left_s()
                if self._requests and gap_s <= 0:
                    reasons = sorted(self._requests)
                    self._requests.clear()
                    return reasons
                self._changed.wait(gap_s if self._requests else None)
            return None

    def _gap_left_s(self) -> float:
        began_s = self._progress.began_s
        if began_s is None:
            return 0.0
        # Never longer than the gap itself, should the clock misbehave.
        return min(self._pace.min_gap_s, began_s + self._pace.min_gap_s - self._clock())

    def _one_pass(self, reasons: list[str]) -> None:
        log.debug("pass_started", requested_by=reasons)
        began_s = self._clock()
        self._note(began_s=began_s, running=True)
        try:
            summary = self._run_pass(self._stop)
        except ControllerError as error:
            self._failed(error, self._clock() - began_s)
        except Exception as error:
            if (fault := fault_of(error)) is not None:
                self._failed(fault, self._clock() - began_s)
                return
            # A defect in one pass must not end the service, as it does not end cron.
            log.exception("pass_crashed")
            crash = TransientError("InternalError", f"A defect of the controller ended the pass: {error!r}.")
            self._failed(crash, self._clock() - began_s)
        else:
            self._ended(summary)

    def _ended(self, summary: PassSummary) -> None:
        if summary.result is PassResult.FAILED:
            error = TransientError(summary.error_reason or "", "The pass ended early.")
            self._back_off(error)
        else:
            completed = self._progress.completed + 1
            self._note(running=False, completed=completed, failures=0, failure="", backoff_s=0.0)
            if summary.next_pass_in_s is not None:
                self._timer.next_within(max(summary.next_pass_in_s, self._pace.min_gap_s))
        log.info(
            "pass_ended",
            pass_id=summary.pass_id,
            commit=summary.commit,
            result=summary.result.value,
            reason=summary.error_reason,
            duration_s=round(summary.duration_s, 3),
            actions=sum(summary.actions.values()),
            failed_actions=summary.failed_actions,
            invalid_specs=summary.invalid_specs,
            unreachable=sorted(name for name, reachable in summary.clusters.items() if not reachable),
            next_pass_in_s=summary.next_pass_in_s,
        )
        for observer in self._observers:
            observer.pass_ended(summary)

    def _failed(self, error: ControllerError, duration_s: float) -> None:
        retry_in_s = self._back_off(error)
        log.error("pass_failed", reason=error.reason, message=error.message, retry_in_s=retry_in_s)
        for observer in self._observers:
            observer.pass_failed(error.reason, duration_s)

    def _back_off(self, error: ControllerError) -> float:
        """Let the next tick come later. Whoever else asks is served: their push may be the remedy."""
        failures = self._progress.failures + 1
        backoff_s = self._pace.backoff_s(failures, error)
        with self._changed:
            self._requests.discard(TICK)
            self._progress = replace(
                self._progress, running=False, failures=failures, failure=error.reason, backoff_s=backoff_s
            )
        self._timer.next_in(backoff_s)
        return backoff_s

    def _note(self, **changes: object) -> None:
        with self._changed:
            self._progress = replace(self._progress, **changes)  # type: ignore[arg-type]
