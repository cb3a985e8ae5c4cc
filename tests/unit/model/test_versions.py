"""Every form that outlives a process: an earlier one is read, a later one refused, garbage is said to be that."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from controller.clusters.observation import read_observation
from controller.clusters.scripts import Answer, Part
from controller.model.conditions import TaskState
from controller.model.documents import from_document
from controller.model.errors import StalledError
from controller.model.leases import read_lease, read_owner
from controller.model.observed import ClusterObservation
from controller.model.versions import NewerVersionError
from controller.repository.heartbeat import heartbeat_from
from controller.repository.report import parse, path_of
from controller.schedulers.local import SCHEDULER

RUN = "train/0123456789ab/1"
EVENT = {"run": RUN, "kind": "exited", "owner": "7_0@0123456789ab.1", "at": 5.0, "exit_code": 0}
LOCK = {"run": RUN, "job": "train", "key": "", "digest": "d", "attempt": 1, "batch": "b", "index": 0, "commit": "c"}
MANIFEST = {"batch": "b", "job": "train", "commit": "c", "image": "", "runs": [RUN], "digests": ["d"], "keys": [""]}
TASK = {"id": "train", "state": "Succeeded", "digest": "d"}
STATUS = {"kind": "Job", "name": "train", "digest": "d", "commit": "c", "conditions": [], "tasks": [TASK]}
LEASE = {"version": 1, "instance": "i", "address": "a"}
OWNER = {**LEASE, "account": "ada"}
HEARTBEAT = {
    "at": "t", "passed": "t", "result": "completed", "reason": "", "spec_commit": "c", "host": "h", "instance": "i",
    "version": "9.0", "interval_s": 60,
}  # fmt: skip


def seen(part: str, text: str) -> ClusterObservation:
    """Return what one part of a look brought back."""
    parts = {name: Part(text="", exit_code=0, fault="") for name in ("spool", "runs", "batches")}
    parts[part] = Part(text=text, exit_code=0, fault="")
    answer = Answer(nonce="n", parts=parts, complete=True)
    found = read_observation("there", answer, SCHEDULER)
    if part in found.faults:
        raise ValueError(found.faults[part])
    return found


def status_file(text: str) -> object:
    """Return what a file of the status branch says of a job's only task."""
    [status] = parse({path_of("Job", "train"): text.encode()})
    return status.tasks[0].state


@dataclass(frozen=True)
class Form:
    """A form: its first version's document, how it is read, and what is to come of it."""

    first: dict[str, Any]
    read: Callable[[str], object]
    meant: object


FORMS = {
    "exit.json": Form(
        EVENT, lambda t: [(e.run, e.exit_code) for e in seen("runs", f"exit {RUN} {t}").events or ()], [(RUN, 0)]
    ),
    "spool": Form(EVENT, lambda t: [e.exit_code for e in seen("spool", f"x.json {t}").events or ()], [0]),
    "run.lock.json": Form(
        LOCK, lambda t: [lock.digest for lock in seen("everything", f"lock {RUN} {t}").scanned or ()], ["d"]
    ),
    "manifest.json": Form(MANIFEST, lambda t: (seen("batches", f"batch b 1 7 {t}").batches or {})["b"].runs, (RUN,)),
    "owner.json": Form(OWNER, lambda t: read_owner(t).account, "ada"),
    "controller.json": Form(LEASE, lambda t: read_lease(t).instance, "i"),
    "status document": Form(STATUS, lambda t: from_document(json.loads(t)).tasks[0].state, TaskState.SUCCEEDED),
    "status file": Form(STATUS, status_file, TaskState.SUCCEEDED),
    "heartbeat.json": Form(HEARTBEAT, lambda t: getattr(heartbeat_from(t), "instance", None), "i"),
}
LATER_REFUSED = [name for name in FORMS if name != "heartbeat.json"]
"""The heartbeat decides nothing: what is known of it is shown, whoever wrote it."""


@pytest.mark.parametrize("name", FORMS)
def test_the_first_version_is_read(name: str) -> None:
    """As the first controller wrote it, with not a field more."""
    form = FORMS[name]
    assert form.read(json.dumps(form.first)) == form.meant


@pytest.mark.parametrize("name", FORMS)
def test_a_field_that_is_not_known_is_passed_over(name: str) -> None:
    """Within a version."""
    form = FORMS[name]
    assert form.read(json.dumps({**form.first, "invented": {"later": [1]}})) == form.meant


@pytest.mark.parametrize("name", LATER_REFUSED)
def test_a_later_version_is_refused_by_name(name: str) -> None:
    """With what to do; nothing is read out of it, so that nothing is concluded from it."""
    form = FORMS[name]
    with pytest.raises((ValueError, StalledError)) as caught:
        form.read(json.dumps({**form.first, "version": 99}))
    assert "later version" in str(caught.value) or isinstance(caught.value, NewerVersionError)
    assert "99" in str(caught.value)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("text", ["{", "[]", "null", '"x"', "{}", '{"version": "x"}', "\ufffd"])
def test_garbage_is_no_record(name: str, text: str) -> None:
    """It is said to be none, or passed over where another record tells of the same thing."""
    form = FORMS[name]
    try:
        found = form.read(text)
    except (ValueError, StalledError):
        return
    assert not found
