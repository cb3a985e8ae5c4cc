"""What is wrong with a file as YAML, in words for a person who knows YAML but not its grammar.

Turns parser errors (which carry a place but, from libyaml, no text) and forbidden bytes into faults. Must not know
what a spec is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml

_REMEDIES = (
    ("mapping values are not allowed", "check the indentation, or quote a value that holds ': '"),
    ("found unexpected end of stream", "a quote is not closed"),
    ("could not find expected ':'", "a key needs a colon after it; a text of several lines needs | or quotes"),
    ("did not find expected key", "check the indentation and the quotes of this line and the one above"),
    ("did not find expected ',' or", "a bracket or brace is not closed, or a comma is missing"),
    ("found undefined tag handle", "remove the tag"),
    ("did not find expected '-' indicator", "check the indentation of this list"),
)
_TAB = "a tab cannot be used for indentation"
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong at one place; line and column from 1, line 0 for the file as a whole."""

    line: int
    column: int
    message: str
    remedy: str = ""


def bad_characters(data: bytes, *, max_bytes: int) -> tuple[str, Fault | None]:
    """Return a file's text, and why it cannot be given to a YAML parser at all (None if it can)."""
    if len(data) > max_bytes:
        limit = f"{max_bytes >> 20} MiB"
        fault = Fault(
            0,
            0,
            f"the file is larger than {limit}, the most a spec file may have",
            "split it, or list it in .controllerignore if it is not a spec",
        )
        return data[:max_bytes].decode("utf-8", "replace"), fault
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        byte = data[error.start]
        message = f"not UTF-8: byte 0x{byte:02x}"
        return data.decode("utf-8", "replace"), Fault(*_place_after(before), message, "save the file as UTF-8")
    if found := _FORBIDDEN.search(text):
        message = f"control character U+{ord(found[0]):04X} is not allowed in YAML"
        return text, Fault(*_place_after(text[: found.start()]), message, 'remove it, or write it as "\\x.." in quotes')
    return text, None


def _place_after(text: str) -> tuple[int, int]:
    return text.count("\n") + 1, len(text) - (text.rfind("\n") + 1) + 1


def from_yaml_error(error: yaml.YAMLError, text: str, *, first_line: int = 0) -> Fault:
    """Return the fault for a parser's error in ``text``, which starts after ``first_line`` lines of the file."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        reason = getattr(error, "reason", None) or str(error).partition("\n")[0]
        return Fault(first_line + 1, 1, f"not valid YAML: {reason}")
    line, column = error.problem_mark.line, error.problem_mark.column
    message = error.problem or "cannot be read"
    if _character(text, line, column) == "\t" and "token" in message:
        return Fault(first_line + line + 1, column + 1, _TAB, "use spaces")
    remedy = next((remedy for start, remedy in _REMEDIES if start in message), "")
    if error.context and error.context_mark is not None and error.context_mark.line != line:
        message += f" ({error.context} that starts on line {first_line + error.context_mark.line + 1})"
    return Fault(first_line + line + 1, column + 1, f"not valid YAML: {message}", remedy)


def _character(text: str, line: int, column: int) -> str:
    lines = text.splitlines()
    return lines[line][column : column + 1] if line < len(lines) else ""
