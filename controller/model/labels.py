"""Labels of resources, and the selectors that pick resources by them, in kubectl's words.

Syntax: kubernetes.io, "Labels and Selectors", label selectors. A label says nothing of what is done, so it is no part
of any digest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_KEY = r"(?P<key>[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?)"
_FORMS = {
    "absent": re.compile(rf"!\s*{_KEY}", re.ASCII),
    "present": re.compile(_KEY, re.ASCII),
    "in": re.compile(rf"{_KEY}\s+in\s*\((?P<values>[^()]*)\)", re.ASCII),
    "notin": re.compile(rf"{_KEY}\s+notin\s*\((?P<values>[^()]*)\)", re.ASCII),
    "=": re.compile(rf"{_KEY}\s*==?(?P<value>[^,()=!]*)", re.ASCII),
    "!=": re.compile(rf"{_KEY}\s*!=(?P<value>[^,()=!]*)", re.ASCII),
}
_COMMA = re.compile(r",(?![^()]*\))")


class SelectorError(ValueError):
    """Text that is no selector; the message says which part, and what there is."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One part of a selector: a label that has, or has not, one of some values; or that is there, or not."""

    key: str
    form: str
    values: frozenset[str] = frozenset()

    def accepts(self, labels: Mapping[str, str]) -> bool:
        """Return whether a resource with these labels is picked; one without the label has none of the values."""
        match self.form:
            case "absent":
                return self.key not in labels
            case "present":
                return self.key in labels
            case "notin" | "!=":
                return labels.get(self.key) not in self.values
            case _:
                return labels.get(self.key) in self.values


def parse_selector(text: str) -> tuple[Requirement, ...]:
    """Return what a selector such as ``team=a,stage notin (test,old),!draft`` asks for; all of it has to be so.

    Raises:
        SelectorError: a part of it has none of the forms.
    """
    return tuple(_requirement(part.strip()) for part in _COMMA.split(text)) if text.strip() else ()


def selects(selector: tuple[Requirement, ...], labels: Mapping[str, str]) -> bool:
    """Return whether labels fulfil every part of a selector."""
    return all(part.accepts(labels) for part in selector)


def _requirement(text: str) -> Requirement:
    for form, pattern in _FORMS.items():
        found = pattern.fullmatch(text)
        if found is None:
            continue
        if form in ("in", "notin"):
            return Requirement(found["key"], form, frozenset(each.strip() for each in found["values"].split(",")))
        if form in ("=", "!="):
            return Requirement(found["key"], form, frozenset({found["value"].strip()}))
        return Requirement(found["key"], form)
    raise SelectorError(
        f'"{text}" selects nothing: write KEY=VALUE, KEY!=VALUE, KEY in (A,B), KEY notin (A,B), KEY or !KEY, with a'
        " comma between two"
    )
