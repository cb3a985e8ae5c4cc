"""A task's key: the values of its point as one readable word, such as ``lr=0.1,seed=3``.

What a value may not show as itself there is percent-encoded (RFC 3986, section 2.1), so that every key can be read
back, different points never share one, and a key can be a part of a path or of a task's id. Must not know what a
matrix is.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from urllib.parse import unquote

_PLAIN = re.compile(r"[A-Za-z0-9_.+:@^-]*", re.ASCII)
_PLAIN_MARKS = frozenset("_.+:@^-")


def escaped(value: str) -> str:
    """Return a value as it stands in a key: letters, digits and ``_.+:@^-`` as they are, all else as ``%2C``."""
    if _PLAIN.fullmatch(value):
        return value
    return "".join(c if c.isalnum() or c in _PLAIN_MARKS else _encoded(c) for c in value)


def _encoded(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode())


def key_of(point: Mapping[str, str]) -> str:
    """Return the key of a point (axis to value), in its order of axes."""
    return ",".join(f"{axis}={escaped(value)}" for axis, value in point.items())


def point_of(key: str) -> dict[str, str]:
    """Return the point that a key was made from.

    Raises:
        ValueError: the text is no key.
    """
    point = {}
    for part in key.split(",") if key else ():
        axis, equals, value = part.partition("=")
        if not axis or not equals:
            raise ValueError(f"{part!r} is not AXIS=VALUE")
        point[axis] = unquote(value, errors="strict")
    return point


def meant_key(typed: str, keys: Sequence[str]) -> str:
    """Return what a person typed as the keys of one job are written: axes in their order, values escaped.

    Blanks beside a comma or an equals sign and quotes around a part or a value are taken off. Text that is no point is
    returned as it is; whether the job has such a task is for the caller to see.
    """
    if not keys or typed in keys:
        return typed
    try:
        point, axes = _typed_point(typed), point_of(keys[0])
    except ValueError:
        return typed
    return key_of({axis: point[axis] for axis in (*(a for a in axes if a in point), *point)})


def _typed_point(text: str) -> dict[str, str]:
    words = shlex.shlex(text, posix=True)
    words.whitespace, words.whitespace_split, words.commenters, words.escape = ",", True, "", ""
    point = {}
    for part in words:
        axis, equals, value = part.partition("=")
        if not axis.strip() or not equals:
            raise ValueError(f"{part!r} is not AXIS=VALUE")
        point[axis.strip()] = unquote(value.strip(), errors="strict")
    return point
