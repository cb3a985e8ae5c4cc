"""The journal: runs, failures, last good specs and last statuses, in one SQLite file.

It is written before every outside effect and after it, so a killed controller knows what it was about to do. It is
not the truth: a journal that is lost or damaged is made anew, and the next pass fills it from the cluster.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller import __version__
from controller.model.errors import StalledError, TransientError
from controller.model.plans import Failure
from controller.model.runs import RunRecord
from controller.planning.rate import recent
from controller.store import ends
from controller.store.damage import is_damage
from controller.store.records import failure_text, read_failure, read_record, record_text

VERSION = 1
"""Raised where a reader of the version before would go wrong. What it would only not know of raises nothing."""
_MIGRATIONS: Mapping[int, str] = {}
"""Version -> the statements that lead from it to the next one."""
_WRITTEN_BY = "controller_version"
"""The fact that names the version of the controller that had the journal last."""
_SCHEMA = """
CREATE TABLE runs (id TEXT PRIMARY KEY, cluster TEXT NOT NULL, state TEXT NOT NULL, record TEXT NOT NULL);
CREATE TABLE failures (key TEXT PRIMARY KEY, failure TEXT NOT NULL);
CREATE TABLE resources (key TEXT PRIMARY KEY, path TEXT NOT NULL, commit_id TEXT NOT NULL);
CREATE TABLE statuses (key TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a resource was last read without error.

    ``path`` "": it has been removed since, in a commit that could be read. Its commit still tells where its runs are.
    """

    path: str
    commit: str

    @property
    def is_removed(self) -> bool:
        """Whether a commit that could be read no longer held it: nothing brings it back but a spec."""
        return not self.path


class Journal:
    """One controller's memory. Safe to use from several threads; one process at a time holds it (see the lock)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._database = self._open()
        self.ends = ends.Ends(self._change, self._all)
        self._file = _file_at(path)

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _connect(self._path)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            # Damaged: kept for a person to look at, and made anew.
            self._path.rename(self._path.with_name(f"{self._path.name}.unreadable-{time.time_ns()}"))
            for tail in ("-wal", "-shm"):
                self._path.with_name(self._path.name + tail).unlink(missing_ok=True)
            return _connect(self._path)

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._database:
            yield self._database

    def _all(self, query: str, values: Sequence[str] = ()) -> list[Any]:
        with self._lock:
            return self._database.execute(query, values).fetchall()

    def check(self) -> None:
        """Make sure that what is written here is what the next process reads.

        Raises:
            TransientError: ``StateDirectoryGone``: the file was removed or replaced while this process has it open.
        """
        if _file_at(self._path) != self._file:
            raise TransientError(
                "StateDirectoryGone",
                f"this machine: {self._path} was removed or replaced while the controller runs; nothing is done until"
                " it is started anew",
            )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def runs(self) -> dict[str, RunRecord]:
        """Return every run by id."""
        return {run_id: read_record(run_id, text) for run_id, text in self._all("SELECT id, record FROM runs")}

    def runs_of(self, run_ids: Iterable[str]) -> list[RunRecord]:
        """Return the runs with these ids, as far as there are any."""
        found = []
        with self._lock:
            for run_id in run_ids:
                row = self._database.execute("SELECT record FROM runs WHERE id = ?", (run_id,)).fetchone()
                found += [read_record(run_id, row[0])] if row is not None else []
        return found

    def save_runs(self, records: Iterable[RunRecord]) -> None:
        """Write records, all or none."""
        rows = [(record.id, record.run.cluster, record.state.value, record_text(record)) for record in records]
        if rows:
            with self._change() as database:
                database.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?)", rows)

    def forget_runs(self, run_ids: Iterable[str]) -> None:
        """Forget runs that are known never to have been submitted."""
        with self._change() as database:
            database.executemany("DELETE FROM runs WHERE id = ?", [(run_id,) for run_id in run_ids])

    def tries(self, batch: str) -> int:
        """Return how many submits of a batch are known to have been refused."""
        return int(self.fact(f"tries:{batch}") or 0)

    def save_tries(self, batch: str, tries: int) -> None:
        """Remember that."""
        self.save_fact(f"tries:{batch}", str(tries))

    def submits(self) -> dict[str, tuple[float, ...]]:
        """Return when the latest submissions were, by cluster; those of which none was written down are not in it."""
        rows = self._all("SELECT name, value FROM facts WHERE name LIKE 'submits:%'")
        return {name.removeprefix("submits:"): tuple(json.loads(text)) for name, text in rows}

    def add_submits(self, cluster: str, times: Iterable[float], *, now: float) -> None:
        """Write down submissions that are about to be made; what is older than a minute is left out."""
        name = f"submits:{cluster}"
        with self._change() as database:
            row = database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
            kept = recent([*(json.loads(row[0]) if row else ()), *times], now=now)
            database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(kept)))

    def failures(self) -> dict[str, Failure]:
        """Return what failed lately, by action key."""
        return {key: read_failure(key, text) for key, text in self._all("SELECT key, failure FROM failures")}

    def save_failure(self, key: str, failure: Failure) -> None:
        """Remember a failure."""
        with self._change() as database:
            database.execute("INSERT OR REPLACE INTO failures VALUES (?, ?)", (key, failure_text(failure)))

    def clear_failures(self, keys: Iterable[str]) -> None:
        """Forget failures of actions that succeeded, or that nobody wants any more."""
        with self._change() as database:
            database.executemany("DELETE FROM failures WHERE key = ?", [(key,) for key in keys])

    def resources(self) -> dict[str, Standing]:
        """Return where each resource was last read without error, by ``Kind/name``."""
        rows = self._all("SELECT key, path, commit_id FROM resources")
        return {key: Standing(path=path, commit=commit) for key, path, commit in rows}

    def save_resources(
        self, standings: Mapping[str, Standing], *, removed: Iterable[str] = (), forget: Iterable[str] = ()
    ) -> None:
        """Write where resources stand, mark those that are removed, and forget those of which nothing is left."""
        with self._change() as database:
            database.executemany(
                "INSERT INTO resources VALUES (?, '', '') ON CONFLICT (key) DO UPDATE SET path = ''",
                [(key,) for key in removed],
            )
            database.executemany("DELETE FROM resources WHERE key = ?", [(key,) for key in forget])
            database.executemany(
                "INSERT OR REPLACE INTO resources VALUES (?, ?, ?)",
                [(key, standing.path, standing.commit) for key, standing in standings.items()],
            )

    def statuses(self) -> dict[str, str]:
        """Return the last status document (JSON text) of each resource by ``Kind/name``."""
        return dict(self._all("SELECT key, document FROM statuses"))

    def save_statuses(self, documents: Mapping[str, str]) -> None:
        """Replace all status documents."""
        with self._change() as database:
            database.execute("DELETE FROM statuses")
            database.executemany("INSERT INTO statuses VALUES (?, ?)", list(documents.items()))

    def fact(self, name: str) -> str | None:
        """Return one remembered value."""
        with self._lock:
            row = self._database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def save_fact(self, name: str, value: str) -> None:
        """Remember one value."""
        with self._change() as database:
            database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))


def _file_at(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=30, check_same_thread=False)
    try:
        found = database.execute("PRAGMA user_version").fetchone()[0]
        if found > VERSION:
            raise _newer(path, database, found)
        database.execute("PRAGMA journal_mode = WAL")
        # FULL: an intent that a power cut takes back could be submitted again under another attempt.
        database.execute("PRAGMA synchronous = FULL")
        if found == 0:
            database.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
        else:
            migrate(database, found, VERSION, _MIGRATIONS)
        database.executescript(ends.SCHEMA)
        database.execute("SELECT count(*) FROM runs").fetchone()
        if _written_by(database) != __version__:
            with database:
                database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (_WRITTEN_BY, __version__))
    except (sqlite3.DatabaseError, StalledError):
        database.close()
        raise
    return database


def migrate(database: sqlite3.Connection, found: int, wanted: int, steps: Mapping[int, str]) -> None:
    """Lead a journal from the version that it has to another, one version after the other, each whole or not at all."""
    for number in range(found, wanted):
        database.executescript(f"BEGIN; {steps[number]}; PRAGMA user_version = {number + 1}; COMMIT;")


def _written_by(database: sqlite3.Connection) -> str:
    row = database.execute("SELECT value FROM facts WHERE name = ?", (_WRITTEN_BY,)).fetchone()
    return str(row[0]) if row else ""


def _newer(path: Path, database: sqlite3.Connection, found: int) -> StalledError:
    try:
        made_by = f" {name}" if (name := _written_by(database)) else ""
    except sqlite3.DatabaseError:
        made_by = ""
    message = (
        f"{path} was made by a later version of the controller{made_by} (journal version {found}; this one, "
        f"{__version__}, reads up to {VERSION}); nothing was done and the file was left alone. Install that "
        "version again, or use another --state-dir"
    )
    return StalledError("NewerJournal", message)
