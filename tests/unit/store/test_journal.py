"""The journal: what is written is read again, and a file that cannot be read is set aside."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from controller.model.conditions import TaskState
from controller.model.observed import Charged
from controller.model.plans import Failure
from controller.model.resources import OnRemove
from controller.store.journal import Journal, Standing
from tests.unit.planning.values import record, task


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    opened = Journal(path)
    yield opened
    opened.close()


def test_everything_written_is_there_after_opening_again(journal: Journal, path: Path) -> None:
    """Runs with all their fields, failures, standings, statuses and facts survive the process."""
    full = record(
        task(key="lr=0.1,\u03bb"),
        state=TaskState.FAILED,
        message='it\'s "bad"\n',
        started=1.5,
        ended=2.5,
        exit_code=137,
        cancel_requested_at=3.0,
        missing_since=4.0,
        stopped_at=5.0,
        tries=2,
        on_remove=OnRemove.KEEP,
        stderr_tail="\ufffd",
        results={"loss": "0.1"},
    )
    plain = record(state=TaskState.WAITING, lapsed=True, job_id=None)
    failure = Failure(reason="BuildFailed", message="step 3", count=2, next_try=9.0, stalled=True)
    journal.save_runs([full, plain])
    journal.save_failure("build:x", failure)
    journal.save_resources({"Job/train": Standing(path="a.yaml", commit="c")}, forget=())
    journal.save_statuses({"Job/train": "{}"})
    journal.save_fact("commit", "c")
    journal.save_tries(plain.batch, 3)
    journal.close()
    again = Journal(path)
    assert again.runs() == {full.id: full, plain.id: plain}
    assert again.failures() == {"build:x": failure}
    assert again.resources() == {"Job/train": Standing(path="a.yaml", commit="c")}
    assert (again.statuses(), again.fact("commit"), again.fact("nothing")) == ({"Job/train": "{}"}, "c", None)
    assert (again.tries(plain.batch), again.tries("other")) == (3, 0)
    again.close()


def test_what_is_forgotten_is_gone(journal: Journal) -> None:
    """Failures that are over, resources that are gone, runs that never were."""
    mine = record()
    journal.save_runs([mine])
    journal.forget_runs([mine.id])
    journal.save_failure("a", Failure(reason="X", message="", count=1, next_try=0.0))
    journal.clear_failures(["a", "b"])
    journal.save_resources({"Job/a": Standing(path="p", commit="c")}, forget=())
    journal.save_resources({}, forget=["Job/a"])
    journal.save_statuses({"Job/a": "{}"})
    journal.save_statuses({"Job/b": "{}"})
    assert (journal.runs(), journal.failures(), journal.resources()) == ({}, {}, {})
    assert set(journal.statuses()) == {"Job/b"}


def test_records_are_written_all_or_none(journal: Journal) -> None:
    """When one of several cannot be written, none is."""

    def broken() -> Iterator[object]:
        yield record()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        journal.save_runs(broken())  # type: ignore[arg-type]
    assert journal.runs() == {}


def spoil_with_garbage(path: Path) -> None:
    path.write_bytes(b"this is not a database" * 100)


def spoil_by_cutting(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def spoil_by_dropping(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("DROP TABLE runs")
    database.commit()
    database.close()


@pytest.mark.parametrize("spoil", [spoil_with_garbage, spoil_by_cutting, spoil_by_dropping])
def test_a_file_that_cannot_be_read_is_set_aside(journal: Journal, path: Path, spoil: object) -> None:
    """Garbage, a cut file, one that lacks a table: kept beside it for a person, and the journal begins anew."""
    journal.save_runs(record(task(key=f"n={n}")) for n in range(50))
    journal.close()
    assert callable(spoil)
    spoil(path)
    spoiled = path.read_bytes()
    again = Journal(path)
    assert again.runs() == {}
    again.save_runs([record()])
    assert len(again.runs()) == 1
    again.close()
    [kept] = [other for other in path.parent.iterdir() if "unreadable" in other.name]
    assert kept.read_bytes() == spoiled


def test_several_threads_may_write(journal: Journal) -> None:
    """Actions go on side by side and write their outcomes as they come."""

    def write(name: int) -> None:
        for number in range(20):
            journal.save_runs([record(task(key=f"{name}.{number}"))])
            journal.save_fact(str(name), str(number))

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(journal.runs()) == 80


def test_a_record_is_replaced_by_its_id(journal: Journal) -> None:
    """The last word about a run is the one that is kept."""
    mine = record()
    journal.save_runs([mine])
    journal.save_runs([replace(mine, state=TaskState.SUCCEEDED)])
    assert [r.state for r in journal.runs().values()] == [TaskState.SUCCEEDED]


def test_a_record_of_the_version_before_is_read(journal: Journal, path: Path) -> None:
    """It did not say under which account, partition and QOS a run goes, nor why a metric could not be read."""
    mine = replace(record(), charged=Charged(account="lab", partition="short", qos="normal"))
    journal.save_runs([mine])
    assert journal.runs() == {mine.id: mine}
    with sqlite3.connect(path) as database:
        [(text,)] = database.execute("SELECT record FROM runs").fetchall()
        old = json.loads(text)
        del old["charged"], old["result_faults"]
        database.execute("UPDATE runs SET record = ?", (json.dumps(old),))
    assert journal.runs() == {mine.id: replace(mine, charged=Charged())}
