"""What must not be read in a log: values of telling keys, and what ``model.redaction`` knows by its shape.

The last net, not the first: nobody should hand a secret to a log call. Pure text work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from itertools import pairwise
from typing import Any

from controller.model.redaction import MASK, redact_text

_TELLING = frozenset(
    {"token", "tokens", "secret", "secrets", "password", "passwords", "passwd", "passphrase"}
    | {"authorization", "credential", "credentials", "cookie", "apikey", "privatekey"}
)
_WORDS = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])")
_HARMLESS_ENDS = frozenset({"file", "path", "name"})
"""``secret_file`` says where a secret is, not what it is."""


def is_telling(key: str) -> bool:
    """Whether the value under ``key`` is to be masked whatever it is."""
    words = [word.lower() for word in _WORDS.split(key) if word]
    if not words or words[-1] in _HARMLESS_ENDS:
        return False
    pairs = {first + second for first, second in pairwise(words)}
    return bool(_TELLING & (set(words) | pairs))


def redact(value: Any, depth: int = 6) -> Any:
    """A copy of ``value`` with what must not be read masked, down to ``depth`` levels of nesting."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, bytes):
        return redact_text(value.decode("utf-8", "replace"))
    if isinstance(value, Mapping):
        if depth == 0:
            return MASK
        return {
            key: MASK if isinstance(key, str) and is_telling(key) and item else redact(item, depth - 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return MASK if depth == 0 else [redact(item, depth - 1) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact_text(str(value))


def redact_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The structlog processor. Stands after what turns exceptions into text, before what renders the line."""
    return {
        # Keys that start with an underscore are structlog's own, taken out again before rendering.
        key: item if key.startswith("_") else MASK if is_telling(key) and item else redact(item)
        for key, item in event.items()
    }
