"""Look-ups: ``${{ a.b.c }}`` in commands and environment variables.

A dotted name and nothing more: no logic, no calls, no default. Which names there are is the caller's business. Names
of the groups in ``late`` (``needs.prepare.run_dir``) have their value only when a run begins: of these only the shape
is judged here. Must not know what a job is.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from controller.specs import quotes
from controller.specs.nearest import did_you_mean

_OPENING = "${{"
_LOOKUP = re.compile(r"\$\{\{((?:(?!\$\{\{|\}\}).)*)\}\}", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_][A-Za-z0-9_-]*)+", re.ASCII)
_SHAPES = ("run_dir", "table", "results.NAME")

LATE = ("needs", "steps")
"""First parts of names whose values are known only when a run begins."""


@dataclass(frozen=True, slots=True)
class LookupFault:
    """A look-up that cannot be filled in: where it starts in the text, its own text, and why."""

    offset: int
    text: str
    message: str
    remedy: str = ""


def faults(
    text: str, names: Mapping[str, str | None], late: Mapping[str, Mapping[str, None]] | None = None
) -> Iterator[LookupFault]:
    """Yield what is wrong with the look-ups of a text.

    ``names`` maps each known name to None, or to the reason why it has no value here; ``late`` maps ``needs`` and
    ``steps`` to the names that may follow.
    """
    start = text.find(_OPENING)
    while start >= 0:
        match = _LOOKUP.match(text, start)
        if match is None:
            line = text[start : start + 60].partition("\n")[0]
            yield LookupFault(start, line, 'a look-up is not closed: "}}" is missing after "${{"')
            start = text.find(_OPENING, start + len(_OPENING))
            continue
        name = match[1].strip()
        if _NAME.fullmatch(name) is None:
            yield LookupFault(
                start,
                match[0],
                f'"{_shown(match[0])}" is not a look-up: it holds a dotted name only, such as ${{{{ job.name }}}}',
            )
        elif late is not None and name.partition(".")[0] in late:
            if (fault := _late_fault(name, late)) is not None:
                yield LookupFault(start, match[0], *fault)
        elif name not in names:
            known = "known names: " + ", ".join(sorted(names))
            if is_late(name):
                known = "steps are looked up in a step of a Workflow; of a Job, look up needs.NAME"
            yield LookupFault(start, match[0], f'unknown name "{name}"{did_you_mean(name, names)}', known)
        elif (reason := names[name]) is not None:
            yield LookupFault(start, match[0], f'"{name}" has no value: {reason}')
        start = text.find(_OPENING, match.end())


def _late_fault(name: str, late: Mapping[str, Mapping[str, None]]) -> tuple[str, str] | None:
    group, job, *tail = name.split(".")
    if job not in late[group]:
        known = late[group]
        remedy = (
            f"add {job} to needs, or look up one of: {', '.join(islice(known, 8))}"
            if known
            else f"add it: needs: [{job}]"
        )
        return f'"{name}": "{job}" is not in needs{did_you_mean(job, known)}', remedy
    # Of a Workflow that is needed, a step may follow.
    for rest in (tail, tail[1:]) if group == "needs" else (tail,):
        if rest in (["run_dir"], ["table"]) or (len(rest) == 2 and rest[0] == "results"):
            return None
    shapes = [f"{group}.{job}.{shape}" for shape in _SHAPES]
    return f'unknown name "{name}"{did_you_mean(name, shapes[:2])}', "known names: " + ", ".join(shapes)


def quoted_faults(text: str, unsafe: Callable[[str], str | None]) -> Iterator[LookupFault]:
    """Yield the look-ups of a command whose values would need quotes where the shell reads quotes as text.

    ``unsafe`` returns, for a name, a value of it that needs quotes (shortened, for people), or None.
    """
    matches = {match.start(): match for match in _LOOKUP.finditer(text)}
    for start, place in sorted(quotes.places(text, matches).items()):
        name = matches[start][1].strip()
        if place and (value := unsafe(name)) is not None:
            message = f'"{name}" stands inside {place}, where {value} cannot be quoted'
            remedy = f"take it out of {place}, or give it to a variable in env and use that"
            yield LookupFault(start, matches[start][0], message, remedy)


def is_late(name: str) -> bool:
    """Return whether a name's value is known only when a run begins."""
    return name.partition(".")[0] in LATE


def found(text: str) -> list[tuple[str, str]]:
    """Return the look-ups of a text without faults, in their order: as they are written, and the name."""
    return [(match[0], match[1].strip()) for match in _LOOKUP.finditer(text)]


def spelt(name: str) -> str:
    """Return a look-up of a name as it stands in a command that waits for its value."""
    return f"${{{{ {name} }}}}"


def fill(text: str, values: Mapping[str, str], *, quote: Callable[[str], str] = shlex.quote) -> str:
    """Return the text with every look-up replaced by its value; each value goes through ``quote`` first.

    The default quotes for a shell; ``verbatim`` is for what no shell will read.

    Raises:
        KeyError: a name has no value; texts are checked with ``faults`` before.
    """
    return _LOOKUP.sub(lambda match: quote(values[match[1].strip()]), text)


def cut(text: str, values: Mapping[str, str], *, quote: Callable[[str], str] = shlex.quote) -> list[str]:
    """Return the text cut at the look-ups that have no value yet: text, name, text, name, ..., text.

    Those in ``values`` are filled in as by ``fill``; late ones stay, spelt in one way.
    """
    parts = [""]
    for number, piece in enumerate(_LOOKUP.split(text)):
        name = piece.strip()
        if number % 2 == 0:
            parts[-1] += piece
        elif name in values:
            parts[-1] += quote(values[name])
        elif is_late(name):
            parts[-1] += spelt(name)
        else:
            parts += [name, ""]
    return parts


def verbatim(value: str) -> str:
    """Return the value as it is."""
    return value


def _shown(text: str) -> str:
    return " ".join(text.split())[:60]
