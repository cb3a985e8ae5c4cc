"""SSH by the ``ssh`` program: the transport for sites with a second factor, Kerberos, or an unusual configuration.

Every script is a session of a master connection, which ``masters`` keeps. What the program says of itself goes to a
log file, so it is never taken for the output of a script. A session whose master dies while it opens connects by
itself; what the master had read of the script is missing then, and the frame does not run what is left.
"""

from __future__ import annotations

import tempfile
import threading
from typing import BinaryIO

from controller.clusters.exchange import Exchanged, exchange, settle
from controller.clusters.framing import frame
from controller.clusters.masters import Master
from controller.clusters.processes import ChildProcess
from controller.clusters.shell import shell_unusable
from controller.clusters.ssh_words import refusal, was_sent, went_alone
from controller.clusters.transport import Completed, Progress
from controller.model.errors import ConfigurationError
from controller.model.resources import Connection

MAX_SESSIONS = 8
"""sshd's MaxSessions is 10 unless a site changed it; a session beyond that makes a connection of its own."""
_SSH_FAILED = 255


class OpenSshTransport:
    """A login node reached by the OpenSSH client."""

    def __init__(self, connection: Connection, *, connect_timeout_s: int = 15) -> None:
        self._connection = connection
        self._master = Master(connection, connect_timeout_s=connect_timeout_s)
        self._sessions = threading.BoundedSemaphore(MAX_SESSIONS)

    def run(
        self,
        script: str,
        *,
        payload: bytes | BinaryIO = b"",
        timeout_s: float = 60.0,
        progress: Progress | None = None,
    ) -> Completed:
        """See ``Transport.run``. ``timeout_s`` counts from when ``ssh`` is started on a master that is there."""
        framed = frame(script, login=True, limit_s=timeout_s)
        with self._sessions, tempfile.NamedTemporaryFile(prefix="ssh-", suffix=".log") as log:
            argv = [*self._master.session_argv(), "-E", log.name, "--", self._connection.host, framed.command_line]
            try:
                link = ChildProcess(argv)
            except OSError as error:
                message = f"ssh cannot be started ({error}); install the OpenSSH client or set `transport: fabric`"
                raise ConfigurationError("SshMissing", message) from error
            exchanged = exchange(link, framed, payload, timeout_s=timeout_s, progress=progress)
            said = log.read().decode("utf-8", "replace")
        if exchanged.timed_out or link.exit_code == _SSH_FAILED or went_alone(said):
            self._master.doubt()
        self._raise_if_not_run(exchanged, link.exit_code, said)
        return settle(exchanged, where=self._connection.host, timeout_s=timeout_s)

    def _raise_if_not_run(self, exchanged: Exchanged, exit_code: int | None, said: str) -> None:
        """Raise what is certain to have run nothing; whatever is in doubt is left to ``settle``."""
        if exchanged.ending.started or exchanged.timed_out or exit_code is None or exit_code < 0:
            return
        if exit_code != _SSH_FAILED:
            raise shell_unusable(self._connection.host, exchanged.ending, exit_code)
        if not was_sent(said):
            raise refusal(said, where=self._connection.host, known_hosts=self._connection.known_hosts)

    def close(self) -> None:
        """End the master connection if it was started here. A later ``run`` starts it again."""
        self._master.close()
