"""Whether a document is a spec, and whose.

A document without a ``kind`` is none of the controller's business, unless it must have been meant as a spec. From
what cannot be read, the names in it are recovered as far as possible, so that a typing error is never taken for a
deletion. Must not report anything.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Any

from controller.specs import not_yet
from controller.specs.nearest import nearest
from controller.specs.schemas import KINDS, schema_of
from controller.specs.yaml_loader import Document

_TELLING = frozenset({"command", "cluster", "build", "scheduler"})
"""Fields that beside a ``name`` make a document a spec that lost its kind."""

_VALUE = r"""["']?[ \t]*:[ \t]*["']?([A-Za-z0-9._-]+)"""
_START = r"""(?m)^(?:---[ \t]++|[ \t]?+)\{?[ \t]*+["']?"""
_KIND = re.compile(_START + "kind" + _VALUE)
_NAME = re.compile(_START + "name" + _VALUE)
_KIND_IN_BRACES = re.compile(r"""[{,]\s*["']?kind""" + _VALUE)
_NAME_IN_BRACES = re.compile(r"""[{,]\s*["']?name""" + _VALUE)
_API_VERSION = re.compile(r"(?m)^apiVersion[ \t]*:")
MOST_NAMES = 100


class Standing(Enum):
    """What a document is to the controller."""

    EMPTY = auto()
    FOREIGN = auto()
    """Another system's, such as Kubernetes': it has an ``apiVersion``."""
    SPEC = auto()
    STRAY = auto()
    """No ``kind``, but meant as a spec."""
    LIST = auto()
    """A list that has specs in it."""
    OTHER = auto()


def standing(document: Document) -> Standing:
    """Return what a document is, judged by its top-level keys alone."""
    value = document.value
    if value is None:
        return Standing.EMPTY
    if isinstance(value, list) and any(_is_spec(item) for item in value):
        return Standing.LIST
    if not isinstance(value, dict):
        return Standing.OTHER
    if "apiVersion" in value:
        return Standing.FOREIGN
    if "kind" in value:
        return Standing.SPEC
    if misspelt_kind(value) is not None or ("name" in value and value.keys() & _TELLING):
        return Standing.STRAY
    return Standing.OTHER


def _is_spec(item: Any) -> bool:
    return isinstance(item, dict) and "apiVersion" not in item and item.get("kind") in KINDS and len(item) > 1


def misspelt_kind(value: dict[str, Any]) -> str | None:
    """Return the key that was meant as ``kind``: near to it, with a value that is, or is near, a kind."""
    for key, given in value.items():
        # A key of twice as many letters is near to none (difflib's ratio is below 0.6).
        if not isinstance(given, str) or not 2 <= len(key) <= 9 or len(given) > 60:
            continue
        if nearest(key, ["kind"]) and nearest(given, [*KINDS, *not_yet.KINDS]):
            return key
    return None


def usable_name(value: Any) -> str | None:
    """Return a name if a resource could ever have had it, else None."""
    rule = schema_of("Job")["name"]
    fits = isinstance(value, str) and len(value) <= rule["maxlength"] and re.fullmatch(rule["regex"], value)
    return value if fits else None


def is_foreign_text(text: str) -> bool:
    """Return whether text that is not YAML is plainly another system's (a template of a manifest, say)."""
    return _API_VERSION.search(text) is not None


def recoverable(text: str) -> bool:
    """Return whether text that is not YAML has a ``kind`` in it."""
    text = _readable(text)
    return bool(_KIND.search(text) or _KIND_IN_BRACES.search(text))


def recover(text: str) -> list[str]:
    """Return every ``Kind/name`` that text that is not YAML may hold, sorted; too many rather than too few."""
    text = _readable(text)
    kinds = {k for p in (_KIND, _KIND_IN_BRACES) for k in p.findall(text)}
    names = [n for p in (_NAME, _NAME_IN_BRACES) for n in p.findall(text)][:MOST_NAMES]
    return sorted({f"{k}/{n}" for k in kinds if k in KINDS for n in names if usable_name(n)})


def _readable(text: str) -> str:
    """Return text in which names can be found even if the file was UTF-16."""
    return text.replace("\0", "").replace("\N{REPLACEMENT CHARACTER}", "")
