"""Digests: one way to hash a value, the same in every process and on every machine."""

from __future__ import annotations

import hashlib
import json
from typing import Any

SHORT = 12
"""Characters of a digest that are enough in a path or a tag."""


def digest_of(value: Any) -> str:
    """Return the SHA-256 (64 hex digits) of a JSON value: sorted keys, no white space, UTF-8.

    Raises:
        TypeError: the value is not made of dict, list, tuple, str, int, float, bool and None.
        ValueError: a float is NaN or infinite.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def short(digest: str) -> str:
    """Return the first 12 digits, as used in paths, tags and tables."""
    return digest[:SHORT]
