"""The exchange with a running shell: send script and payload, gather both outputs, all before a deadline.

Sending has a thread of its own, so that a script which writes much before it reads, or never reads, cannot
stop the exchange. What the bytes travel over is a ``Link``; what they mean is in ``framing``.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO, Protocol

from controller.clusters.framing import Ending, Frame
from controller.clusters.transport import Completed, Progress
from controller.model.errors import AmbiguousError

CHUNK_BYTES = 256 * 1024
LINGER_S = 1.0
"""How long output must be quiet after the script's end while something left behind keeps the streams open."""
_POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class Output:
    """What arrived on both streams. ``over``: nothing more will come."""

    stdout: bytes = b""
    stderr: bytes = b""
    over: bool = False


class Link(Protocol):
    """Both directions of one running remote or local shell."""

    def send(self, data: memoryview) -> None:
        """Send all of ``data``, waiting as long as it takes.

        Raises:
            OSError: the far side, or ``close``, ended the way there.
        """

    def end_input(self) -> None:
        """Let the far side see the end of its standard input. A thread that waits in ``send`` gets an error."""

    def receive(self, timeout_s: float) -> Output:
        """Wait at most ``timeout_s`` for output and return what is there."""

    def abort(self) -> None:
        """End the far side, as far as it is within reach, and close."""

    def close(self) -> None:
        """Let go of the streams and wake a thread that waits in ``send``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanged:
    """What came of an exchange."""

    ending: Ending
    timed_out: bool


class _Feeder(threading.Thread):
    """Sends the frame's head and the payload, then ends the input."""

    def __init__(self, link: Link, head: bytes, payload: BinaryIO, progress: Progress | None) -> None:
        super().__init__(name="transport-feeder", daemon=True)
        self._link = link
        self._head = head
        self._payload = payload
        self._progress = progress
        self.failed = False
        self.cause: Exception | None = None

    def run(self) -> None:
        fed = False
        try:
            self._feed()
            fed = True
        except (OSError, ValueError) as error:
            self.cause = error
        finally:
            # An error that nobody foresaw goes to threading.excepthook; the exchange still ends at once.
            self.failed = not fed

    def _feed(self) -> None:
        if not self._sent(self._head):
            return
        count = 0
        while chunk := self._payload.read(CHUNK_BYTES):
            if not self._sent(chunk):
                return
            count += len(chunk)
            if self._progress is not None:
                self._progress(count)
        self._link.end_input()

    def _sent(self, data: bytes) -> bool:
        """Send; False when the far side reads no further, which is its right."""
        try:
            self._link.send(memoryview(data))
        except OSError:
            return False
        return True


def exchange(
    link: Link,
    frame: Frame,
    payload: bytes | BinaryIO,
    *,
    timeout_s: float,
    progress: Progress | None = None,
) -> Exchanged:
    """Carry out the exchange and close the link.

    Raises:
        AmbiguousError: reading the payload failed (``PayloadFailed``); the script has seen a part of it.
    """
    source = BytesIO(payload) if isinstance(payload, bytes) else payload
    feeder = _Feeder(link, frame.head, source, progress)
    feeder.start()
    settled = False
    try:
        exchanged = _gather(link, frame, feeder, timeout_s)
        settled = not exchanged.timed_out
    finally:
        if settled:
            link.close()
        else:
            link.abort()
    return exchanged


def _gather(link: Link, frame: Frame, feeder: _Feeder, timeout_s: float) -> Exchanged:
    stdout, stderr = bytearray(), bytearray()
    ended = over = False
    heard = time.monotonic()
    deadline = heard + timeout_s
    while not over and (now := time.monotonic()) < deadline:
        if feeder.failed:
            message = f"the payload could not be read to its end: {feeder.cause or 'see the log'}"
            raise AmbiguousError("PayloadFailed", message) from feeder.cause
        if ended and now - heard > LINGER_S:
            break
        output = link.receive(min(_POLL_S, deadline - now))
        if output.stdout or output.stderr:
            heard = time.monotonic()
        searched = max(0, len(stderr) - frame.exit_mark_length)
        stdout += output.stdout
        stderr += output.stderr
        if not ended and output.stderr and frame.ended(stderr, searched):
            ended = True
            # What is left of the payload nobody reads, and the outer shell waits for the end of its input.
            link.end_input()
        over = output.over
    return Exchanged(ending=frame.read(bytes(stdout), bytes(stderr)), timed_out=not (ended or over))


def settle(exchanged: Exchanged, *, where: str, timeout_s: float) -> Completed:
    """Return how the script ended, for a link that was certainly open when the script was sent.

    Raises:
        AmbiguousError: ``TimedOut`` or ``ConnectionLost``.
    """
    if exchanged.timed_out:
        raise AmbiguousError(
            "TimedOut",
            f"the script on {where} did not end within {timeout_s:g} s; it may still be running there",
        )
    completed = exchanged.ending.completed()
    if completed is None:
        raise AmbiguousError(
            "ConnectionLost",
            f"the connection to {where} was lost before the script was seen to end; it may have run or be running",
        )
    return completed
