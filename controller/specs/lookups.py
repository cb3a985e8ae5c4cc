"""Look-ups: ``${{ a.b.c }}`` in commands and environment variables.

A dotted name and nothing more: no logic, no calls, no default. Which names there are is the caller's business
(``matrix.*`` and ``needs.*`` are further entries of the same mapping). Must not know what a job is.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from controller.specs import not_yet
from controller.specs.nearest import did_you_mean

_OPENING = "${{"
_LOOKUP = re.compile(r"\$\{\{((?:(?!\$\{\{|\}\}).)*)\}\}", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_][A-Za-z0-9_-]*)+", re.ASCII)


@dataclass(frozen=True, slots=True)
class LookupFault:
    """A look-up that cannot be filled in: where it starts in the text, its own text, and why."""

    offset: int
    text: str
    message: str
    remedy: str = ""


def faults(text: str, names: Mapping[str, str | None]) -> Iterator[LookupFault]:
    """Yield what is wrong with the look-ups of a text.

    ``names`` maps each known name to None, or to the reason why it has no value here.
    """
    start = text.find(_OPENING)
    while start >= 0:
        match = _LOOKUP.match(text, start)
        if match is None:
            line = text[start:].partition("\n")[0]
            yield LookupFault(start, line[:60], 'a look-up is not closed: "}}" is missing after "${{"')
            start = text.find(_OPENING, start + len(_OPENING))
            continue
        name = match[1].strip()
        if _NAME.fullmatch(name) is None:
            yield LookupFault(
                start,
                match[0],
                f'"{_shown(match[0])}" is not a look-up: it holds a dotted name only, such as ${{{{ job.name }}}}',
            )
        elif (message := not_yet.lookup(name)) is not None and name not in names:
            yield LookupFault(start, match[0], message)
        elif name not in names:
            known = "known names: " + ", ".join(sorted(names))
            yield LookupFault(start, match[0], f'unknown name "{name}"{did_you_mean(name, names)}', known)
        elif (reason := names[name]) is not None:
            yield LookupFault(start, match[0], f'"{name}" has no value: {reason}')
        start = text.find(_OPENING, match.end())


def fill(text: str, values: Mapping[str, str], *, quote: Callable[[str], str] = shlex.quote) -> str:
    """Return the text with every look-up replaced by its value; each value goes through ``quote`` first.

    The default quotes for a shell; ``verbatim`` is for what no shell will read.

    Raises:
        KeyError: a name has no value; texts are checked with ``faults`` before.
    """
    return _LOOKUP.sub(lambda match: quote(values[match[1].strip()]), text)


def verbatim(value: str) -> str:
    """Return the value as it is."""
    return value


def _shown(text: str) -> str:
    return " ".join(text.split())[:60]
