"""The logs of builds: one file each, ``<state_dir>/builds/<image>/<time>-<identity12>.log``, the last few kept.

For the owner's eyes only, since a build prints what it likes. Does not belong here: what is in them.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from controller.model.digests import short

KEPT = 5


def open_log(state_dir: Path, name: str, identity: str, now: float) -> IO[str]:
    """Return a new file for one build's log, and take away all but the newest of the image."""
    directory = state_dir / "builds" / name
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for old in logs_of(state_dir, name)[KEPT - 1 :]:
        old.unlink(missing_ok=True)
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    path = directory / f"{moment}-{short(identity)}.log"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return os.fdopen(handle, "w", encoding="utf-8", errors="replace")


def logs_of(state_dir: Path, name: str) -> list[Path]:
    """Return the logs that are kept of an image's builds, the newest first."""
    return sorted((state_dir / "builds" / name).glob("*.log"), reverse=True)


def built_here(state_dir: Path) -> list[str]:
    """Return the names of the images of whose builds a log is kept."""
    return sorted({path.parent.name for path in (state_dir / "builds").glob("*/*.log")})


def newest_logs(state_dir: Path) -> dict[tuple[str, str], str]:
    """Return the path of the newest log by the image's name and the first 12 digits of its identity."""
    found = sorted((state_dir / "builds").glob("*/*.log"))
    return {(path.parent.name, path.stem.rpartition("-")[2]): str(path) for path in found}
