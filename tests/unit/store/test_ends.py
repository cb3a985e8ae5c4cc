"""The ledger in the journal: what is known stays known, and what the branch lacks is to be written there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from controller.model.conditions import TaskState
from controller.model.ledger import End, end_of
from controller.store.journal import Journal
from tests.unit.planning.values import INSTANCE, record, task

PART = "ledger/ab/0000.jsonl"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    opened = Journal(path)
    yield opened
    opened.close()


def end(key: str = "a", state: TaskState = TaskState.SUCCEEDED, **facts: object) -> End:
    made = end_of(record(task(key=key), state=state, **facts), instance=INSTANCE)
    assert made is not None
    return made


def test_a_run_that_ended_is_missing_until_it_is_entered(journal: Journal) -> None:
    """One that has not ended never is; another instance's run of the same name is another."""
    done, going = record(task(key="a"), state=TaskState.SUCCEEDED), record(task(key="b"), state=TaskState.RUNNING)
    journal.save_runs([done, going])
    assert journal.ends.missing(INSTANCE) == {done.id}
    journal.ends.add([end()])
    assert journal.ends.missing(INSTANCE) == frozenset()
    assert journal.ends.missing("another") == {done.id}


def test_what_the_branch_has_is_not_written_again(journal: Journal) -> None:
    """Until a part no longer has it, or is gone."""
    journal.ends.add([end("a"), end("b")])
    assert {each.run.key for each in journal.ends.unpublished()} == {"a", "b"}
    journal.ends.save_parts({PART: ("1" * 40, [end("a"), end("b")])}, there=[PART])
    assert journal.ends.unpublished() == []
    assert journal.ends.parts() == {PART: "1" * 40}
    journal.ends.save_parts({PART: ("2" * 40, [end("a")])}, there=[PART])
    assert [each.run.key for each in journal.ends.unpublished()] == ["b"]
    journal.ends.save_parts({}, there=[])
    assert {each.run.key for each in journal.ends.unpublished()} == {"a", "b"}
    assert journal.ends.parts() == {}


def test_success_stays_and_more_results_count(journal: Journal) -> None:
    """Whoever else says otherwise, and in whatever order."""
    good, more = end(), end(results={"loss": "0.1"})
    journal.ends.save_parts({PART: ("1" * 40, [good])}, there=[PART])
    journal.ends.add([end(state=TaskState.FAILED)])
    assert journal.ends.unpublished() == []
    journal.ends.add([more])
    assert journal.ends.unpublished() == [more]
    journal.ends.save_parts({PART: ("2" * 40, [end(state=TaskState.FAILED), good])}, there=[PART])
    assert journal.ends.of(["train"], []) == [more]
    assert journal.ends.unpublished() == [more]


def test_ends_are_found_by_job_and_by_digest(journal: Journal) -> None:
    """Each once."""
    known = [end("a"), end("b"), replace(end("c"), run=replace(end("c").run, job="other"))]
    journal.ends.add(known)
    assert {each.run.key for each in journal.ends.of(["train"], [])} == {"a", "b"}
    assert [each.run.key for each in journal.ends.of([], [known[2].run.digest])] == ["c"]
    assert len(journal.ends.of(["train", "other"], [each.run.digest for each in known])) == 3


def test_a_journal_of_the_version_before_gets_the_tables(journal: Journal, path: Path) -> None:
    """Its runs that ended are entered then."""
    done = record(task(), state=TaskState.SUCCEEDED)
    journal.save_runs([done])
    journal.close()
    with sqlite3.connect(path) as database:
        database.executescript("DROP TABLE ends; DROP TABLE ledger_parts;")
    again = Journal(path)
    assert again.ends.missing(INSTANCE) == {done.id}
    again.close()
