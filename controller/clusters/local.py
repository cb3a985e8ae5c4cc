"""This machine as a cluster: the controller runs on the login node itself."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from controller.clusters.exchange import exchange, settle
from controller.clusters.framing import frame
from controller.clusters.processes import ChildProcess
from controller.clusters.transport import Completed, Progress
from controller.model.errors import TransientError


class LocalTransport:
    """Runs scripts as children, in the home directory, with the controller's environment less its private part."""

    def run(
        self,
        script: str,
        *,
        payload: bytes | BinaryIO = b"",
        timeout_s: float = 60.0,
        progress: Progress | None = None,
    ) -> Completed:
        """See ``Transport.run``. No login shell: the environment is the one the controller was started in."""
        framed = frame(script, login=False)
        home = Path.home()
        try:
            link = ChildProcess(framed.argv, cwd=home if home.is_dir() else Path("/"))
        except OSError as error:
            message = f"bash could not be started on this machine: {error}. Install bash, or correct PATH"
            raise TransientError("Unreachable", message) from error
        exchanged = exchange(link, framed, payload, timeout_s=timeout_s, progress=progress)
        return settle(exchanged, where="this machine", timeout_s=timeout_s)

    def close(self) -> None:
        """Nothing is kept open."""
