"""The ledger in the journal: every end that was ever known, and in which part of the status branch's ledger it stands.

A line whose part is "" is still to be written to the branch. Nothing is ever deleted. Must not know Git.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from controller.model.conditions import TERMINAL
from controller.model.ledger import End, line_of, merged, read_end

SCHEMA = """
CREATE TABLE IF NOT EXISTS ends (
    instance TEXT NOT NULL, run TEXT NOT NULL, job TEXT NOT NULL, digest TEXT NOT NULL, part TEXT NOT NULL,
    line TEXT NOT NULL, PRIMARY KEY (instance, run)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ends_by_job ON ends (job);
CREATE INDEX IF NOT EXISTS ends_by_digest ON ends (digest);
CREATE INDEX IF NOT EXISTS ends_by_part ON ends (part);
CREATE TABLE IF NOT EXISTS ledger_parts (path TEXT PRIMARY KEY, blob TEXT NOT NULL);
"""
"""Tables beside those of the journal: a version that knows of none leaves them alone."""
_AT_ONCE = 500
_OVER = ", ".join(f"'{state}'" for state in sorted(TERMINAL))


class Ends:
    """The ledger of one journal."""

    def __init__(
        self,
        change: Callable[[], AbstractContextManager[sqlite3.Connection]],
        ask: Callable[..., list[Any]],
    ) -> None:
        """``change`` lends the database for one transaction; ``ask`` returns the rows of a query."""
        self._change = change
        self._ask = ask

    def parts(self) -> dict[str, str]:
        """Return which parts of the branch's ledger have been read: path -> id of the blob."""
        return dict(self._ask("SELECT path, blob FROM ledger_parts"))

    def of(self, jobs: Iterable[str], digests: Iterable[str]) -> list[End]:
        """Return the ends of some jobs, and all ends at some digests."""
        lines: dict[str, None] = {}
        for column, values in (("job", sorted(set(jobs))), ("digest", sorted(set(digests)))):
            for start in range(0, len(values), _AT_ONCE):
                some = values[start : start + _AT_ONCE]
                marks = ", ".join("?" * len(some))
                rows = self._ask(f"SELECT line FROM ends WHERE {column} IN ({marks})", some)
                lines |= dict.fromkeys(line for (line,) in rows)
        return [read_end(line) for line in lines]

    def unpublished(self) -> list[End]:
        """Return the ends that no part of the branch has."""
        return [read_end(line) for (line,) in self._ask("SELECT line FROM ends WHERE part = ''")]

    def missing(self, instance: str) -> frozenset[str]:
        """Return the ids of an instance's runs that have ended and have no entry."""
        known = "SELECT run FROM ends WHERE instance = ?"
        query = f"SELECT id FROM runs WHERE state IN ({_OVER}) AND id NOT IN ({known})"
        return frozenset(run for (run,) in self._ask(query, [instance]))

    def add(self, ends: Iterable[End]) -> None:
        """Write ends that are not known to be on the branch; what is known of the same runs stands if it says more."""
        ends = list(ends)
        if ends:
            with self._change() as database:
                _put(database, ends, "")

    def save_parts(self, read: Mapping[str, tuple[str, list[End]]], *, there: Iterable[str]) -> None:
        """Write what was read of the branch: path -> blob and entries. ``there`` are all parts that it has now.

        What a part no longer has is to be written to the branch again.
        """
        with self._change() as database:
            known = [path for (path,) in database.execute("SELECT path FROM ledger_parts")]
            gone = set(known) - set(there)
            for path in (*gone, *read):
                database.execute("UPDATE ends SET part = '' WHERE part = ?", (path,))
            database.executemany("DELETE FROM ledger_parts WHERE path = ?", [(path,) for path in gone])
            for path, (blob, ends) in read.items():
                _put(database, ends, path)
                database.execute("INSERT OR REPLACE INTO ledger_parts VALUES (?, ?)", (path, blob))


def _put(database: sqlite3.Connection, ends: list[End], part: str) -> None:
    """Write entries, each merged with what is there; the part counts where the entry says all that is known."""
    rows = []
    for (instance, run), end in merged(ends).items():
        row = database.execute("SELECT line, part FROM ends WHERE instance = ? AND run = ?", (instance, run)).fetchone()
        line, where = line_of(end), part
        if row is not None and row[0] != line:
            ((_, best),) = merged([read_end(row[0]), end] if part else [end, read_end(row[0])]).items()
            if (kept := line_of(best)) != line:
                line, where = kept, row[1]
        elif row is not None:
            where = part or row[1]
        rows.append((instance, run, end.run.job, end.run.digest, where, line))
    database.executemany("INSERT OR REPLACE INTO ends VALUES (?, ?, ?, ?, ?, ?)", rows)
