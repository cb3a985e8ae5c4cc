"""One decoder for what programs have written on a cluster: types, ranges, depth, sizes, finite numbers.

Whatever does not fit is an ``UnfitError`` that says what and where, never another exception: a file there may hold
anything, by accident or not, and concerns the run it is of and nothing else. Must not say what the values mean.
"""

from __future__ import annotations

import binascii
import json
import re
from base64 import b64decode
from typing import Any

MOST_BYTES = 4 * 1024 * 1024
MOST_TEXT = 4096
LATEST_S = 253_402_300_800.0
"""The year 10000: no clock is that late, and no date can be written of what is later."""
MOST_INTEGER = 2**31 - 1
_MOST_NESTED = 32
_RUN = re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._=,+~-]+/[0-9]{1,9}")


class UnfitError(ValueError):
    """A value that does not fit. The text is for a person: what was found, and what was expected."""


def document(text: str) -> dict[str, Any]:
    """Return the JSON object in a text.

    Raises:
        UnfitError: it is none, is nested more than 32 deep, or larger than 4 MiB.
    """
    if len(text) > MOST_BYTES:
        raise UnfitError(f"it has {len(text)} characters, and at most {MOST_BYTES} are read")
    if _deepest(text) > _MOST_NESTED:
        raise UnfitError(f"it is nested more than {_MOST_NESTED} deep")
    try:
        value = json.loads(text, parse_constant=_refuse)
    except UnfitError:
        raise
    except ValueError as error:
        raise UnfitError(f"it is not JSON: {str(error)[:200]}") from error
    if not isinstance(value, dict):
        raise UnfitError(f"it is a JSON {type(value).__name__}, not an object")
    return value


def text_of(value: dict[str, Any], name: str, *, default: str | None = None, most: int = MOST_TEXT) -> str:
    """Return a text of at most ``most`` characters; lone surrogates become question marks.

    Raises:
        UnfitError: it is no text, too long, or not there and has no default.
    """
    found = _member(value, name, default)
    if not isinstance(found, str):
        raise UnfitError(f"{name} is {_shown(found)}, not a text")
    if len(found) > most:
        raise UnfitError(f"{name} has {len(found)} characters, and at most {most} are read")
    return found.encode("utf-8", "replace").decode("utf-8")


def integer_of(
    value: dict[str, Any], name: str, *, default: int | None = None, low: int = 0, high: int = MOST_INTEGER
) -> int:
    """Return a whole number within a range, also one that is written as ``3.0``.

    Raises:
        UnfitError: it is none, out of range, or not there and has no default.
    """
    found = _member(value, name, default)
    if isinstance(found, bool) or not isinstance(found, int | float) or found != found // 1 or not low <= found <= high:
        raise UnfitError(f"{name} is {_shown(found)}, not a whole number from {low} to {high}")
    return int(found)


def seconds_of(value: dict[str, Any], name: str) -> float:
    """Return a time as seconds since the epoch.

    Raises:
        UnfitError: it is no finite number, or no time from 1970 to the year 10000.
    """
    found = _member(value, name, None)
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found < LATEST_S:
        raise UnfitError(f"{name} is {_shown(found)}, not a time in seconds since 1970")
    return float(found)


def run_of(value: dict[str, Any], name: str = "run") -> str:
    """Return the id of a run: ``<job>/<digest>/<attempt>``.

    Raises:
        UnfitError: it is none, or leads out of a directory.
    """
    found = text_of(value, name)
    if not _RUN.fullmatch(found) or ".." in found.split("/"):
        raise UnfitError(f"{name} is {_shown(found)}, not the id of a run")
    return found


def texts_of(value: dict[str, Any], name: str) -> tuple[str, ...]:
    """Return a list of texts, empty where there is none.

    Raises:
        UnfitError: it is something else.
    """
    found = value.get(name, [])
    if not isinstance(found, list):
        raise UnfitError(f"{name} is {_shown(found)}, not a list")
    return tuple(text_of({name: each}, name) for each in found)


def bytes_of(text: Any, name: str, *, most: int) -> bytes:
    """Return what is written in Base64, at most ``most`` bytes of it.

    Raises:
        UnfitError: it is no Base64.
    """
    if not isinstance(text, str):
        raise UnfitError(f"{name} is {_shown(text)}, not a text in Base64")
    try:
        # Four characters are three bytes; what is over the limit is not even decoded.
        return b64decode(text[: (most + 2) // 3 * 4], validate=True)[:most]
    except (binascii.Error, ValueError) as error:
        raise UnfitError(f"{name} is not in Base64: {error}") from error


def members_of(value: dict[str, Any], name: str) -> dict[str, Any]:
    """Return an object, empty where there is none.

    Raises:
        UnfitError: it is something else.
    """
    found = value.get(name, {})
    if not isinstance(found, dict):
        raise UnfitError(f"{name} is {_shown(found)}, not an object")
    return found


def _member(value: dict[str, Any], name: str, default: Any) -> Any:
    if name not in value and default is None:
        raise UnfitError(f"it has no {name}")
    return value.get(name, default)


def _shown(value: Any) -> str:
    text = repr(value) if not isinstance(value, int) or value.bit_length() < 200 else "a very large number"
    return text if len(text) <= 60 else f"{text[:60]}..."


def _refuse(word: str) -> Any:
    raise UnfitError(f"it holds {word}, which is no number in JSON")


def _deepest(text: str) -> int:
    """Return how deep brackets are nested, those within texts left out: json would recurse for each."""
    deepest = depth = 0
    for piece in _BRACKETS.finditer(text):
        if piece[0] in "[{":
            depth += 1
            deepest = max(deepest, depth)
            if deepest > _MOST_NESTED:
                break
        elif piece[0] in "]}":
            depth -= 1
    return deepest


_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)
