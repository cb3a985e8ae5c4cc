"""Which errors are our own machine's, however the library that met them words them."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

import pygit2
import pytest

from controller.model.machine import fault_of, is_ours

OURS = {
    errno.ENOSPC: "DiskFull",
    errno.EDQUOT: "QuotaExceeded",
    errno.EROFS: "DiskReadOnly",
    errno.EMFILE: "TooManyOpenFiles",
    errno.ENFILE: "TooManyOpenFiles",
    errno.ENOMEM: "OutOfMemory",
    errno.EIO: "DiskFaulty",
}
OTHERS = [ConnectionRefusedError(errno.ECONNREFUSED, "refused"), ValueError("no"), pygit2.GitError("404"), KeyError(1)]


@pytest.mark.parametrize(("number", "reason"), OURS.items())
def test_by_number_by_words_and_as_a_cause(number: int, reason: str) -> None:
    """With a path, from a library in C that passes on words alone, and below another error."""
    words = os.strerror(number)
    cause = OSError(number, words, "/state/journal")
    below = RuntimeError("could not go on")
    below.__cause__ = cause
    for error in (cause, below, OSError(number, words), pygit2.GitError(f"could not write to loose object: {words}")):
        fault = fault_of(error)
        assert fault is not None
        assert (fault.reason, is_ours(error)) == (reason, True)
        assert fault.message.startswith("this machine: ")
        assert words in fault.message or error is below
    assert "/state/journal" in str(fault_of(cause))


@pytest.mark.parametrize("error", OTHERS, ids=repr)
def test_what_is_not_ours(error: Exception) -> None:
    """Somebody else's fault, or a defect, is not told as our machine's."""
    assert fault_of(error) is None
    assert not is_ours(error)


def test_a_database_that_is_busy_or_may_not_be_written(tmp_path: Path) -> None:
    """As SQLite itself raises it."""
    path = tmp_path / "a.sqlite3"
    first = sqlite3.connect(path, isolation_level=None)
    first.execute("CREATE TABLE t (x)")
    first.execute("BEGIN EXCLUSIVE")
    reasons = {}
    for name, database in {
        "JournalBusy": sqlite3.connect(path, timeout=0),
        "DiskReadOnly": sqlite3.connect("file::memory:?mode=memory", uri=True),
    }.items():
        if name == "DiskReadOnly":
            database.execute("CREATE TABLE t (x)")
            database.execute("PRAGMA query_only = ON")
        with pytest.raises(sqlite3.OperationalError) as caught:
            database.execute("INSERT INTO t VALUES (1)")
        reasons[name] = getattr(fault_of(caught.value), "reason", "")
    assert reasons == {name: name for name in reasons}
