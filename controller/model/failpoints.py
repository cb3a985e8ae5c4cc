"""Named places before and after outside effects, where a test can end the process as a power cut would.

A place does nothing unless a directory has been named by ``arm`` and holds one of the place's name: then that directory
is removed, so that it happens once and a test can see that it did, and the process ends by SIGKILL. The scripts that
run on a cluster have the same, armed by directories in ``<workdir>/.failpoints``.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

NAMES = (
    "lease.before",
    "lease.published",
    "lease.recorded",
    "move.before",
    "move.given",
    "move.taken",
    "move.recorded",
    "move.report.before",
    "look.remember.before",
    "look.remember.after",
    "build.before",
    "build.after",
    "test.before",
    "test.ended",
    "test.recorded",
    "publish.before",
    "publish.uploaded",
    "publish.after",
    "stage.before",
    "stage.after",
    "submit.intent.before",
    "submit.intent.after",
    "submit.sent",
    "submit.recorded",
    "cancel.intent.before",
    "cancel.intent.after",
    "cancel.sent",
    "cancel.recorded",
    "specs.remember.before",
    "report.before",
    "report.after",
    "heartbeat.before",
    "heartbeat.after",
)
"""Every place in the controller's own process."""

_armed: Path | None = None


def arm(directory: Path) -> None:
    """Let places look into a directory."""
    global _armed
    _armed = directory


def failpoint(name: str) -> None:
    """End the process here if a test has asked for it."""
    if _armed is None:
        return
    try:
        (_armed / name).rmdir()
    except OSError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
