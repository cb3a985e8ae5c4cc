"""Edits of one field: what a person would have typed, and not a byte more."""

from __future__ import annotations

import pytest

from controller.specs.edits import EditRefused, Value, with_field

TRAIN = "kind: Job\nname: train\ncommand: x\n"


def edited(text: str, name: str, value: Value | None, *, document: int = 0, where: tuple[str, ...] = ()) -> str:
    """Return the edited text."""
    return with_field(text.encode(), document, where, name, value).decode()


def test_a_field_is_added_after_the_last_one() -> None:
    assert edited(TRAIN, "suspend", True) == TRAIN + "suspend: true\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("name: a", "name: a\nsuspend: true"),
        ("name: a\r\nb: 1\r\n", "name: a\r\nb: 1\r\nsuspend: true\r\n"),
        ("name: a\r\nb: 1", "name: a\r\nb: 1\r\nsuspend: true"),
        ("name: a  # why\n# the end\n", "name: a  # why\nsuspend: true\n# the end\n"),
        ("name: a\n\n# far\n", "name: a\nsuspend: true\n\n# far\n"),
        ("env:\n  A: x\n  # B: y\n\n  # C: z\n# end\n", "env:\n  A: x\n  # B: y\n\n  # C: z\nsuspend: true\n# end\n"),
        ("command: |\n  one\n  two\n\n# end\n", "command: |\n  one\n  two\nsuspend: true\n\n# end\n"),
        ("command: |+\n  one\n\n\n---\na: 1\n", "command: |+\n  one\n\n\nsuspend: true\n---\na: 1\n"),
        ("name: a\ncommand: |\n  one", "name: a\nsuspend: true\ncommand: |\n  one"),
        ("command: >-\n  one", "command: >-\n  one\nsuspend: true"),
        ("  name: a\n  b: 1\n", "  name: a\n  b: 1\n  suspend: true\n"),
        ("a: 1\n...\n", "a: 1\nsuspend: true\n...\n"),
        ('a: "one\n  two"\n', 'a: "one\n  two"\nsuspend: true\n'),
        ("needs:\n- b\n- c # d\n", "needs:\n- b\n- c # d\nsuspend: true\n"),
        ("a: é\u2028b: 1\nc: 2\n", None),
        ("{kind: Job, name: a}\n", "{kind: Job, name: a, suspend: true}\n"),
        ("{a: 1,  # one\n b: 2,  # two\n}\n", "{a: 1,  # one\n b: 2, suspend: true,  # two\n}\n"),
        ("a:\n", "a:\nsuspend: true\n"),
    ],
)
def test_where_a_field_is_added(before: str, after: str | None) -> None:
    """In every layout the new line stands where a person would put it, and taking it away gives the old bytes back."""
    set_ = edited(before, "suspend", True)
    if after is not None:
        assert set_ == after
    assert edited(set_, "suspend", None) == before


def test_only_the_named_document_is_touched() -> None:
    text = f"# first\n{TRAIN}---\n# second\n{TRAIN.replace('train', 'other')}--- # third\nkind: Cluster\n"
    set_ = edited(text, "suspend", True, document=1)
    assert set_ == text.replace("other\ncommand: x\n", "other\ncommand: x\nsuspend: true\n")
    assert edited(set_, "suspend", None, document=1) == text


def test_a_step_of_a_workflow_in_block_and_in_flow_style() -> None:
    text = "kind: Workflow\nsteps:\n  relax:\n    command: x\n  # then\n  scf: {command: y, needs: [relax]}\n"
    relax = edited(text, "suspend", True, where=("steps", "relax"))
    assert relax == text.replace("command: x\n", "command: x\n    suspend: true\n")
    scf = edited(text, "rerun", "2024", where=("steps", "scf"))
    assert scf == text.replace("[relax]}", '[relax], rerun: "2024"}')
    assert edited(relax, "suspend", None, where=("steps", "relax")) == text
    assert edited(scf, "rerun", None, where=("steps", "scf")) == text


def test_a_step_of_one_field_that_no_line_can_follow() -> None:
    """Without a line break at the end a block scalar would change with the line after it: the new field goes first."""
    text = "kind: Workflow\nsteps:\n  one:\n    command: |\n      x"
    set_ = edited(text, "suspend", True, where=("steps", "one"))
    assert set_ == text.replace("    command", "    suspend: true\n    command")
    assert edited(set_, "suspend", None, where=("steps", "one")) == text


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [
        ("suspend: false  # not now\n", True, "suspend: true  # not now\n"),
        ("suspend:\nb: 1\n", True, "suspend: true\nb: 1\n"),
        ("suspend: # why\n  - a\n  - b\nb: 1\n", True, "suspend: true # why\nb: 1\n"),
        ("suspend: [a]  # why\n", ["a", "b"], 'suspend: ["a", "b"]  # why\n'),
        (
            "suspend:\n  - a  # diverges\n  - b\nb: 1\n",
            ["a", "b", "c"],
            'suspend:\n  - a  # diverges\n  - b\n  - "c"\nb: 1\n',
        ),
        ("suspend:\n- a  # diverges\n- b\nb: 1\n", ["a"], "suspend:\n- a  # diverges\nb: 1\n"),
        ("suspend:\n- a\n- b", ["a"], "suspend:\n- a\n"),
        ("x: 1\n", ["a", "b", "c", "d"], 'x: 1\nsuspend:\n  - "a"\n  - "b"\n  - "c"\n  - "d"\n'),
        ("suspend: true # x\nx: 1\n", list("abcd"), 'suspend: # x\n  - "a"\n  - "b"\n  - "c"\n  - "d"\nx: 1\n'),
        ("suspend: {a: 1}", {"a": "1", "b": "2"}, 'suspend: {"a": "1", "b": "2"}'),
        ('suspend:\n  a: "1"  # one\n  b: "2"\n', {"a": "3", "b": "2"}, 'suspend:\n  a: "3"  # one\n  b: "2"\n'),
        ('suspend:\n  a: "1"  # one\nb: 2\n', {"a": "1", "c": "2"}, 'suspend:\n  a: "1"  # one\n  "c": "2"\nb: 2\n'),
        ("suspend: |\n  a\n\nb: 1\n", "2", 'suspend: "2"\n\nb: 1\n'),
    ],
)
def test_another_value(before: str, value: Value, after: str) -> None:
    assert edited(before, "suspend", value) == after


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("a: &x 1\nb: *x\n", "anchors", 1),
        ("a: 1\na: 2\n", "duplicate key", 2),
        ("a: [1\n", "not valid YAML", 2),
        ("\ufeffa: 1\n", "byte order mark", 1),
        ("- a\n", "no mapping", 1),
        ("{}\n", "no mapping", 1),
        ("suspend: [a,  # why\n  b]\n", "no safe place", 1),
    ],
)
def test_what_cannot_be_edited_is_refused(text: str, message: str, line: int) -> None:
    """The refusal names the line and says what to type."""
    with pytest.raises(EditRefused, match=message) as refused:
        edited(text, "suspend", True)
    assert refused.value.line == line
    assert refused.value.by_hand.endswith("suspend: true")


def test_an_explicit_key_is_left_alone() -> None:
    with pytest.raises(EditRefused, match="no safe place"):
        edited("? suspend\n: true\nb: 1\n", "suspend", None)
