"""A problem is drawn with its line, a caret under the right character, and the remedy."""

from __future__ import annotations

from controller.model.problems import Problem
from controller.specs.excerpts import draw, excerpt
from tests.unit.specs.trees import desired


def test_whole_drawing() -> None:
    result = desired({"a.yaml": "kind: Cluster\nname: greene\nscheduler: slrum\n"})
    assert draw(result.problems[0]) == (
        'a.yaml:3:12: "scheduler" may not be "slrum"; did you mean "slurm"?\n'
        " 3 | scheduler: slrum\n"
        "   |            ^\n"
        "   = allowed values: slurm, local"
    )


def test_wide_characters_push_the_caret() -> None:
    result = desired({"a.yaml": "kind: Cluster\nname: x\nlabels: {日本: 1}\n"})
    lines = draw(result.problems[0]).splitlines()
    assert lines[1:3] == [" 3 | labels: {日本: 1}", "   |          ^"]
    (label,) = [p for p in result.problems if p.column > 12]
    assert draw(label).splitlines()[2] == "   |                ^"


def test_nothing_to_draw() -> None:
    assert draw(Problem(path="a", line=0, column=0, message="m")) == "a: m"


def test_control_characters_and_length_never_reach_the_terminal() -> None:
    assert excerpt(["a\x1b[31m\tb"], 1, 1) == "a\N{REPLACEMENT CHARACTER}[31m b"
    assert excerpt(["x" * 1000], 1, 5) == "x" * 200 + " ..."
    assert excerpt(["x" * 1000], 1, 500) == ""
    assert excerpt(["x"], 7, 1) == ""
