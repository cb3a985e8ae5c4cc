"""What is asked of a job, a step or a task, as the fields that say so."""

from __future__ import annotations

from typing import Any

import pytest

from controller.specs.requests import FieldEdit, RequestRefused, Subject, resumed, run_again, suspended, words_used

KEYS = ["lr=1", "lr=2", "lr=3"]
STEP = ("steps", "one")


def job(key: str = "", **fields: Any) -> Subject:
    return Subject(document={"kind": "Job", **fields}, key=key, keys=KEYS)


def step(key: str = "", *, above: dict[str, Any] | None = None, **fields: Any) -> Subject:
    document = {"kind": "Workflow", **(above or {}), "steps": {"one": {"command": "x", **fields}}}
    return Subject(document=document, step="one", key=key, keys=KEYS)


def workflow(above: dict[str, Any], **steps: dict[str, Any]) -> Subject:
    return Subject(document={"kind": "Workflow", **above, "steps": steps})


def top(name: str, value: Any) -> FieldEdit:
    return FieldEdit((), name, value)


@pytest.mark.parametrize(
    ("subject", "edits"),
    [
        (job(), [top("suspend", True)]),
        (job(suspend=False), [top("suspend", True)]),
        (job(suspend=["lr=1"]), [top("suspend", True)]),
        (job(suspend=True), []),
        (job("lr=2"), [top("suspend", ["lr=2"])]),
        (job("lr=2", suspend=["lr=1"]), [top("suspend", ["lr=1", "lr=2"])]),
        (job("lr=2", suspend=["lr=2"]), []),
        (job("lr=2", suspend=True), []),
        (step(), [FieldEdit(STEP, "suspend", True)]),
        (step(above={"suspend": True}), []),
        (step(above={"suspend": True}, suspend=False), [FieldEdit(STEP, "suspend", True)]),
        (workflow({}, one={"suspend": False}, two={}), [top("suspend", True), FieldEdit(STEP, "suspend", None)]),
        (workflow({"suspend": True}, one={"suspend": ["lr=1"]}), [FieldEdit(STEP, "suspend", None)]),
        (workflow({"suspend": True}, one={}), []),
    ],
)
def test_suspending(subject: Subject, edits: list[FieldEdit]) -> None:
    assert suspended(subject) == edits


@pytest.mark.parametrize(
    ("subject", "edits"),
    [
        (job(), []),
        (job(suspend=False), []),
        (job(suspend=True), [top("suspend", None)]),
        (job(suspend=["lr=1"]), [top("suspend", None)]),
        (job("lr=1", suspend=["lr=1", "lr=2"]), [top("suspend", ["lr=2"])]),
        (job("lr=1", suspend=["lr=1"]), [top("suspend", None)]),
        (job("lr=1", suspend=["lr=2"]), []),
        (step(suspend=True), [FieldEdit(STEP, "suspend", None)]),
        (step(above={"suspend": True}), [FieldEdit(STEP, "suspend", False)]),
        (step(above={"suspend": True}, suspend=False), []),
        (step("lr=1", above={"suspend": True}, suspend=["lr=1"]), [FieldEdit(STEP, "suspend", False)]),
        (workflow({"suspend": True}, one={"suspend": False}), [top("suspend", None), FieldEdit(STEP, "suspend", None)]),
        (workflow({}, one={"suspend": ["lr=1"]}, two={}), [FieldEdit(STEP, "suspend", None)]),
    ],
)
def test_resuming(subject: Subject, edits: list[FieldEdit]) -> None:
    assert resumed(subject) == edits


def test_one_task_of_a_job_that_is_suspended_as_a_whole() -> None:
    with pytest.raises(RequestRefused, match="resumed together"):
        resumed(job("lr=1", suspend=True))


@pytest.mark.parametrize(
    ("subject", "edits"),
    [
        (job(), [top("rerun", "w")]),
        (job(rerun={"lr=1": "a"}), [top("rerun", "w")]),
        (job("lr=2"), [top("rerun", {"lr=2": "w"})]),
        (job("lr=2", rerun={"lr=1": "a"}), [top("rerun", {"lr=1": "a", "lr=2": "w"})]),
        (job("lr=2", rerun=7), [top("rerun", {"lr=1": 7, "lr=2": "w", "lr=3": 7})]),
        (step("lr=1", above={"rerun": "a"}), [FieldEdit(STEP, "rerun", {"lr=1": "w", "lr=2": "a", "lr=3": "a"})]),
        (workflow({}, one={"rerun": "a"}, two={}), [top("rerun", "w"), FieldEdit(STEP, "rerun", "w")]),
    ],
)
def test_running_again(subject: Subject, edits: list[FieldEdit]) -> None:
    """The others keep the word that they have: only who is meant gets a new one."""
    assert run_again(subject, "w") == edits


def test_too_many_tasks_to_be_written_down() -> None:
    subject = Subject(document={"rerun": "a"}, key="n=1", keys=[f"n={n}" for n in range(1001)])
    with pytest.raises(RequestRefused, match="all its 1001 tasks"):
        run_again(subject, "w")


def test_words_that_were_used() -> None:
    assert words_used(job(rerun={"lr=1": "a", "lr=2": 3})) == {"a", "3"}
    assert words_used(workflow({"rerun": "b"}, one={"rerun": "c"})) == {"b", "c"}
