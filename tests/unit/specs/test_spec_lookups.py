"""Look-ups: dotted names, filled in and quoted."""

from __future__ import annotations

import pytest

from controller.specs import lookups

NAMES = {"job.name": None, "matrix.lr": None, "needs.prep-1.run_dir": None}


def test_known_names_have_no_faults_and_are_filled_in() -> None:
    text = "run ${{ job.name }} ${{matrix.lr}} ${{ needs.prep-1.run_dir }} ${HOME} $((1)) }}"
    assert list(lookups.faults(text, NAMES)) == []
    values = {"job.name": "a", "matrix.lr": "0.1 x", "needs.prep-1.run_dir": "/r"}
    assert lookups.fill(text, values) == "run a '0.1 x' /r ${HOME} $((1)) }}"
    assert lookups.fill(text, values, quote=lookups.verbatim) == "run a 0.1 x /r ${HOME} $((1)) }}"


def test_a_value_is_not_looked_into() -> None:
    assert lookups.fill("${{ a.b }}", {"a.b": "${{ a.b }}"}, quote=lookups.verbatim) == "${{ a.b }}"


@pytest.mark.parametrize(
    "text",
    [
        "${{",
        "${{ }}",
        "${{ job }}",
        "${{ job. }}",
        "${{ job.name() }}",
        "${{ job.name + 1 }}",
        "${{ .a }}",
        "${{ a b.c }}",
    ],
)
def test_anything_else_is_a_fault(text: str) -> None:
    assert len(list(lookups.faults(text, NAMES))) == 1


def test_faults_are_told_one_by_one() -> None:
    found = list(lookups.faults("${{ ${{ job.nme }} ${{ x.y }", {**NAMES, "x.y": "why"}))
    assert [(f.offset, f.message) for f in found] == [
        (0, 'a look-up is not closed: "}}" is missing after "${{"'),
        (4, 'unknown name "job.nme"; did you mean "job.name"?'),
        (19, 'a look-up is not closed: "}}" is missing after "${{"'),
    ]
