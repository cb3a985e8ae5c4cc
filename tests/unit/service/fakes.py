"""A pass that ends when the test says so, a timer that the test fires, and a service running in a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from controller.service.loop import Service
from controller.service.pacing import Pace
from controller.service.summary import PassSummary

DEADLINE_S = 20.0


def summary(**changes: object) -> PassSummary:
    """A pass that had nothing to do."""
    fields: dict[str, object] = {"pass_id": "p1", "commit": "c0ffee", "started_s": 0.0, "ended_s": 0.5}
    return PassSummary(**(fields | changes))  # type: ignore[arg-type]


class FakePasses:
    """Passes under the test's control. ``most_at_once`` is how many ever ran side by side."""

    def __init__(self) -> None:
        self.begun = 0
        self.most_at_once = 0
        self._running = 0
        self._lock = threading.Lock()
        self._begun: queue.Queue[threading.Event] = queue.Queue()
        self._ends: queue.Queue[PassSummary | Exception] = queue.Queue()

    def __call__(self, stop: threading.Event) -> PassSummary:
        with self._lock:
            self.begun += 1
            self._running += 1
            self.most_at_once = max(self.most_at_once, self._running)
        self._begun.put(stop)
        try:
            end = self._ends.get(timeout=DEADLINE_S)
        finally:
            with self._lock:
                self._running -= 1
        if isinstance(end, Exception):
            raise end
        return end

    def wait_begun(self) -> threading.Event:
        """Wait until a pass has begun; its stop event."""
        return self._begun.get(timeout=DEADLINE_S)

    def end(self, how: PassSummary | Exception | None = None) -> None:
        """Let the pass that runs, or the next one, end."""
        self._ends.put(how or summary())


class FakeTimer:
    """A timer that the test fires. ``moves`` is what the loop asked of it."""

    def __init__(self) -> None:
        self.fire: Callable[[], None] = lambda: None
        self.moves: list[tuple[str, float]] = []
        self.running = False

    def start(self, fire: Callable[[], None]) -> None:
        self.fire = fire
        self.running = True
        fire()

    def next_in(self, delay_s: float) -> None:
        self.moves.append(("in", delay_s))

    def next_within(self, delay_s: float) -> None:
        self.moves.append(("within", delay_s))

    def stop(self) -> None:
        self.running = False


class Ended:
    """An observer that lets the test wait until the loop has dealt with the end of a pass."""

    def __init__(self) -> None:
        self._ends: queue.Queue[str] = queue.Queue()

    def pass_ended(self, summary: PassSummary) -> None:
        self._ends.put(summary.result.value)

    def pass_failed(self, reason: str, duration_s: float) -> None:
        self._ends.put(reason)

    def wait(self) -> str:
        return self._ends.get(timeout=DEADLINE_S)


class Running:
    """A service in a thread, with everything around it under the test's control."""

    def __init__(self, pace: Pace) -> None:
        self.passes = FakePasses()
        self.timer = FakeTimer()
        self.ended = Ended()
        self.service = Service(self.passes, pace=pace, timer=self.timer, observers=[self.ended])
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        self.service.run()

    def start(self) -> Running:
        self._thread.start()
        return self

    def join(self) -> None:
        """Wait for ``run`` to return."""
        self._thread.join(timeout=DEADLINE_S)
        assert not self._thread.is_alive()

    def close(self) -> None:
        self.service.stop()
        self.passes.end()
        self.join()
