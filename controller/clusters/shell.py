"""What is said when a remote login shell ended without running the script: shared by both SSH transports."""

from __future__ import annotations

from controller.clusters.framing import NOT_FRAMED, Ending
from controller.model.errors import TransientError

_TAIL_BYTES = 500


def shell_unusable(where: str, ending: Ending, exit_code: int) -> TransientError:
    """Return the error for a shell that ended with ``exit_code`` before the script began: nothing was run.

    It may be for good (no bash, a profile that leaves) or for now (no process to be had): so it is tried again.
    """
    if ending.exit_code == NOT_FRAMED:
        remedy = (
            "a start-up file there (~/.bashrc, ~/.cshrc) reads standard input: let it do so only in interactive shells"
        )
    else:
        remedy = (
            "see that bash is there and that no start-up file (~/.profile, ~/.bashrc) exits or starts another shell"
        )
    said = (ending.stderr or ending.stdout)[-_TAIL_BYTES:].decode("utf-8", "replace").strip()
    message = f"the login shell on {where} ended with exit code {exit_code} before the script began; {remedy}"
    return TransientError("ShellUnusable", f"{message}. It said: {said}" if said else message)
