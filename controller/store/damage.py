"""Which errors of SQLite mean that a file is damaged, and not that the disk is full, busy, or out of reach."""

from __future__ import annotations

import sqlite3


def is_damage(error: sqlite3.DatabaseError) -> bool:
    """Return whether the file itself is to blame: it is no database, a broken one, or one without our tables."""
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_ERROR"))
