"""The way to a cluster: run one bash script there, with bytes on its standard input.

Everything the controller does on a cluster is one script and one payload, so a transport has a single verb. What the
script means is none of its business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Protocol

Progress = Callable[[int], None]
"""Called with the number of payload bytes sent so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """How a script ended. Output is bytes: nothing promises that it is text."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class Transport(Protocol):
    """A connection to one machine. Safe to use from several threads at once."""

    def run(
        self,
        script: str,
        *,
        payload: bytes | BinaryIO = b"",
        timeout_s: float = 60.0,
        progress: Progress | None = None,
    ) -> Completed:
        """Run ``script`` in a bash login shell there; the payload is what the script finds on its standard input.

        The script reaches the far side on standard input too, never in argv, so it may hold anything and have any
        length. A script that does not read its payload to the end is no error. A script must not take the end of its
        payload for the whole of it: when the connection breaks, the far side sees the same end of input.

        Output before the script's own, such as a profile's, is cut off. ``timeout_s`` counts from when the script is
        sent; connecting has limits of its own.

        Raises:
            StalledError: the host key is unknown or wrong (``HostKeyRejected``), or the log-in was refused
                (``AuthenticationFailed``), or the SSH configuration cannot be used (``SshConfigInvalid``,
                ``SshMissing``); nothing was run.
            TransientError: no connection could be made (``Unreachable``), or the login shell ended before the script
                began (``ShellUnusable``); nothing was run.
            AmbiguousError: the connection was lost (``ConnectionLost``), ``timeout_s`` passed (``TimedOut``) or the
                payload could not be read (``PayloadFailed``) after the script was sent: it may have run, be running,
                or not.
            ValueError: the script holds a NUL.
        """

    def close(self) -> None:
        """Let go of the connection. A later ``run`` opens it again."""
