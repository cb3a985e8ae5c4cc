"""What the spec format will have and this version has not: one table, so that an entry goes when its feature comes.

Used by messages only: a field listed here is told apart from a misspelt one. Must not change what is accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KINDS: frozenset[str] = frozenset()

FIELDS: Mapping[str, frozenset[str]] = {
    "Cluster": frozenset(),
    "Image": frozenset(),
    "Job": frozenset(),
}
"""Kind to its fields."""

VALUES: Mapping[tuple[str, str], frozenset[str]] = {
    ("Cluster", "containers"): frozenset({"docker"}),
}
"""Kind and dotted field to values of it."""

_SUFFIX = "not supported yet by this version"


def kind(name: str) -> str | None:
    """Return the message for a kind that is not there yet, None for any other."""
    return f"kind {name} is {_SUFFIX}" if name in KINDS else None


def field(kind: str, dotted: str) -> str | None:
    """Return the message for a field that is not there yet, None for any other."""
    return f'"{dotted}" is {_SUFFIX}' if dotted in FIELDS.get(kind, ()) else None


def value(kind: str, dotted: str, given: Any) -> str | None:
    """Return the message for a value that is not there yet, None for any other."""
    known = isinstance(given, str) and given in VALUES.get((kind, dotted), ())
    return f"{dotted}: {given} is {_SUFFIX}" if known else None
