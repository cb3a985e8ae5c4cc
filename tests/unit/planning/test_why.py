"""What a plan says of why runs are due."""

from __future__ import annotations

import pytest

from controller.model.conditions import TaskState
from controller.model.resources import Retries
from tests.unit.planning.values import NOW, desired, history, job, plan, record, run, submits, task

CHANGED = "changed since the last run (spec, files, image, or rerun)"


def why(past: list[tuple[str, str]], keys: list[str]) -> str:
    """Return what is said of a job with tasks at these keys, of which (key, command) has run."""
    ran = [record(run(task("train", key, command)), state=TaskState.SUCCEEDED) for key, command in past]
    mine = job("train", *(task("train", key) for key in keys))
    [submit] = submits(plan(desired(mine), past=history(*ran)))
    return submit.why


@pytest.mark.parametrize(
    ("past", "keys", "said"),
    [
        ([], ["seed=1"], "new"),
        ([("seed=1", "true")], ["seed=1", "seed=2"], "new in a job that has run"),
        ([("seed=1", "old")], ["seed=1"], "changed since the last run (spec, files, image, or rerun)"),
        (
            [("seed=1", "old")],
            ["seed=1", "seed=2"],
            "1 changed since the last run (spec, files, image, or rerun), 1 new",
        ),
    ],
)
def test_new_is_said_of_what_is_new(past: list[tuple[str, str]], keys: list[str], said: str) -> None:
    """A changed digest, as by rerun, and a new seed differ from a job that has never run."""
    assert why(past, keys) == said


def test_a_further_attempt_says_which() -> None:
    """The number of the attempt."""
    failed = record(state=TaskState.FAILED, reason="NodeFail", ended=NOW - 900)
    mine = job(retries=Retries(max=1, on=frozenset({"NodeFail"}), backoff_s=1))
    assert [submit.why for submit in submits(plan(desired(mine), past=history(failed)))] == ["attempt 2"]
