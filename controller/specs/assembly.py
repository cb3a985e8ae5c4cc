"""What has been compiled of a commit so far, and how a problem in it is reported.

Shared by the modules that turn one kind each into resources. Must not know any of the kinds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from controller.model.files import FileEntry, Source
from controller.model.images import Image
from controller.model.problems import Problem
from controller.model.resources import Cluster, Job, Workflow
from controller.specs.budgets import Budget
from controller.specs.excerpts import excerpt
from controller.specs.filesets import Files
from controller.specs.nearest import did_you_mean, printable
from controller.specs.outside import Answer
from controller.specs.outside import Source as Outside
from controller.specs.partial import touches
from controller.specs.recipes import RECIPES, Recipe
from controller.specs.tree import Tree
from controller.specs.verdicts import Spec, VerdictCache
from controller.specs.yaml_loader import MAX_BYTES, Path


class InvalidError(Exception):
    """This one resource is not valid; it has been reported."""


@dataclass(frozen=True, slots=True)
class PlacedSpec:
    """A spec and the file that it stands in. ``partial``: what is looked up is reported, and no more comes of it."""

    entry: FileEntry
    spec: Spec
    partial: bool = False

    @property
    def resource(self) -> str:
        """``Kind/name``, or "" where the document has no name."""
        return self.spec.key if self.spec.name else ""

    def is_sound(self, *path: str | int) -> bool:
        """Return whether nothing at a path, or below it, is void."""
        return not touches(self.spec.void, path)

    def place(self, *paths: Path) -> tuple[int, int]:
        """Return line and column of the first of some paths that has a place, else those of the document."""
        for path in paths:
            for end in range(len(path), 0, -1):
                if (place := self.spec.places.get(".".join(map(str, path[:end])))) is not None:
                    return place
        return self.spec.places["kind"]


@dataclass(slots=True)
class Assembly:
    """The resources of one commit in the making."""

    tree: Tree
    files: Files
    problems: list[Problem]
    recipes: Sequence[Recipe] = RECIPES
    known: frozenset[str] = frozenset()
    """``Kind/name`` of everything that the commit holds, valid or not."""
    suspects: Mapping[str, str] = field(default_factory=dict)
    """``Kind/name`` of what may stand in a file that could not be read, to that file."""
    former: set[str] = field(default_factory=set)
    """``Kind/name`` of what broken documents say that they were, and the commit does not hold."""
    unread: list[str] = field(default_factory=list)
    """Files that may hold more than is known of them."""
    outside: Mapping[Outside, Answer] = field(default_factory=dict)
    """What is in force for what lies outside of the commit."""
    cache: VerdictCache | None = None
    """What is known of blobs by their ids."""
    warnings: list[Problem] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    passing: set[str] = field(default_factory=set)
    """Those of the broken whose problem may pass by itself."""
    clusters: dict[str, Cluster] = field(default_factory=dict)
    cluster_specs: dict[str, Spec] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)
    identities: dict[tuple[str, int], str] = field(default_factory=dict)
    """Name of an image and version of a recipe for images -> its identity by that."""
    jobs: dict[str, Job] = field(default_factory=dict)
    workflows: dict[str, Workflow] = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget)
    """What is left for this commit."""
    _oids: dict[str, str] = field(default_factory=dict)
    """Blob ids of the files with problems, by path."""

    def source(self, document: PlacedSpec, line: int | None = None) -> Source:
        """Return where a document, or a line of it, stands."""
        start = document.spec.places["kind"][0]
        return Source(path=document.entry.path, line=line or start, commit=self.tree.commit)

    def invalid(
        self, document: PlacedSpec, path: Path, message: str, remedy: str = "", *, passing: bool = False
    ) -> InvalidError:
        """Report a problem at a path of a document, and return the exception that gives the resource up."""
        if passing:
            self.passing.add(document.spec.key)
        self.report(document.entry, document.place(path), message, remedy, document.resource)
        return InvalidError(message)

    def needs_broken(self, document: PlacedSpec, path: Path, key: str) -> InvalidError:
        """Report that a document needs what is broken; nothing is said of one that is not valid anyway."""
        if document.partial:
            return InvalidError(key)
        if key in self.suspects:
            kind, _, name = key.partition("/")
            return self._hidden(document, path, kind, name, self.suspects[key])
        if key in self.passing:
            message, remedy = f"needs {key}, whose source cannot be had now", "it is asked for again by itself"
            return self.invalid(document, path, message, remedy, passing=True)
        return self.invalid(document, path, f"needs {key}, which is not valid", "correct that one first")

    def unresolved(
        self, document: PlacedSpec, path: Path, kind: str, wanted: str | None, known: Mapping[str, object]
    ) -> Iterable[InvalidError]:
        """Yield the error of a reference that leads nowhere, or to what is not valid."""
        if wanted is None or wanted in known:
            return
        if f"{kind}/{wanted}" in self.broken:
            yield self.needs_broken(document, path, f"{kind}/{wanted}")
        else:
            yield self.missing(document, path, kind, wanted, known)

    def missing(self, document: PlacedSpec, path: Path, kind: str, wanted: str, known: Iterable[str]) -> InvalidError:
        """Report a reference that leads nowhere, as far as all files could be read."""
        if not self.unread:
            return self.invalid(document, path, f'there is no {kind} named "{wanted}"{did_you_mean(wanted, known)}')
        if document.partial:
            return InvalidError(wanted)
        return self._hidden(document, path, kind, wanted, self.unread[0])

    def _hidden(self, document: PlacedSpec, path: Path, kind: str, name: str, file: str) -> InvalidError:
        message = f'{kind} "{name}" may stand in {file}, which could not be read'
        return self.invalid(document, path, message, "correct that file first")

    def warn(self, document: PlacedSpec, path: Path, message: str, remedy: str) -> None:
        """Say at a path of a document what a person should know of it; it is valid all the same."""
        self.warnings.append(self._problem(document.entry, document.place(path), message, remedy, document.resource))

    def report(self, entry: FileEntry, place: tuple[int, int], message: str, remedy: str, resource: str) -> None:
        """Add a problem of a file; the line that it is on is added to those that are shown."""
        self.problems.append(self._problem(entry, place, message, remedy, resource))

    def _problem(self, entry: FileEntry, place: tuple[int, int], message: str, remedy: str, resource: str) -> Problem:
        line, column = place
        self._oids[entry.path] = entry.oid
        return Problem(
            path=entry.path,
            line=line,
            column=column,
            message=printable(message),
            remedy=printable(remedy),
            excerpt="",
            resource=resource,
            passing=resource in self.passing,
        )

    def with_excerpts(self, problems: Iterable[Problem]) -> tuple[Problem, ...]:
        """Return problems in order, each with the line that it is on; a file is read once."""
        shown = []
        path, lines = "", list[str]()
        for problem in sorted(problems):
            oid = self._oids.get(problem.path)
            if problem.excerpt or oid is None or problem.line == 0:
                shown.append(problem)
                continue
            if problem.path != path:
                text = self.tree.read(oid, limit=MAX_BYTES).decode("utf-8", "replace").removeprefix("\ufeff")
                path, lines = problem.path, text.splitlines()
            shown.append(replace(problem, excerpt=excerpt(lines, problem.line, problem.column)))
        return tuple(shown)
