"""A build as it is told of: lines out of pieces, steps with their places, the words of a failure."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from controller.containers.building import TAIL, Follower, line_of, readable
from controller.model.errors import TransientError

DOCKERFILE = """\
# syntax=docker/dockerfile:1
ARG BASE=x
FROM $BASE AS first
RUN make \\
    # not a line of its own
    --all
RUN true

FROM first
RUN true
"""


def follow(*chunks: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the log and the steps of a stream."""
    log, said = io.StringIO(), list[str]()
    Follower(name="box", dockerfile=DOCKERFILE, log=log, say=said.append).follow(chunks)
    return log.getvalue(), said


def streamed(*pieces: str) -> Iterable[Mapping[str, Any]]:
    """Return pieces as an engine sends them."""
    return [{"stream": piece} for piece in pieces]


def test_lines_are_put_together_from_pieces_that_end_anywhere() -> None:
    log, said = follow(*streamed("Step 2/", "6 : FROM $BASE AS first\n ---> 1", "\nab", "c"))
    assert log == "Step 2/6 : FROM $BASE AS first\n ---> 1\nabc\n"
    assert said == ["Step 2/6 : FROM $BASE AS first"]


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("10%\r 50%\r100%", "100%"),
        ("windows\r", "windows"),
        ("a\0b\x07c\td", "abc\td"),
    ],
)
def test_a_line_is_what_a_terminal_would_have_left(raw: str, shown: str) -> None:
    assert readable(raw) == shown


def test_output_that_never_ends_a_line_is_kept_and_held_in_pieces() -> None:
    log, _ = follow(*streamed(*["x" * 10_000] * 100))
    assert log.count("x") == 1_000_000
    assert max(map(len, log.splitlines())) < 20_000


def test_only_the_last_lines_are_in_a_failure() -> None:
    chunks = [{"stream": "Step 3/6 : RUN make     --all\n"}, *streamed(*(f"line {n}\n" for n in range(40)))]
    with pytest.raises(TransientError) as caught:
        follow(*chunks, {"stream": "unfinished"}, {"error": "\x1b[31mreturned a non-zero code: 2\n"})
    first, *rest = caught.value.message.splitlines()
    assert first == ("image box: Step 3/6 : RUN make     --all (Dockerfile line 4) failed: returned a non-zero code: 2")
    assert len(rest) == TAIL
    assert rest[-2:] == ["line 39", "unfinished"]


def test_bars_of_a_download_are_left_out() -> None:
    bar = {"status": "Downloading", "progress": "[==> ]", "progressDetail": {"current": 1}}
    log, _ = follow({"status": "Pulling from x"}, bar, {"aux": {"ID": "sha256:1"}})
    assert log == 'Pulling from x\n{"ID": "sha256:1"}\n'


@pytest.mark.parametrize(
    ("number", "text", "line"),
    [
        (1, "ARG BASE=x", 2),
        (3, "RUN make     --all", 4),
        (4, "RUN true", 7),
        (6, "RUN true", 10),
        (2, "RUN true", 7),
        (9, "LABEL a=b", None),
    ],
)
def test_a_step_is_found_in_the_dockerfile(number: int, text: str, line: int | None) -> None:
    """By its text; of equal ones, the one that the number says."""
    assert line_of(DOCKERFILE, number, text) == line
