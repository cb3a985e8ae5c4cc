"""Values out of whatever programs write as JSON: the value, or why there is none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.model.observed import OUTPUT_SENT, Outputs
from controller.model.resources import Metric
from controller.planning.results import LONGEST, extract, unread

BIG = json.dumps({"steps": ["x" * 40] * 2000, "final": {"loss": 0.5}}).encode()
DIGITS = "7" * 6000

VALUES: list[tuple[bytes, str, str]] = [
    (b'{"loss": 0.25}', "loss", "0.25"),
    (b'{"loss": 1}', "loss", "1"),
    (b'{"loss": true}', "loss", "true"),
    (b'{"loss": "low"}', "loss", "low"),
    (b'{"loss": ""}', "loss", ""),
    (b"3", "", "3"),
    (b'{"a": {"b": [1, {"c": 2}]}}', "a.b.1.c", "2"),
    (b'{"a": [1, 2]}', "a.-1", "2"),
    (b'\xef\xbb\xbf{"loss": 3}', "loss", "3"),
    (b'{"eval.loss": 3}', "eval.loss", "3"),
    (b'{"eval": {"x": 1}, "eval.loss": 3}', "eval.loss", "3"),
    (b'{"eval": {"loss": 2}, "eval.loss": 3}', "eval.loss", "2"),
    (b'{"run.1": {"eval.loss": 3}}', "run.1.eval.loss", "3"),
    (b'{"loss": 3, "other": NaN, "long": ' + DIGITS.encode() + b"}", "loss", "3"),
    (BIG, "final.loss", "0.5"),
    (b'{"n": ' + b"7" * 200 + b"}", "n", "7" * 200),
]
FAULTS: list[tuple[bytes, str, str]] = [
    (b"", "loss", "NotJson: m.json is empty"),
    (b"loss = 3", "loss", "NotJson: m.json, line 1, column 1"),
    (b'{"loss": 3', "loss", "NotJson: m.json, line 1"),
    (b"[" * 100_000, "loss", "NotJson: m.json is nested too deeply"),
    ('{"loss": 3}'.encode("utf-16"), "loss", "NotUtf8: m.json seems to be UTF-16"),
    ('{"loss": 3}'.encode("utf-16-le"), "loss", "NotUtf8: m.json seems to be UTF-16"),
    (b'{"loss": "\xe9"}', "loss", "NotUtf8: m.json is not UTF-8 at byte 10"),
    (b'{"loss": 2}\n{"loss": 1}\n', "loss", "JsonLines: "),
    (b'{"loss": NaN}', "loss", "NotFinite: NaN"),
    (b'{"loss": -Infinity}', "loss", "NotFinite: -Infinity"),
    (b'{"loss": 1e999}', "loss", "NotFinite: 1e999"),
    (b'{"loss": null}', "loss", "Null: m.json at loss is null"),
    (b'{"loss": ' + DIGITS.encode() + b"}", "loss", "TooLong: a number of 6000 digits"),
    (b'{"loss": "' + b"x" * 1001 + b'"}', "loss", "TooLong: m.json at loss is a text of 1001 characters"),
    (b'{"loss": {"train": 1}}', "loss", "NotScalar: m.json at loss is an object"),
    (b'{"loss": [1]}', "loss", "NotScalar: m.json at loss is a list"),
    (b"{}", "", "NotScalar: m.json at its top is an object"),
    (b'{"a": 1, "b": 2}', "loss", 'PathNotFound: there is no "loss"; where "loss" is looked for are the keys a, b'),
    (b'{"final": {"acc": 1}}', "final.loss", 'PathNotFound: there is no "final.loss"; where "loss" is looked for'),
    (b'{"a": [1]}', "a.1", 'PathNotFound: there is no "a.1"; where "1" is looked for is a list of 1'),
    (b'{"a": [1]}', "a.\u00b2", "PathNotFound: "),
    (b'{"loss": "\\u0000"}', "loss", "NotText: "),
    (b'{"loss": "\\ud800"}', "loss", "NotText: "),
]


def read(data: bytes | None, path: str, *, whole: bool = True) -> tuple[dict[str, str], dict[str, str]]:
    """Read one metric from ``m.json``."""
    outputs = Outputs(texts={} if data is None else {"m.json": data})
    found = extract({"loss": Metric(file="m.json", path=path)}, outputs, whole=whole)
    return found.results, found.faults


@pytest.mark.parametrize(("data", "path", "value"), VALUES, ids=[str(n) for n in range(len(VALUES))])
def test_values(data: bytes, path: str, value: str) -> None:
    """The value as text, exactly."""
    assert read(data, path) == ({"loss": value}, {})


@pytest.mark.parametrize(("data", "path", "said"), FAULTS, ids=[said[:30] for *_, said in FAULTS])
def test_faults(data: bytes, path: str, said: str) -> None:
    """Why there is none: a reason in one word, and what is wrong."""
    results, faults = read(data, path)
    assert results == {}
    assert faults["loss"].startswith(said)


def test_files_that_are_not_there_or_too_large() -> None:
    """What did not come with the run's end is read later; what is gone or beyond 1 MiB says so."""
    assert read(None, "loss")[1]["loss"].startswith("FileMissing: there is no file m.json")
    for data in (None, b"x" * OUTPUT_SENT):
        faults = read(data, "loss", whole=False)[1]
        assert unread(faults) == {"loss"}
    large = extract({"loss": Metric(file="m.json", path="")}, Outputs(too_large={"m.json": 3 << 20}), whole=True)
    assert large.faults["loss"].startswith("TooLarge: m.json has 3145728 bytes")


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("a.b", max_size=4), inner, max_size=3),
    ).map(lambda value: json.dumps(value).encode()),
    st.text("ab.10", max_size=6),
)
def test_anything_is_a_value_or_a_reason(data: bytes, path: str) -> None:
    """Whatever bytes there are and whatever path: one of the two, on one line."""
    results, faults = read(data, path)
    assert len(results) + len(faults) == 1
    for said in faults.values():
        assert said.partition(":")[0].isalnum()
    assert all(len(value) <= LONGEST for value in results.values())
