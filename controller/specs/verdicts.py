"""What was found in one blob, and how it is kept between passes.

A verdict depends on a blob's bytes and on the schema version, on nothing else, so it may be kept by these two for
ever. Must not hold paths or commits.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from controller.model.problems import Problem

MOST_PROBLEMS = 100
"""Problems told of one file; the rest is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A document, or the part of it that is valid: plain data, and where the parts stand that other files may
    contradict.
    """

    kind: str
    name: str
    """"" where a document that is not valid has none that could be used."""
    data: dict[str, Any]
    places: dict[str, tuple[int, int]]
    """Dotted path (two parts at most) to line and column."""
    void: tuple[tuple[str | int, ...], ...] = ()
    """Paths of what is not valid, which ``data`` does not hold; none in a valid document."""

    @property
    def key(self) -> str:
        """``Kind/name``."""
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A document that is known by kind and name but is not valid."""

    key: str
    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Everything found in one blob. One that is not a spec file has an empty verdict."""

    specs: tuple[Spec, ...] = ()
    problems: tuple[Problem, ...] = ()
    """Their paths are "": see ``problems_at``."""
    broken: tuple[Broken, ...] = ()
    partials: tuple[Spec, ...] = ()
    """What is valid of documents that are not: it is looked up in other files all the same."""
    suspects: frozenset[str] = frozenset()
    """``Kind/name`` that may have been in what could not be read."""
    unread: bool = False
    """The file may hold more than is named in any of these: there was too much of it."""
    opaque: bool = False
    """Something in the file could not be attributed to one resource."""

    @property
    def is_spec_file(self) -> bool:
        """Whether the file concerns the controller at all."""
        return bool(self.specs or self.problems)

    def problems_at(self, path: str) -> list[Problem]:
        """Return the problems as those of the file at a path."""
        return [replace(problem, path=path) for problem in self.problems]


class VerdictCache(Protocol):
    """Where verdicts are kept between passes. Losing any of them costs time only."""

    def get(self, oid: str, version: str) -> bytes | None:
        """Return what was put for a blob id under a schema version, or None."""

    def put(self, oid: str, version: str, verdict: bytes) -> None:
        """Keep the bytes for a blob id under a schema version."""


@dataclass(slots=True)
class VerdictBuilder:
    """A verdict in the making."""

    specs: list[Spec] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    partials: list[Spec] = field(default_factory=list)
    suspects: set[str] = field(default_factory=set)
    unread: bool = False
    opaque: bool = False
    _problems: list[Problem] = field(default_factory=list)

    def add_problem(self, line: int, column: int, message: str, remedy: str, excerpt: str, resource: str) -> None:
        self._problems.append(_problem(line, column, message, remedy, excerpt, resource))

    def build(self) -> Verdict:
        problems = sorted(self._problems)
        if (more := len(problems) - MOST_PROBLEMS) > 0:
            problems = problems[:MOST_PROBLEMS]
            problems.append(Problem(path="", line=0, column=0, message=f"and {more} more problems in this file"))
        return Verdict(
            specs=tuple(self.specs),
            problems=tuple(problems),
            broken=tuple(self.broken),
            partials=tuple(self.partials),
            suspects=frozenset(self.suspects),
            unread=self.unread,
            opaque=self.opaque,
        )


def to_bytes(verdict: Verdict) -> bytes:
    """Return a verdict as JSON."""
    plain = {
        "specs": [_plain(spec) for spec in verdict.specs],
        "partials": [_plain(spec) for spec in verdict.partials],
        "problems": [[p.line, p.column, p.message, p.remedy, p.excerpt, p.resource] for p in verdict.problems],
        "broken": [[b.key, b.line, b.column] for b in verdict.broken],
        "suspects": sorted(verdict.suspects),
        "unread": verdict.unread,
        "opaque": verdict.opaque,
    }
    return json.dumps(plain, separators=(",", ":")).encode()


def from_bytes(data: bytes) -> Verdict | None:
    """Return the verdict that ``to_bytes`` wrote, or None if the bytes are anything else."""
    try:
        plain = json.loads(data)
        return Verdict(
            specs=tuple(_spec(*each) for each in plain["specs"]),
            partials=tuple(_spec(*each) for each in plain["partials"]),
            problems=tuple(_problem(*each) for each in plain["problems"]),
            broken=tuple(Broken(key=key, line=line, column=column) for key, line, column in plain["broken"]),
            suspects=frozenset(plain["suspects"]),
            unread=plain["unread"],
            opaque=plain["opaque"],
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _plain(spec: Spec) -> list[Any]:
    return [spec.kind, spec.name, spec.data, spec.places, spec.void]


def _spec(
    kind: str, name: str, data: dict[str, Any], places: dict[str, list[int]], void: list[list[str | int]]
) -> Spec:
    at = {path: (line, column) for path, (line, column) in places.items()}
    return Spec(kind=kind, name=name, data=data, places=at, void=tuple(map(tuple, void)))


def _problem(line: int, column: int, message: str, remedy: str, excerpt: str, resource: str) -> Problem:
    return Problem(
        path="", line=line, column=column, message=message, remedy=remedy, excerpt=excerpt, resource=resource
    )
