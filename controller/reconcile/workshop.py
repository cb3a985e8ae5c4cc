"""Where actions go on that may take an hour: images built, tested, brought to a cluster.

A command waits for them to the end. The service gives them a few seconds and goes on with its passes, so that a long
build keeps no other job from being submitted, cancelled or told of; the planner leaves alone what is under way. Nothing
of it is remembered: what dies with the process is begun again by the next one. Does not belong here: what is done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

WORKERS = 8
Result = TypeVar("Result")


class Workshop:
    """Threads for lasting actions, and the keys of those that have begun and not ended. Starts none by itself."""

    def __init__(self, patience_s: float | None = None) -> None:
        """``patience_s`` is how long a pass, and a stop, wait for them; None is until they end."""
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._begun: dict[Future[object], tuple[frozenset[str], str]] = {}

    @property
    def underway(self) -> frozenset[str]:
        """Keys of the actions that have begun and not ended."""
        with self._lock:
            return frozenset(key for future, (keys, _) in self._begun.items() if not future.done() for key in keys)

    def busy(self, kind: str) -> int:
        """Return how many pieces of work of a kind have begun and not ended, whichever pass began them."""
        with self._lock:
            return sum(not future.done() and each == kind for future, (_, each) in self._begun.items())

    def begin(self, keys: Iterable[str], work: Callable[[], Result], *, kind: str = "") -> Future[Result]:
        """Begin an action in a thread of its own, and return what tells of its end."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="workshop")
            future = self._pool.submit(work)
            self._begun = {each: held for each, held in self._begun.items() if not each.done()}
            self._begun[future] = (frozenset(keys), kind)  # type: ignore[index]
        return future

    def deadline(self) -> float | None:
        """Return until when, by the monotonic clock, a pass that begins now waits; None for ever."""
        return None if self._patience_s is None else time.monotonic() + self._patience_s

    def start(self) -> None:
        """Do nothing: threads start when there is something to do."""

    def stop(self) -> None:
        """Wait for what is under way as long as a pass does; what has not begun never will."""
        with self._lock:
            pool, self._pool, begun = self._pool, None, list(self._begun)
        if pool is not None:
            wait(begun, timeout=self._patience_s)
            pool.shutdown(wait=False, cancel_futures=True)
