"""A child process as a link: what the local and the OpenSSH transport have in common.

The child is the leader of a session of its own: no terminal to ask for a password on, and a group to kill as
a whole.
"""

from __future__ import annotations

import os
import select
import selectors
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from controller.clusters.exchange import CHUNK_BYTES, Output

_PRIVATE = ("SLURM_", "SBATCH_", "CONTROLLER_")
_SITE = frozenset(
    {
        "SLURM_CONF",
        "SLURM_CONF_SERVER",
        "SLURM_JWT",
        "SBATCH_ACCOUNT",
        "SBATCH_PARTITION",
        "SBATCH_QOS",
        "SBATCH_RESERVATION",
    }
)
"""What an account sets for SLURM, and the scripts let through; see ``remote/prelude.sh``."""
_POLL_MS = 250


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what belongs to the controller or the SLURM job that it may run in."""
    return {name: value for name, value in environment.items() if name in _SITE or not name.startswith(_PRIVATE)}


class ChildProcess:
    """One child and its three streams. Implements ``exchange.Link``."""

    def __init__(self, argv: Sequence[str], *, cwd: Path | None = None) -> None:
        self._child = subprocess.Popen(
            argv,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=clean_environment(os.environ),
            start_new_session=True,
        )
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        assert self._child.stderr is not None
        self._stdin, self._stdout, self._stderr = self._child.stdin, self._child.stdout, self._child.stderr
        self._input = threading.Lock()
        os.set_blocking(self._stdin.fileno(), False)
        self._outputs = selectors.DefaultSelector()
        self._outputs.register(self._stdout, selectors.EVENT_READ)
        self._outputs.register(self._stderr, selectors.EVENT_READ)

    def send(self, data: memoryview) -> None:
        poll = select.poll()
        with self._input:
            poll.register(self._open_input(), select.POLLOUT)
        while data:
            poll.poll(_POLL_MS)
            # Under the lock, since another thread may close, and a closed number may name another file by now.
            with self._input:
                try:
                    count = os.write(self._open_input(), data)
                except BlockingIOError:
                    continue
            data = data[count:]

    def _open_input(self) -> int:
        if self._stdin.closed:
            raise BrokenPipeError("standard input was closed")
        return self._stdin.fileno()

    def end_input(self) -> None:
        with self._input:
            self._stdin.close()

    def receive(self, timeout_s: float) -> Output:
        stdout = stderr = b""
        for key, _ in self._outputs.select(timeout_s):
            data = os.read(key.fd, CHUNK_BYTES)
            if not data:
                self._outputs.unregister(key.fileobj)
            elif key.fileobj is self._stdout:
                stdout = data
            else:
                stderr = data
        return Output(stdout, stderr, over=not self._outputs.get_map())

    def abort(self) -> None:
        """Kill the whole group."""
        if self._child.returncode is None:
            # Not reaped yet, so the number is still the group's, even if its leader is dead.
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)
        self.close()

    def close(self) -> None:
        """Close the streams and reap the child. What it left behind in the background stays."""
        lingers = bool(self._outputs.get_map())
        self.end_input()
        self._outputs.close()
        self._stdout.close()
        self._stderr.close()
        try:
            self._child.wait(0.5 if lingers else 10.0)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    @property
    def exit_code(self) -> int | None:
        """How the child ended: known after ``close``."""
        return self._child.returncode
