"""The journal: runs, failures, last good specs and last statuses, in one SQLite file.

It is written before every outside effect and after it, so a killed controller knows what it was about to do. It is
not the truth: a journal that is lost or damaged is made anew, and the next pass fills it from the cluster.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from controller.model.conditions import TaskState
from controller.model.observed import Charged
from controller.model.plans import Failure
from controller.model.resources import Gpus, OnRemove, Resources
from controller.model.runs import Run, RunRecord
from controller.planning.rate import recent

_VERSION = 1
_SCHEMA = """
CREATE TABLE runs (id TEXT PRIMARY KEY, cluster TEXT NOT NULL, state TEXT NOT NULL, record TEXT NOT NULL);
CREATE TABLE failures (key TEXT PRIMARY KEY, failure TEXT NOT NULL);
CREATE TABLE resources (key TEXT PRIMARY KEY, path TEXT NOT NULL, commit_id TEXT NOT NULL);
CREATE TABLE statuses (key TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a resource was last read without error."""

    path: str
    commit: str


class Journal:
    """One controller's memory. Safe to use from several threads; one process at a time holds it (see the lock)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._database = self._open()

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _connect(self._path)
        except sqlite3.DatabaseError:
            # Damaged or of another version: kept for a person to look at, and made anew.
            self._path.rename(self._path.with_name(f"{self._path.name}.unreadable-{time.time_ns()}"))
            for tail in ("-wal", "-shm"):
                self._path.with_name(self._path.name + tail).unlink(missing_ok=True)
            return _connect(self._path)

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._database:
            yield self._database

    def _all(self, query: str) -> list[Any]:
        with self._lock:
            return self._database.execute(query).fetchall()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def runs(self) -> dict[str, RunRecord]:
        """Return every run by id."""
        return {run_id: _read_record(text) for run_id, text in self._all("SELECT id, record FROM runs")}

    def save_runs(self, records: Iterable[RunRecord]) -> None:
        """Write records, all or none."""
        rows = [(record.id, record.run.cluster, record.state.value, json.dumps(asdict(record))) for record in records]
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
        return {key: Failure(**json.loads(text)) for key, text in self._all("SELECT key, failure FROM failures")}

    def save_failure(self, key: str, failure: Failure) -> None:
        """Remember a failure."""
        with self._change() as database:
            database.execute("INSERT OR REPLACE INTO failures VALUES (?, ?)", (key, json.dumps(asdict(failure))))

    def clear_failures(self, keys: Iterable[str]) -> None:
        """Forget failures of actions that succeeded, or that nobody wants any more."""
        with self._change() as database:
            database.executemany("DELETE FROM failures WHERE key = ?", [(key,) for key in keys])

    def resources(self) -> dict[str, Standing]:
        """Return where each resource was last read without error, by ``Kind/name``."""
        rows = self._all("SELECT key, path, commit_id FROM resources")
        return {key: Standing(path=path, commit=commit) for key, path, commit in rows}

    def save_resources(self, standings: Mapping[str, Standing], *, forget: Iterable[str]) -> None:
        """Write where resources stand, and forget those that are gone for good."""
        with self._change() as database:
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


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=30, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        # FULL: an intent that a power cut takes back could be submitted again under another attempt.
        database.execute("PRAGMA synchronous = FULL")
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            database.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
        elif version != _VERSION:
            raise sqlite3.DatabaseError(f"version {version}, not {_VERSION}")
        database.execute("SELECT count(*) FROM runs").fetchone()
    except sqlite3.DatabaseError:
        database.close()
        raise
    return database


def _read_record(text: str) -> RunRecord:
    value: dict[str, Any] = json.loads(text)
    value["run"] = Run(**value["run"])
    value["state"] = TaskState(value["state"])
    value["charged"] = Charged(**value.get("charged", {}))
    value["on_remove"] = OnRemove(value["on_remove"]) if value["on_remove"] else None
    value["asked"] = _read_resources(value.get("asked"))
    return RunRecord(**value)


def _read_resources(value: dict[str, Any] | None) -> Resources | None:
    if value is None:
        return None
    gpus = value["gpus"]
    return Resources(**{**value, "gpus": Gpus(**gpus) if gpus else None, "extra": tuple(value["extra"])})
