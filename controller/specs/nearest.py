"""The nearest known name, and how values are shown in messages.

Words that messages about specs have in common. Must not know where a message comes from.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import islice
from typing import Any

_TYPES: dict[type, str] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    list: "a list",
    dict: "a mapping",
    type(None): "empty",
}
_SHOWN = 48
MOST_SUGGESTIONS = 20
"""Problems of one file, or of one commit, that come with a suggestion."""
_MOST_KNOWN = 2_000
"""Names among which one is looked for: difflib takes 20 µs for each."""
_left: ContextVar[list[int] | None] = ContextVar("suggestions_left", default=None)
_PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./+-]{0,39}", re.ASCII)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known name that was probably meant, or None if none is near enough."""
    names = list(known)
    folded = {name.casefold().replace("-", "_"): name for name in names}
    if (same := folded.get(word.casefold().replace("-", "_"))) is not None:
        return same
    found = difflib.get_close_matches(word[:100], names, n=1, cutoff=0.6)
    return found[0] if found else None


@contextmanager
def suggesting(most: int = MOST_SUGGESTIONS) -> Iterator[None]:
    """Have ``did_you_mean`` look for so many names at most: each costs a comparison with all that are known."""
    token = _left.set([most])
    try:
        yield
    finally:
        _left.reset(token)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean "x"?``, or nothing if no known name is near, or enough have been suggested."""
    left = _left.get()
    if left is not None:
        if left[0] == 0:
            return ""
        left[0] -= 1
    name = nearest(word, islice(known, _MOST_KNOWN))
    return f'; did you mean "{name}"?' if name else ""


def type_name(value: Any) -> str:
    """Return how messages name the type of a YAML value, with its article."""
    return _TYPES.get(type(value), type(value).__name__)


def shown(value: Any) -> str:
    """Return a value as text for a message: on one line, without control characters, and short."""
    if isinstance(value, dict | list):
        return "..."
    text = json.dumps(value, ensure_ascii=False)
    if not text.isprintable():
        text = json.dumps(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + '..."'


def as_list(text: str) -> str:
    """Return the advice to write one value as a list, with the value only if it can stand there as it is."""
    return f"write a list: [{text}]" if _PLAIN.fullmatch(text) else "write a list: [VALUE, VALUE]"


def printable(path: str) -> str:
    """Return a path, whose bytes may be any, as text on one line: what cannot be shown is written as ``\\xe9``."""
    if path.isprintable():
        return path
    return "".join(c if c.isprintable() else _escaped(c) for c in path)


def _escaped(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
