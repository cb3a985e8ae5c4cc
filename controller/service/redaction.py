"""What must not be read in a log: values of telling keys, log-ins in URLs, tokens known by their shape.

The last net, not the first: nobody should hand a secret to a log call. Pure text work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from itertools import pairwise
from typing import Any

MASK = "***"

_TELLING = frozenset(
    {"token", "tokens", "secret", "secrets", "password", "passwords", "passwd", "passphrase"}
    | {"authorization", "credential", "credentials", "cookie", "apikey", "privatekey"}
)
_WORDS = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])")
_HARMLESS_ENDS = frozenset({"file", "path", "name"})
"""``secret_file`` says where a secret is, not what it is."""

_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,20})://(?P<userinfo>[^/\s]+)@")
_TOKEN_SHAPES = re.compile(
    r"(?P<scheme>\b(?:Bearer|Basic) )[A-Za-z0-9._~+/=-]{8,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}|\bgl[a-z]{2,8}-[A-Za-z0-9_-]{20,}"
)


def redact_text(text: str) -> str:
    """``text`` without log-ins in URLs and without tokens of GitHub's, GitLab's and HTTP's shape."""
    text = _USERINFO.sub(_mask_userinfo, text)
    return _TOKEN_SHAPES.sub(lambda match: (match["scheme"] or "") + MASK, text)


def _mask_userinfo(match: re.Match[str]) -> str:
    # A bare user name is part of an SSH address; of an https address it may be a token.
    if match["scheme"].lower() == "ssh" and ":" not in match["userinfo"]:
        return match[0]
    return f"{match['scheme']}://{MASK}@"


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
