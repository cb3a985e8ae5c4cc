"""The journal of another version: an earlier one is led on, a later one refused and left alone."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from controller import __version__
from controller.model.conditions import TaskState
from controller.model.errors import StalledError
from controller.model.observed import Charged
from controller.model.plans import Failure
from controller.model.resources import Gpus, OnRemove, Resources
from controller.model.runs import RunRecord
from controller.store import journal as journals
from controller.store.journal import Journal
from tests.unit.planning.values import record, task

ASKED = Resources(cpus=2, gpus=Gpus(count=1, type="a100"), extra=("--requeue",))
FULL = record(
    task(key="lr=0.1"),
    state=TaskState.SUCCEEDED,
    on_remove=OnRemove.KEEP,
    charged=Charged(account="lab"),
    asked=ASKED,
    results={"loss": "0.1"},
)
FAILURE = Failure(reason="BuildFailed", message="step 3", count=2, next_try=9.0)

FIRST = {
    "run", "batch", "index", "array", "state", "reason", "message", "job_id", "run_dir", "intended_at", "submitted_at",
    "started", "ended", "exit_code", "cancel_requested_at", "cancel_reason", "missing_since", "stopped_at", "tries",
    "lapsed", "on_remove", "stderr_tail", "results",
}  # fmt: skip
"""Fields of a run in the first journal of version 1."""


def filled(path: Path) -> Path:
    """Make a journal with one of everything that has fields."""
    made = Journal(path)
    made.save_runs([FULL])
    made.save_failure("build:x", FAILURE)
    made.close()
    return path


Change = Callable[[dict[str, Any]], object]


def rewrite(path: Path, change: Change, table: str = "runs", column: str = "record") -> None:
    """Change the JSON of a table's only row."""
    with sqlite3.connect(path) as database:
        [(text,)] = database.execute(f"SELECT {column} FROM {table}").fetchall()
        value = json.loads(text)
        change(value)
        database.execute(f"UPDATE {table} SET {column} = ?", (json.dumps(value),))


def told(path: Path) -> RunRecord:
    """Return the only run of a journal."""
    opened = Journal(path)
    try:
        [run] = opened.runs().values()
        assert opened.failures() == {"build:x": FAILURE}
        return run
    finally:
        opened.close()


def test_a_record_of_the_first_version_is_read(tmp_path: Path) -> None:
    """What it does not say has its default."""
    path = filled(tmp_path / "journal.db")
    rewrite(path, lambda value: [value.pop(name) for name in set(value) - FIRST])
    found = told(path)
    assert (found.run, found.state, found.results, found.on_remove) == (
        FULL.run,
        TaskState.SUCCEEDED,
        {"loss": "0.1"},
        OnRemove.KEEP,
    )
    assert (found.asked, found.charged) == (None, Charged())


@pytest.mark.parametrize("place", [(), ("run",), ("charged",), ("asked",), ("asked", "gpus")])
def test_a_field_that_is_not_known_is_passed_over(tmp_path: Path, place: tuple[str, ...]) -> None:
    """Within a version: a later controller has written more."""
    path = filled(tmp_path / "journal.db")

    def add(value: dict[str, Any]) -> None:
        for part in place:
            value = value[part]
        value["invented"] = {"later": 1}

    rewrite(path, add)
    rewrite(path, lambda value: value.update(invented=1), "failures", "failure")
    assert told(path) == FULL


@pytest.mark.parametrize("named", [True, False])
def test_a_later_version_is_refused_and_left_alone(tmp_path: Path, named: bool) -> None:
    """Never set aside: the file keeps its name and what is in it, and the message says who made it and what to do."""
    path = filled(tmp_path / "journal.db")
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version = {journals.VERSION + 1}")
        if named:
            database.execute("UPDATE facts SET value = '7.1.0' WHERE name = 'controller_version'")
        else:
            database.execute("DROP TABLE facts")
    database.close()
    before = path.read_bytes()
    with pytest.raises(StalledError) as caught:
        Journal(path)
    assert caught.value.reason == "NewerJournal"
    assert "made by a later version of the controller" + (" 7.1.0" if named else "") in caught.value.message
    assert "Install that version again" in caught.value.message
    assert path.read_bytes() == before
    assert not [other for other in tmp_path.iterdir() if "unreadable" in other.name]


def test_the_journal_names_who_has_it(tmp_path: Path) -> None:
    """So that an earlier version can say which one to install."""
    opened = Journal(filled(tmp_path / "journal.db"))
    assert opened.fact("controller_version") == __version__
    opened.close()


@pytest.mark.parametrize("text", ["{", "[]", "null", '{"run": 1}', '{"run": {"job": "x"}}', '{"state": "Flying"}'])
def test_a_damaged_row_is_said_and_nothing_is_set_aside(tmp_path: Path, text: str) -> None:
    """An error with a remedy, no traceback, and no journal that is made anew over it."""
    path = filled(tmp_path / "journal.db")
    with sqlite3.connect(path) as database:
        database.execute("UPDATE runs SET record = ?", (text,))
        database.execute("UPDATE failures SET failure = ?", (text,))
    database.close()
    opened = Journal(path)
    for read in (opened.runs, opened.failures):
        with pytest.raises(StalledError) as caught:
            read()
        assert caught.value.reason == "JournalDamaged"
        assert "made anew" in caught.value.message
    opened.close()


def test_an_earlier_version_is_led_on_step_by_step(tmp_path: Path) -> None:
    """Each step whole or not at all; the version says how far it came."""
    database = sqlite3.connect(tmp_path / "any.db")
    database.executescript("CREATE TABLE runs (id TEXT); INSERT INTO runs VALUES ('a'); PRAGMA user_version = 1")
    steps = {1: "ALTER TABLE runs ADD COLUMN b TEXT DEFAULT 'x'", 2: "CREATE TABLE ends (id TEXT)"}
    journals.migrate(database, 1, 3, steps)
    assert database.execute("SELECT * FROM runs").fetchall() == [("a", "x")]
    assert database.execute("PRAGMA user_version").fetchone() == (3,)
    with pytest.raises(sqlite3.OperationalError):
        journals.migrate(database, 3, 5, {3: "CREATE TABLE more (id TEXT)", 4: "CREATE TABLE broken; nonsense"})
    database.rollback()
    assert database.execute("PRAGMA user_version").fetchone() == (4,)
    database.close()


def test_there_is_a_way_from_every_earlier_version() -> None:
    """A version is raised together with the statements that lead to it."""
    assert set(journals._MIGRATIONS) == set(range(1, journals.VERSION))
