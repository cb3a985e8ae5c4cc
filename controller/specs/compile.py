"""A commit to its desired state: every file read, every reference resolved, every digest computed.

The end of the spec stage. Blobs are judged one by one in ``parse`` (and that may be cached); here is what needs the
whole commit: names that are there once, and the order in which kinds need each other. One bad spec stops only itself
and what needs it. Must not decide what is done about anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from controller.model.files import FileEntry
from controller.model.problems import Problem
from controller.model.resources import Desired
from controller.specs import budgets, decode
from controller.specs.assembly import Assembly, InvalidError, PlacedSpec
from controller.specs.checks import Checker
from controller.specs.discovery import fault_of_name, spec_files
from controller.specs.filesets import Files
from controller.specs.images import add_image, examine_image, sources_of
from controller.specs.nearest import printable, suggesting
from controller.specs.outside import Resolve, offline
from controller.specs.parse import parse_blob
from controller.specs.recipes import RECIPES, Recipe
from controller.specs.schemas import schema_version
from controller.specs.tree import Tree
from controller.specs.verdicts import Broken, Spec, Verdict, VerdictCache, from_bytes, to_bytes
from controller.specs.work import add_work, examine_work
from controller.specs.yaml_loader import MAX_BYTES

_RENAME = "rename it (git mv) to a name in UTF-8 without control characters"


def load(
    tree: Tree, *, cache: VerdictCache | None = None, resolve: Resolve = offline, recipes: Sequence[Recipe] = RECIPES
) -> Desired:
    """Return everything that one commit asks for, and every problem of every file, sorted by place.

    With a ``cache``, only blobs that it does not know are parsed. ``resolve`` tells what is in force outside of the
    commit; left out, what needs to know it counts as valid, under an identity that says nothing.
    """
    files = Files(tree)
    candidates, problems = spec_files(tree, files.entries)
    candidates, left = budgets.within(tree, candidates, longest=MAX_BYTES)
    checker = Checker()
    compiler = _Compiler(tree, files, problems, resolve, cache, recipes)
    for entry in candidates:
        if compiler.is_full:
            left.append(entry)
        else:
            compiler.take(entry, _verdict(tree, entry, checker, cache))
    if left:
        compiler.leave(left)
    with suggesting():
        return compiler.desired()


def _verdict(tree: Tree, entry: FileEntry, checker: Checker, cache: VerdictCache | None) -> Verdict:
    if cache is None:
        return parse_blob(tree.read(entry.oid, limit=MAX_BYTES + 1), checker=checker)
    version = schema_version()
    kept = cache.get(entry.oid, version)
    verdict = from_bytes(kept) if kept is not None else None
    if verdict is None:
        verdict = parse_blob(tree.read(entry.oid, limit=MAX_BYTES + 1), checker=checker)
        cache.put(entry.oid, version, to_bytes(verdict))
    return verdict


def _unnamed(verdict: Verdict, fault: str) -> Verdict:
    """Return the verdict on a file whose name is at fault: each of its specs is broken, and says why."""
    places = [(spec.key, *spec.places["kind"]) for spec in verdict.specs]
    problems = tuple(
        Problem(path="", line=line, column=column, message=fault, remedy=_RENAME, resource=key)
        for key, line, column in places or [("", 0, 0)]
    )
    broken = tuple(Broken(key=key, line=line, column=column) for key, line, column in places)
    return replace(
        verdict,
        specs=(),
        problems=verdict.problems + problems,
        broken=verdict.broken + broken,
        partials=verdict.partials + verdict.specs,
    )


@dataclass(frozen=True, slots=True)
class _Placed:
    """A document and the file that it stands in."""

    entry: FileEntry
    line: int
    column: int
    spec: Spec | None
    """None: known by kind and name only."""


@dataclass(slots=True)
class _Compiler:
    """Collects documents of all files, then turns them into resources in the order in which they need each other."""

    tree: Tree
    files: Files
    problems: list[Problem]
    resolve: Resolve
    cache: VerdictCache | None
    recipes: Sequence[Recipe]
    files_read: int = 0
    documents: dict[str, list[_Placed]] = field(default_factory=lambda: defaultdict(list))
    partials: list[PlacedSpec] = field(default_factory=list)
    suspects: dict[str, str] = field(default_factory=dict)
    """``Kind/name`` to the file that it may stand in."""
    unread: list[str] = field(default_factory=list)
    broken_paths: set[str] = field(default_factory=set)
    count: int = 0
    """Documents so far."""

    def take(self, entry: FileEntry, verdict: Verdict) -> None:
        """Add one file; what stands in one whose name cannot be told is known, but not applied."""
        if (fault := fault_of_name(entry.path)) and verdict.is_spec_file:
            entry, verdict = replace(entry, path=printable(entry.path)), _unnamed(verdict, fault)
        self.files_read += verdict.is_spec_file
        self.problems += verdict.problems_at(entry.path)
        self.suspects |= dict.fromkeys(verdict.suspects, entry.path)
        if verdict.opaque:
            self.broken_paths.add(entry.path)
        if verdict.unread:
            self.unread.append(entry.path)
        self.count += len(verdict.specs) + len(verdict.broken) + len(verdict.partials)
        self.partials += [PlacedSpec(entry, spec, partial=True) for spec in verdict.partials]
        for spec in verdict.specs:
            self.documents[spec.key].append(_Placed(entry, *spec.places["kind"], spec))
        for broken in verdict.broken:
            self.documents[broken.key].append(_Placed(entry, broken.line, broken.column, None))

    @property
    def is_full(self) -> bool:
        """Whether no more documents fit into one commit."""
        return self.count >= budgets.MOST_DOCUMENTS

    def leave(self, left: Sequence[FileEntry]) -> None:
        """Note files that are not read: whatever stood in them stays as it is."""
        paths = [printable(entry.path) for entry in left]
        self.problems.append(budgets.of_files(left))
        self.unread.append(paths[0])
        self.broken_paths.update(paths)

    def desired(self) -> Desired:
        """Return the result; called once, after the last ``take``."""
        assembly = Assembly(
            tree=self.tree,
            files=self.files,
            problems=self.problems,
            suspects=self.suspects,
            unread=self.unread,
            cache=self.cache,
            recipes=self.recipes,
        )
        single = self._without_duplicates(assembly)
        for known in (*single, *self.documents):
            self.suspects.pop(known, None)
        assembly.broken |= self.suspects.keys()
        assembly.outside = self.resolve(sources_of(single))
        assembly.known = frozenset(single) | frozenset(assembly.broken)
        for kind, add in (("Cluster", _add_cluster), ("Image", add_image)):
            for key in sorted(key for key, document in single.items() if document.spec.kind == kind):
                try:
                    add(assembly, single[key])
                except InvalidError:
                    assembly.broken.add(key)
        add_work(assembly, {key: each for key, each in single.items() if each.spec.kind in ("Job", "Workflow")})
        for document in self.partials:
            if document.spec.kind == "Image":
                examine_image(assembly, document)
            else:
                examine_work(assembly, document)
        workflows = dict(sorted(assembly.workflows.items()))
        alone = sorted(name for name, job in assembly.jobs.items() if job.workflow is None)
        steps = [step for workflow in workflows.values() for step in workflow.steps]
        return Desired(
            commit=self.tree.commit,
            clusters=assembly.clusters,
            images=assembly.images,
            jobs={name: assembly.jobs[name] for name in (*alone, *steps)},
            workflows=workflows,
            problems=assembly.with_excerpts(budgets.shown(self.problems)),
            warnings=assembly.with_excerpts(budgets.shown(assembly.warnings)),
            broken=frozenset(assembly.broken),
            suspects=frozenset(self.suspects),
            former=frozenset(assembly.former),
            broken_paths=frozenset(self.broken_paths),
            files_read=self.files_read,
        )

    def _without_duplicates(self, assembly: Assembly) -> dict[str, PlacedSpec]:
        """Return the valid documents that are the only ones of their kind and name; of several, none wins."""
        single = {}
        for key, placed in self.documents.items():
            if len(placed) == 1 and (spec := placed[0].spec) is not None:
                single[key] = PlacedSpec(placed[0].entry, spec)
                continue
            assembly.broken.add(key)
            for one in placed if len(placed) > 1 else ():
                other = next(each for each in placed if each is not one)
                message = f"{key} is defined twice; the other is {other.entry.path}:{other.line}"
                assembly.report(one.entry, (one.line, one.column), message, "rename or remove one of them", key)
                if one.spec is not None:
                    self.partials.append(PlacedSpec(one.entry, one.spec, partial=True))
        return single


def _add_cluster(assembly: Assembly, document: PlacedSpec) -> None:
    spec = document.spec
    assembly.clusters[spec.name] = decode.cluster(spec.data, assembly.source(document))
    assembly.cluster_specs[spec.name] = spec
