"""YAML by 1.2 rules, with places, whatever the bytes."""

from __future__ import annotations

import math
import re
import subprocess
import sys

import pytest
import yaml

from controller.specs import yaml_loader
from controller.specs.yaml_loader import load
from controller.specs.yaml_scalars import resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10:00:00", "10:00:00"),
        ("12:30", "12:30"),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("no", "no"),
        ("y", "y"),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("+12", 12),
        ("-0", 0),
        ("1e3", 1000.0),
        ("1.", 1.0),
        (".5", 0.5),
        (".", "."),
        ("1.2.3", "1.2.3"),
        ("2025-03-01", "2025-03-01"),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("inf", "inf"),
        ("true", True),
        ("True", True),
        ("tRUE", "tRUE"),
        ("null", None),
        ("~", None),
        ("", None),
        ("=", "="),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_core_schema(text: str, value: object) -> None:
    got = resolve(text)
    assert got == value
    assert type(got) is type(value)


def test_nan() -> None:
    got = resolve(".nan")
    assert isinstance(got, float)
    assert math.isnan(got)


def test_quotes_make_strings_and_keys_are_always_strings() -> None:
    (document,) = load(b"""{1: "1", true: 'yes', on: |\n  8\n, ~: x}""".replace(b"|\n  8\n", b"8")).documents
    assert document.value == {"1": "1", "true": "yes", "on": 8, "~": "x"}


def test_every_key_and_value_has_its_place() -> None:
    (document,) = load("a: [ö, {b: 1}]\nccc:\n  - x\n".encode()).documents
    assert document.values == {
        (): (1, 1),
        ("a",): (1, 4),
        ("a", 0): (1, 5),
        ("a", 1): (1, 8),
        ("a", 1, "b"): (1, 12),
        ("ccc",): (3, 3),
        ("ccc", 0): (3, 5),
    }
    assert document.keys == {("a",): (1, 1), ("a", 1, "b"): (1, 9), ("ccc",): (2, 1)}


def test_a_garbled_document_leaves_its_neighbours() -> None:
    loaded = load(b"a: 1\n---\nb: [\n--- # three\nc: 3\n---\n\td: 4\n")
    assert [(d.line, d.value) for d in loaded.documents] == [(1, {"a": 1}), (5, {"c": 3})]
    assert [piece.line for piece in loaded.garbled] == [2, 6]
    assert [piece.fault.line for piece in loaded.garbled] == [4, 7]


def test_dashes_in_a_block_scalar_do_not_cut_it() -> None:
    """Indented, they are text; at the margin they end the document even there (YAML 1.2.2, 9.1.2)."""
    loaded = load(b"a: |\n  ---\n  x\n---\nb: [\n")
    assert [d.value for d in loaded.documents] == [{"a": "---\nx\n"}]
    assert len(loaded.garbled) == 1


def test_windows_line_ends() -> None:
    (document,) = load(b"a: |\r\n  x\r\n  y\r\nb: 1\r\n").documents
    assert document.value == {"a": "x\ny\n", "b": 1}


def test_empty_and_comment_only_files_have_nothing() -> None:
    for data in (b"", b"# nothing\n", b"\n\n"):
        assert [d.value for d in load(data).documents if d.value is not None] == []
        assert load(data).garbled == []


@pytest.mark.parametrize("depth", [1_000, 100_000, 500_000])
@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "[a, ["])
def test_depth_is_counted_before_anything_is_composed(opening: str, depth: int) -> None:
    """In a process of its own: what is guarded against here ends the interpreter, not the call."""
    script = (
        "from controller.specs.yaml_loader import load\n"
        f"loaded = load(({opening!r} * {depth})[:1 << 20].encode())\n"
        "assert not loaded.documents and len(loaded.garbled) == 1, loaded\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)


def test_aliases_are_never_expanded() -> None:
    text = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 200))
    (document,) = load(text.encode()).documents
    assert document.value["a199"] == [None] * 9
    assert [re.sub(r"\(.*\)", "", fault.message) for fault in document.faults] == [
        "anchors  are not supported",
        "aliases  are not supported",
    ]


def test_the_pure_python_parser_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PyYAML was built without libyaml the same files mean the same."""

    class PureParser(yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser):
        def __init__(self, stream: bytes) -> None:
            yaml.reader.Reader.__init__(self, stream)
            yaml.scanner.Scanner.__init__(self)
            yaml.parser.Parser.__init__(self)

    text = b"kind: Job\nname: x # c\ncommand: |\n  a\n  b\nenv: {A: '1', B: \"\\u00e9\"}\nfiles:\n- a\n- {x: 010}\n"
    fast = load(text)
    monkeypatch.setattr(yaml_loader, "EventParser", PureParser)
    slow = load(text)
    assert [(d.value, d.values, d.keys) for d in slow.documents] == [
        (d.value, d.values, d.keys) for d in fast.documents
    ]
    assert load(b"a: [").garbled
    assert load(b"[" * 100_000).garbled[0].fault.message == "nested more than 64 levels deep"
