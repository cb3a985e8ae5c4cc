"""A real sshd for one test session: the current user's own, on a free port of 127.0.0.1, with keys of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

SSHD = Path("/usr/sbin/sshd")


def wait_until(condition: Callable[[], bool], what: str, deadline_s: float = 10.0) -> None:
    """Poll until ``condition`` holds, or fail saying ``what`` was waited for."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s} s: {what}")
        time.sleep(0.02)


def free_port() -> int:
    """Return a port that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_key(file: Path, kind: str = "ed25519") -> Path:
    """Make a key pair without passphrase and return the private half."""
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(file)], check=True)
    return file


def public(key: Path) -> str:
    """Return ``type base64`` of a key pair."""
    return " ".join(key.with_suffix(".pub").read_text().split()[:2])


class PrivateSshd:
    """One server. Its users' home directory is ``home``, so a test decides what profiles do."""

    def __init__(self, directory: Path, *, authorized: Path, extra: str = "") -> None:
        self.directory = directory
        self.home = directory / "home"
        self.home.mkdir(parents=True)
        self.port = free_port()
        self.host_key = make_key(directory / "host_key")
        self.authorized_keys = directory / "authorized_keys"
        self.authorized_keys.write_text(authorized.with_suffix(".pub").read_text())
        self.log = directory / "sshd.log"
        self._configuration = directory / "sshd_config"
        self._extra = extra
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def known_name(self) -> str:
        """The server's name in known_hosts."""
        return f"[127.0.0.1]:{self.port}"

    @property
    def known_line(self) -> str:
        """The true line for known_hosts."""
        return f"{self.known_name} {public(self.host_key)}\n"

    def start(self) -> None:
        """Start, and wait until it answers with its banner."""
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        lines = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self.host_key}",
            f"AuthorizedKeysFile {self.authorized_keys}",
            f"SetEnv HOME={self.home}",
            "PidFile none",
            "StrictModes no",
            "UsePAM no",
            "PermitRootLogin yes",
            "PrintMotd no",
            "MaxStartups 100",
            *self._extra.splitlines(),
        ]
        # From 9.8 on a refused log-in makes the server refuse the address for a while.
        self._configuration.write_text("\n".join([*lines, "PerSourcePenalties no", ""]))
        if subprocess.run(self._argv("-t"), capture_output=True, check=False).returncode != 0:
            self._configuration.write_text("\n".join([*lines, ""]))
        self._process = subprocess.Popen([*self._argv("-D"), "-E", str(self.log)], stdin=subprocess.DEVNULL)
        wait_until(self._answers, f"sshd answers; its log: {self.log}")

    def _argv(self, mode: str) -> list[str]:
        return [str(SSHD), mode, "-f", str(self._configuration)]

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def connections(self) -> list[int]:
        """Return the process ids of the server's connections: its children."""
        assert self._process is not None
        return _children(self._process.pid)

    def cut(self) -> None:
        """Cut every connection, as a crash of the login node would; what scripts started lives on."""
        for pid in self.connections():
            # An ordinary user's connection is a monitor and, below it, the process that holds the socket.
            for each in (pid, *(child for child in _children(pid) if _name(child).startswith("sshd"))):
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)

    def stop(self) -> None:
        """Stop listening and cut every connection."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGSTOP)
            self.cut()
            self._process.kill()
            self._process.wait()
            self._process = None


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except FileNotFoundError:
        return ""
