"""SSH by fabric, in this process: the transport for sites where a key or an agent is enough to log in.

One connection, opened when it is first needed and again after it broke; every script is a channel of it. Where the way
leads is laid out in ``hops``.
"""

from __future__ import annotations

import logging
import select
import socket
import threading
import time
from contextlib import suppress
from typing import Any, BinaryIO

import paramiko

from controller.clusters.exchange import CHUNK_BYTES, Output, exchange, settle
from controller.clusters.framing import frame
from controller.clusters.hops import Hop, hops_to
from controller.clusters.login import TooManyKeys
from controller.clusters.shell import shell_unusable
from controller.clusters.ssh_words import unreachable
from controller.clusters.transport import Completed, Progress
from controller.model.errors import ControllerError, StalledError
from controller.model.resources import Connection

MAX_CHANNELS = 8
"""sshd's MaxSessions is 10 unless a site changed it."""
_KEEPALIVE_S = 15
_DEAD_AFTER_S = 60
_REFUSALS = 30
_REFUSALS_BEFORE_LOWERING = 3
_REFUSAL_PAUSE_S = 0.2
_CLOSING_PAUSE_S = 0.002
_WINDOW_WAIT_S = 0.1
"""How long a send may wait for the far side to read on, before another thread may end the input."""
_BROKEN: tuple[type[Exception], ...] = (paramiko.SSHException, OSError, EOFError)

# What it logs as errors it also raises, and with no logging set up it would end on standard error.
logging.getLogger("paramiko.transport").setLevel(logging.CRITICAL)


class ChannelLink:
    """One channel of a connection. Implements ``exchange.Link``.

    paramiko makes a message under a lock and sends it without one. From two threads EOF or data may so leave after the
    channel's CLOSE; the server then ends the whole connection, or takes them for those of the channel that has the
    number next (paramiko issue 1115). So one thread at a time sends; the far side closes no sooner than it has our EOF.
    """

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._channel.settimeout(_WINDOW_WAIT_S)
        self._sending = threading.Lock()
        self._input_over = False
        self._readable = select.poll()
        self._readable.register(channel.fileno(), select.POLLIN)

    def start(self, command_line: str) -> None:
        """Have the far side's login shell run ``command_line``, or close the channel."""
        try:
            self._channel.exec_command(command_line)
        except _BROKEN:
            self.close()
            raise

    def send(self, data: memoryview) -> None:
        while data:
            with self._sending:
                data = data[self._send(data) :]

    def _send(self, data: memoryview) -> int:
        if self._input_over:
            raise BrokenPipeError("the input was ended")
        try:
            count = self._channel.send(data)
        except TimeoutError:
            return 0
        except (paramiko.SSHException, EOFError) as error:
            raise BrokenPipeError("the connection is gone") from error
        if count == 0:
            raise BrokenPipeError("the channel takes no more input")
        return int(count)

    def end_input(self) -> None:
        self._input_over = True
        with self._sending, suppress(*_BROKEN):
            self._channel.shutdown_write()

    def receive(self, timeout_s: float) -> Output:
        self._readable.poll(timeout_s * 1000)
        # Asked before the buffers are emptied: what arrives in between is read next time.
        closed, ended = self._channel.closed, self._channel.eof_received
        stdout = self._channel.recv(CHUNK_BYTES) if self._channel.recv_ready() else b""
        stderr = self._channel.recv_stderr(CHUNK_BYTES) if self._channel.recv_stderr_ready() else b""
        silent = not stdout and not stderr
        if silent and ended and not closed:
            # The exit status is still to come, and the server counts the session until then.
            time.sleep(_CLOSING_PAUSE_S)
        return Output(stdout, stderr, over=closed and silent)

    def abort(self) -> None:
        self.close()

    def close(self) -> None:
        self._input_over = True
        with self._sending, suppress(*_BROKEN):
            self._channel.close()

    def exit_status(self) -> int:
        """Return how the remote login shell ended; -1 when that was never said."""
        return int(self._channel.exit_status)


class ChannelSlots:
    """How many channels are open at once: lowered to what the server evidently allows."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        with self._changed:
            self._take()

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._used -= 1
            self._changed.notify()

    def step_back(self, *, lower: bool) -> None:
        """Give the slot up after a refusal and wait for another; ``lower``: the server allows no more than the rest."""
        with self._changed:
            self._used -= 1
            if lower:
                self._limit = max(1, self._used)
            self._changed.wait(_REFUSAL_PAUSE_S)
            self._take()

    def alone(self) -> bool:
        """Return whether the caller holds the only slot in use."""
        with self._changed:
            return self._used == 1

    def _take(self) -> None:
        self._changed.wait_for(lambda: self._used < self._limit)
        self._used += 1


class FabricTransport:
    """A login node reached by fabric."""

    def __init__(self, connection: Connection, *, connect_timeout_s: int = 15) -> None:
        self._connection = connection
        self._connect_timeout_s = connect_timeout_s
        self._lock = threading.Lock()
        self._hops: tuple[Hop, ...] = ()
        self._slots = ChannelSlots(MAX_CHANNELS)

    def run(
        self,
        script: str,
        *,
        payload: bytes | BinaryIO = b"",
        timeout_s: float = 60.0,
        progress: Progress | None = None,
    ) -> Completed:
        """See ``Transport.run``. ``timeout_s`` counts from when the script is sent; connecting has its own limits."""
        framed = frame(script, login=True, limit_s=timeout_s)
        where = self._connection.host
        with self._slots:
            link = self._start(framed.command_line)
            exchanged = exchange(link, framed, payload, timeout_s=timeout_s, progress=progress)
        if not exchanged.timed_out and not exchanged.ending.started and link.exit_status() >= 0:
            raise shell_unusable(where, exchanged.ending, link.exit_status())
        return settle(exchanged, where=where, timeout_s=timeout_s)

    def close(self) -> None:
        """Close the connection and its gateways. A later ``run`` opens them again."""
        with self._lock:
            self._let_go()

    def _start(self, command_line: str) -> ChannelLink:
        """Start the remote shells. Nothing of the script is sent yet, so what fails here is simply tried again."""
        refusals = breaks = 0
        while True:
            hops = self._open()
            name = hops[-1].name
            started = time.monotonic()
            try:
                link = ChannelLink(hops[-1].link.transport.open_session())
                link.start(command_line)
                return link
            except _BROKEN as error:
                waited = time.monotonic() - started >= self._connect_timeout_s
                if hops[-1].link.is_connected and not waited:
                    # Not by the error's type: paramiko gives ChannelException to one only of those refused at once.
                    refusals += 1
                    if refusals == _REFUSALS:
                        raise unreachable(f"{name} refuses another session: {error}") from error
                    self._slots.step_back(lower=refusals >= _REFUSALS_BEFORE_LOWERING)
                    continue
                breaks += 1
                if not hops[-1].link.is_connected or self._slots.alone():
                    self._drop(hops)
                if breaks == 2 or waited:
                    raise unreachable(f"{name} accepts no session: {error or type(error).__name__}") from error

    def _open(self) -> tuple[Hop, ...]:
        with self._lock:
            if self._hops and all(hop.link.is_connected for hop in self._hops):
                return self._hops
            self._let_go()
            hops = hops_to(self._connection, connect_timeout_s=self._connect_timeout_s)
            self._hops = hops
            try:
                for hop in hops:
                    _open_hop(hop, self._connect_timeout_s)
            except ControllerError:
                self._let_go()
                raise
            return hops

    def _drop(self, hops: tuple[Hop, ...]) -> None:
        with self._lock:
            if self._hops is hops:
                self._let_go()

    def _let_go(self) -> None:
        for hop in reversed(self._hops):
            # The client, not the connection: that closes nothing once its transport has died.
            hop.link.client.close()
        self._hops = ()


def _open_hop(hop: Hop, timeout_s: int) -> None:
    """Connect and log in to one hop, whose gateway is open.

    Raises:
        StalledError: ``HostKeyRejected`` or ``AuthenticationFailed``.
        TransientError: ``Unreachable``.
    """
    started = time.monotonic()
    try:
        hop.link.open()
    except _BROKEN as error:
        transport = hop.link.client.get_transport()
        answered = hop.check.passed and transport is not None and transport.is_active()
        hop.link.client.close()
        in_time = isinstance(error, paramiko.SSHException) and time.monotonic() - started < timeout_s
        if isinstance(error, TooManyKeys) or (answered and in_time):
            raise _refused(hop, error) from error
        reason = str(error) or type(error).__name__
        raise unreachable(f"{hop.name} cannot be reached: {reason}") from error
    _watch(hop.link.transport)


def _refused(hop: Hop, error: paramiko.SSHException) -> StalledError:
    offered = ", ".join(hop.login.tried) or "none"
    notes = "".join(f"; {note}" for note in hop.login.offers.notes)
    message = f"{hop.name} refused the log-in: {error} (keys offered: {offered}{notes}). {hop.login.remedy(error)}."
    return StalledError("AuthenticationFailed", message)


def _watch(transport: Any) -> None:
    """Have a dead peer noticed: without this a vanished network looks like a script that takes long."""
    transport.set_keepalive(_KEEPALIVE_S)
    if not isinstance(transport.sock, socket.socket):
        return
    # A script is three small packets and an answer: with Nagle's algorithm each run waits 40 ms for an ACK.
    transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_AFTER_S * 1000)
