"""Signals, turned into calls on an ordinary thread: stop, stop now, run a pass.

A Python signal handler runs between two byte codes of the main thread. So it may not take a lock that this
thread may hold, and it waits for as long as a C call takes, such as a fetch in libgit2. Instead the
interpreter's C handler writes the signal's number to a socket (``signal.set_wakeup_fd``) and a thread reads
it there, whatever the main thread does.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType

import structlog

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_CLOSE = b"\0"  # No signal has the number 0.

log = structlog.get_logger()


class Signals:
    """While started: SIGTERM and SIGINT stop, a second one ends the process at once, SIGHUP asks for a pass.

    A stop that takes longer than ``stop_timeout_s`` ends the process too, with 128 + the signal's number.
    That is safe at any instant; the next start looks at what is there. Start and stop it from the main
    thread.
    """

    def __init__(
        self,
        *,
        on_stop: Callable[[], None],
        on_hangup: Callable[[], None],
        stop_timeout_s: float = 60.0,
        exit_now: Callable[[int], None] = os._exit,
    ) -> None:
        self._on_stop = on_stop
        self._on_hangup = on_hangup
        self._stop_timeout_s = stop_timeout_s
        self._exit_now = exit_now
        self._thread: threading.Thread | None = None
        self._restore: list[Callable[[], object]] = []
        self._write_end: socket.socket | None = None

    def start(self) -> None:
        """Take over the signals."""
        read_end, write_end = socket.socketpair()
        write_end.setblocking(False)
        self._write_end = write_end
        self._thread = threading.Thread(target=self._watch, args=(read_end,), name="signals", daemon=True)
        self._thread.start()
        previous_fd = signal.set_wakeup_fd(write_end.fileno(), warn_on_full_buffer=False)
        self._restore.append(lambda: signal.set_wakeup_fd(previous_fd))
        for number in (*_STOP_SIGNALS, signal.SIGHUP):
            self._take_over(number)

    def stop(self) -> None:
        """Give the signals back to whoever had them."""
        for restore in reversed(self._restore):
            restore()
        self._restore.clear()
        if self._thread is not None and self._write_end is not None:
            self._write_end.setblocking(True)
            self._write_end.sendall(_CLOSE)
            self._thread.join()
            self._write_end.close()
            self._thread = None

    def _take_over(self, number: signal.Signals) -> None:
        previous = signal.signal(number, _ignore)
        # None: a handler that Python did not install, and so cannot put back.
        self._restore.append(lambda: signal.signal(number, signal.SIG_DFL if previous is None else previous))

    def _watch(self, read_end: socket.socket) -> None:
        deadline_s: float | None = None
        stopped_by = 0
        with read_end:
            while True:
                try:
                    left_s = None if deadline_s is None else max(0.001, deadline_s - time.monotonic())
                    read_end.settimeout(left_s)
                    received = read_end.recv(64)
                except TimeoutError:
                    log.error("stop_timed_out", after_s=self._stop_timeout_s)
                    self._exit_now(128 + stopped_by)
                    return
                for number in received:
                    if number == 0:
                        return
                    if number == signal.SIGHUP:
                        log.info("signal_received", signal="SIGHUP")
                        self._on_hangup()
                    elif number in _STOP_SIGNALS and stopped_by:
                        log.warning("stopped_at_once", signal=signal.Signals(number).name)
                        self._exit_now(128 + number)
                        return
                    elif number in _STOP_SIGNALS:
                        log.info("signal_received", signal=signal.Signals(number).name)
                        stopped_by = number
                        deadline_s = time.monotonic() + self._stop_timeout_s
                        self._on_stop()


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Stand in for the default action; the thread does the work."""
