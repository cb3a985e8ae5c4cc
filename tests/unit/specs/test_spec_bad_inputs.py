"""Every malformed spec gets its message, and none takes another spec with it."""

from __future__ import annotations

import pytest

from tests.unit.specs import bad_inputs, bad_work
from tests.unit.specs.trees import GOOD, Link, desired, headlines

INPUTS = {**bad_inputs.INPUTS, **bad_work.INPUTS}
AROUND = {
    "good.yaml": GOOD,
    "src/a.py": "1",
    "img/Dockerfile": "FROM scratch\n",
    "linked/Dockerfile": "FROM scratch\n",
    "linked/out": Link(b"../src/a.py"),
    "links/out": Link(b"../../etc/passwd"),
    "links/a/b": Link(b"../../src"),
    "links/deep": Link(b"a/b/../../x"),
}


@pytest.mark.parametrize("case", INPUTS)
def test_message_and_sibling(case: str) -> None:
    content, messages = INPUTS[case]
    result = desired({**AROUND, "bad.yaml": content})
    assert [line.removeprefix("bad.yaml:").strip() for line in headlines(result)] == messages
    assert "good" in result.jobs
    assert not result.broken & {"Job/good", "Cluster/good"}


@pytest.mark.parametrize("case", INPUTS)
def test_nothing_broken_is_forgotten(case: str) -> None:
    """What a bad file may have held is either named in ``broken`` or its file is in ``broken_paths``."""
    result = desired({**AROUND, "bad.yaml": INPUTS[case][0]})
    assert result.broken or result.broken_paths == {"bad.yaml"}


@pytest.mark.parametrize("case", INPUTS)
def test_messages_are_safe_to_print(case: str) -> None:
    result = desired({**AROUND, "bad.yaml": INPUTS[case][0]})
    for problem in result.problems:
        assert (problem.message + problem.remedy + problem.excerpt).isprintable()
        assert len(problem.message) < 250
        assert len(problem.excerpt) < 250


def test_table_is_as_long_as_promised() -> None:
    assert len(INPUTS) == len(bad_inputs.INPUTS) + len(bad_work.INPUTS) >= 45 + 25
