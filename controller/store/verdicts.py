"""What was found in a blob, kept by blob id and schema version, so that an unchanged file is never parsed again.

A cache and nothing more: it may be deleted at any time, and is when it cannot be read.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from controller.store.damage import is_damage


class Verdicts:
    """Implements ``controller.specs.verdicts.VerdictCache`` in an SQLite file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        try:
            self._database = _connect(path)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            path.unlink(missing_ok=True)
            self._database = _connect(path)
        rows = self._database.execute("SELECT oid, version, verdict FROM verdicts").fetchall()
        self._kept: dict[tuple[str, str], bytes] = {(oid, version): verdict for oid, version, verdict in rows}
        self._fresh: dict[tuple[str, str], bytes] = {}

    def get(self, oid: str, version: str) -> bytes | None:
        """Return what was put for a blob under this schema version."""
        return self._kept.get((oid, version))

    def put(self, oid: str, version: str, verdict: bytes) -> None:
        """Keep a verdict; written to disk with ``save``."""
        with self._lock:
            self._kept[(oid, version)] = self._fresh[(oid, version)] = verdict

    def save(self) -> None:
        """Write what is new, in one transaction; forget other schema versions."""
        with self._lock, self._database:
            for (oid, version), verdict in self._fresh.items():
                self._database.execute("INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?)", (oid, version, verdict))
            for version in {version for _, version in self._fresh}:
                self._database.execute("DELETE FROM verdicts WHERE version <> ?", (version,))
            self._fresh.clear()

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=30, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = OFF")
    database.execute(
        "CREATE TABLE IF NOT EXISTS verdicts (oid TEXT, version TEXT, verdict BLOB, PRIMARY KEY (oid, version))"
    )
    return database
