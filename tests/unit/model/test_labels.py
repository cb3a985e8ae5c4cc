"""Selectors pick what kubectl's would."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.model.labels import SelectorError, parse_selector, selects

LABELED = {
    "a-test": {"team": "a", "stage": "test"},
    "a-prod": {"team": "a", "stage": "prod"},
    "b": {"team": "b", "note": ""},
    "none": {},
}


@pytest.mark.parametrize(
    ("selector", "picked"),
    [
        ("", ["a-test", "a-prod", "b", "none"]),
        ("team=a", ["a-test", "a-prod"]),
        ("team==a", ["a-test", "a-prod"]),
        ("team = a , stage = prod", ["a-prod"]),
        ("team=a,stage!=test", ["a-prod"]),
        ("stage!=test", ["a-prod", "b", "none"]),
        ("team in (a, b)", ["a-test", "a-prod", "b"]),
        ("team in (a,b),stage in (test)", ["a-test"]),
        ("stage notin (test,prod)", ["b", "none"]),
        ("stage", ["a-test", "a-prod"]),
        ("!stage", ["b", "none"]),
        ("! stage,team", ["b"]),
        ("note=", ["b"]),
        ("in in (a)", []),
    ],
)
def test_what_is_picked(selector: str, picked: list[str]) -> None:
    """As the Kubernetes documentation has it: what lacks a label has none of its values."""
    parsed = parse_selector(selector)
    assert [name for name, labels in LABELED.items() if selects(parsed, labels)] == picked


@pytest.mark.parametrize("selector", ["team=a=b", "team in a", "team in (a", "=a", "!team=a", "team a", "a,,b", "(a)"])
def test_what_is_none_is_refused(selector: str) -> None:
    with pytest.raises(SelectorError, match="KEY notin"):
        parse_selector(selector)


@given(st.text(max_size=30))
def test_any_text_is_a_selector_or_refused(text: str) -> None:
    """Nothing but the one error comes of it, and what is refused is not selected by part of it."""
    with suppress(SelectorError):
        parsed = parse_selector(text)
        assert bool(parsed) is bool(text.strip())
