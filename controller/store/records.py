"""Rows of the journal as JSON text, both ways.

A row may have been written by an earlier version, or by a later one that kept the journal's version: a field that is
missing has its default, and one that is not known is passed over. Must not open any file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from controller.model.conditions import TaskState
from controller.model.errors import StalledError
from controller.model.observed import Charged
from controller.model.plans import Failure
from controller.model.resources import Gpus, OnRemove, Place, Resources
from controller.model.runs import Run, RunRecord


def record_text(record: RunRecord) -> str:
    """Return a record as the row holds it: its run as it was begun, and what it counts for where that is another."""
    run = record.run
    row = asdict(replace(record, run=run.as_begun()))
    del row["run"]["begun_as"]
    if run.begun_as is not None:
        row["counts_for"] = [run.job, run.key, run.digest]
    return json.dumps(row)


def read_record(run_id: str, text: str) -> RunRecord:
    """Return the record in a row.

    Raises:
        StalledError: JournalDamaged: it is none.
    """
    try:
        row = json.loads(text)
        value = _known(RunRecord, row)
        run = Run(**_known(Run, value["run"]))
        value["run"] = run.counting_for(Place(*row["counts_for"])) if "counts_for" in row else run
        value["state"] = TaskState(value["state"])
        value["charged"] = Charged(**_known(Charged, value.get("charged", {})))
        value["on_remove"] = OnRemove(value["on_remove"]) if value.get("on_remove") else None
        value["asked"] = _read_resources(value.get("asked"))
        return RunRecord(**value)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise _damaged(f"run {run_id}", error) from error


def failure_text(failure: Failure) -> str:
    """Return a failure as the row holds it."""
    return json.dumps(asdict(failure))


def read_failure(key: str, text: str) -> Failure:
    """Return the failure in a row.

    Raises:
        StalledError: JournalDamaged: it is none.
    """
    try:
        return Failure(**_known(Failure, json.loads(text)))
    except (ValueError, TypeError, AttributeError) as error:
        raise _damaged(f"failed action {key}", error) from error


def _read_resources(value: Mapping[str, Any] | None) -> Resources | None:
    if value is None:
        return None
    known = _known(Resources, value)
    known["gpus"] = Gpus(**_known(Gpus, known["gpus"])) if known.get("gpus") else None
    known["extra"] = tuple(known.get("extra", ()))
    return Resources(**known)


def _known(kind: Any, value: Mapping[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    return {name: each for name, each in value.items() if name in names}


def _damaged(what: str, error: Exception) -> StalledError:
    message = (
        f"the journal's row of {what} cannot be read ({type(error).__name__}: {error}); nothing was done. Move "
        "journal.sqlite3 out of the state directory: it is made anew from the cluster and the status branch"
    )
    return StalledError("JournalDamaged", message)
