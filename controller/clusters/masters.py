"""Master connections of the OpenSSH client: using the one a person has opened, or keeping one of our own.

A site with two factors lets nobody in without a person. Whoever has ``ControlPath`` in the SSH configuration and has
logged in by hand has a socket there, and that is used as it is. Otherwise a master is started in a private directory.
All options that keep ``ssh`` from asking, or from trusting a host it does not know, stand in a configuration file of
our own that includes the user's: so they hold for every gateway too, which options on the command line do not.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

from controller.clusters.processes import clean_environment
from controller.clusters.ssh_config import SYSTEM_FILE, USER_FILE, named_file
from controller.clusters.ssh_words import refusal
from controller.model.errors import ConfigurationError
from controller.model.resources import Connection

_FORCED = """\
Host *
  IgnoreUnknown StdinNull,SessionType,ForkAfterAuthentication
  StdinNull no
  SessionType default
  ForkAfterAuthentication no
  RequestTTY no
  BatchMode yes
  StrictHostKeyChecking yes
  UpdateHostKeys no
  NoHostAuthenticationForLocalhost no
  ControlMaster no
  ConnectTimeout {connect_timeout_s}
  ServerAliveInterval 15
  ServerAliveCountMax 3
  ForwardAgent no
  ForwardX11 no
  ClearAllForwardings yes
  PermitLocalCommand no
  LogLevel DEBUG1
"""
_QUICK_CIPHERS = "aes128-gcm@openssh.com,aes256-gcm@openssh.com"
"""With them 500 MB took 2.2 s, with the program's own first choice 2.9 s (measured)."""
_LOG_BYTES = 1024 * 1024
"""A master goes on writing, some 600 bytes a session: emptied when it is longer than this."""
_SOCKET_PARENT_LENGTH = 60
"""Characters that leave room in sun_path (108 bytes, unix(7)) for our names and the suffix that ssh adds at first."""


class Master:
    """The connection that sessions to one login node share. Safe to use from several threads."""

    def __init__(self, connection: Connection, *, connect_timeout_s: int) -> None:
        self._connection = connection
        self._connect_timeout_s = connect_timeout_s
        self._lock = threading.Lock()
        self._directory: Path | None = None
        self._own = False
        self._sure = False

    def session_argv(self) -> list[str]:
        """Return the command that opens a session, without the host and what to run there; a master runs then.

        Raises:
            StalledError: ``HostKeyRejected``, ``AuthenticationFailed``, or the configuration cannot be used.
            TransientError: ``Unreachable``.
        """
        with self._lock:
            if self._directory is None:
                self._directory = self._prepared_directory()
            if not self._sure:
                self._find_or_start(self._directory)
                self._sure = True
            log = self._directory / "master.log"
            if log.exists() and log.stat().st_size > _LOG_BYTES:
                os.truncate(log, 0)
            return self._ssh(self._directory, own=self._own)

    def doubt(self) -> None:
        """Look again, before the next session, whether the master is there: one has just gone without it."""
        with self._lock:
            self._sure = False

    def close(self) -> None:
        """End the master that was started here; a person's own is left alone."""
        with self._lock:
            if self._directory is None:
                return
            if self._own:
                self._call(self._directory, "-O", "exit", own=True)
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None
            self._own = self._sure = False

    def _find_or_start(self, directory: Path) -> None:
        """Take the person's master, or else ours, or else start one."""
        if self._call(directory, "-O", "check", own=False):
            self._own = False
            return
        self._own = True
        if not self._call(directory, "-O", "check", own=True):
            self._start(directory)

    def _start(self, directory: Path) -> None:
        """Connect, log in and leave a master behind. Nothing is run on the far side."""
        (directory / "s").unlink(missing_ok=True)
        log = directory / "master.log"
        log.write_bytes(b"")
        # Without -v a master that is to persist sends what its gateways say to /dev/null.
        arguments = ("-v", "-o", "ControlMaster=yes", "-o", "ControlPersist=10m", "-N", "-f")
        if not self._call(directory, *arguments, own=True, log=log):
            text = log.read_text(encoding="utf-8", errors="replace")
            raise refusal(text, where=self._connection.host, known_hosts=self._connection.known_hosts)

    def _call(self, directory: Path, *arguments: str, own: bool, log: Path | None = None) -> bool:
        """Run ``ssh`` for what it does on this machine; False when it fails.

        Its output goes to a file: a master that stays in the background would hold a pipe open.
        """
        argv = [*self._ssh(directory, own=own), *arguments, "--", self._connection.host]
        with (log or Path(os.devnull)).open("ab") as output:
            try:
                child = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=clean_environment(os.environ),
                    start_new_session=True,
                )
            except OSError as error:
                message = f"ssh cannot be started ({error}); install the OpenSSH client or set `transport: fabric`"
                raise ConfigurationError("SshMissing", message) from error
            try:
                # ConnectTimeout holds for each hop; this is for the ones that get stuck after it.
                return child.wait(self._connect_timeout_s * 3) == 0
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                return False

    def _ssh(self, directory: Path, *, own: bool) -> list[str]:
        wanted = self._connection
        argv = ["ssh", "-F", str(directory / "config"), "-T", "-o", "RemoteCommand=none", "-o", "EscapeChar=none"]
        if own:
            argv += ["-o", f"ControlPath={directory}/s"]
        if wanted.user is not None:
            argv += ["-l", wanted.user]
        if wanted.port is not None:
            argv += ["-p", str(wanted.port)]
        if wanted.proxy_jump is not None:
            argv += ["-J", wanted.proxy_jump]
        return argv

    def _prepared_directory(self) -> Path:
        """Return a new directory that nobody else can enter, with the configuration in it."""
        parents = (os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir())
        fitting = [p for p in parents if p and len(p) <= _SOCKET_PARENT_LENGTH and os.access(p, os.W_OK)]
        configuration = self._configuration()
        directory = Path(tempfile.mkdtemp(prefix="ssh-", dir=fitting[0] if fitting else "/tmp"))
        (directory / "config").write_text(configuration, encoding="utf-8")
        return directory

    def _configuration(self) -> str:
        wanted = self._connection
        lines = [_FORCED.format(connect_timeout_s=self._connect_timeout_s)]
        if wanted.known_hosts is not None:
            lines += [f"  UserKnownHostsFile {_quoted(wanted.known_hosts)}", "  GlobalKnownHostsFile /dev/null"]
        if wanted.identity_file is not None:
            lines.append(f"  IdentityFile {_quoted(wanted.identity_file)}")
        # Include passes over a file that is not there in silence.
        files = (USER_FILE, SYSTEM_FILE) if wanted.ssh_config is None else (str(named_file(wanted.ssh_config)),)
        lines += [f"Include {_quoted(file)}" for file in files]
        # Last, since the first value counts: only where the user has none.
        lines += ["Host *", f"  Ciphers ^{_QUICK_CIPHERS}"]
        return "\n".join(lines) + "\n"


def _quoted(path: str) -> str:
    """Return a path as one word of ssh_config(5).

    Raises:
        ConfigurationError: the path holds what no quoting there can hold.
    """
    absolute = str(Path(path).expanduser().absolute())
    if any(char in absolute for char in '"\n\r\0'):
        raise ConfigurationError("SshConfigInvalid", f"a path for ssh cannot hold quotes or line breaks: {path!r}")
    return f'"{absolute}"'
