"""A commit to its desired state: every file read, every reference resolved, every digest computed.

The end of the spec stage. Blobs are judged one by one in ``parse`` (and that may be cached); here is what needs the
whole commit. One bad spec stops only itself and what needs it. Must not decide what is done about anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from controller.model.digests import digest_of
from controller.model.problems import Problem
from controller.model.resources import (
    Cluster,
    Desired,
    FileEntry,
    FileSet,
    Image,
    Job,
    OnChange,
    OnRemove,
    Source,
    Task,
)
from controller.specs import decode, lookups
from controller.specs.checks import Checker
from controller.specs.discovery import spec_files
from controller.specs.excerpts import excerpt
from controller.specs.filesets import EscapeError, Files, MissingPathError, normal
from controller.specs.nearest import did_you_mean
from controller.specs.parse import parse_blob
from controller.specs.schemas import schema_version
from controller.specs.tree import Tree
from controller.specs.verdicts import Spec, Verdict, VerdictCache, from_bytes, to_bytes
from controller.specs.yaml_loader import MAX_BYTES

DIGEST_VERSION = 1
"""Part of every digest: raising it makes everything run and build again."""


def load(tree: Tree, *, cache: VerdictCache | None = None) -> Desired:
    """Return everything that one commit asks for, and every problem of every file, sorted by place.

    With a ``cache``, only blobs that it does not know are parsed.
    """
    files = Files(tree)
    candidates, problems = spec_files(tree, files.entries)
    checker = Checker()
    compiler = _Compiler(tree, files, problems)
    for entry in candidates:
        compiler.take(entry, _verdict(tree, entry, checker, cache))
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


@dataclass(frozen=True, slots=True)
class _Placed:
    """A document and the file that it stands in."""

    entry: FileEntry
    line: int
    column: int
    spec: Spec | None
    """None: known by kind and name only."""


class _InvalidError(Exception):
    """This one resource is not valid; it has been reported."""


@dataclass(slots=True)
class _Compiler:
    """Collects documents of all files, then turns them into resources in the order in which they need each other."""

    tree: Tree
    files: Files
    problems: list[Problem]
    files_read: int = 0
    documents: dict[str, list[_Placed]] = field(default_factory=lambda: defaultdict(list))
    suspects: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    broken_paths: set[str] = field(default_factory=set)
    clusters: dict[str, Cluster] = field(default_factory=dict)
    cluster_data: dict[str, Spec] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)

    def take(self, entry: FileEntry, verdict: Verdict) -> None:
        """Add one file."""
        self.files_read += verdict.is_spec_file
        self.problems += verdict.problems_at(entry.path)
        self.suspects |= verdict.suspects
        if verdict.opaque:
            self.broken_paths.add(entry.path)
        for spec in verdict.specs:
            self.documents[spec.key].append(_Placed(entry, *spec.places["kind"], spec))
        for broken in verdict.broken:
            self.documents[broken.key].append(_Placed(entry, broken.line, broken.column, None))

    def desired(self) -> Desired:
        """Return the result; called once, after the last ``take``."""
        single = self._without_duplicates()
        self.suspects -= single.keys()
        self.broken |= self.suspects
        for kind, compiled in (("Cluster", self._cluster), ("Image", self._image), ("Job", self._job)):
            for key in sorted(key for key, (_, spec) in single.items() if spec.kind == kind):
                try:
                    compiled(*single[key])
                except _InvalidError:
                    self.broken.add(key)
        return Desired(
            commit=self.tree.commit,
            clusters=self.clusters,
            images=self.images,
            jobs=self.jobs,
            problems=tuple(sorted(set(self.problems))),
            broken=frozenset(self.broken),
            broken_paths=frozenset(self.broken_paths),
            files_read=self.files_read,
        )

    def _without_duplicates(self) -> dict[str, tuple[FileEntry, Spec]]:
        """Return the valid documents that are the only ones of their kind and name; of several, none wins."""
        single = {}
        for key, placed in self.documents.items():
            if len(placed) == 1 and (spec := placed[0].spec) is not None:
                single[key] = (placed[0].entry, spec)
                continue
            self.broken.add(key)
            for one in placed if len(placed) > 1 else ():
                other = next(each for each in placed if each is not one)
                message = f"{key} is defined twice; the other is {other.entry.path}:{other.line}"
                self._report(one.entry, (one.line, one.column), message, "rename or remove one of them", key)
        return single

    def _cluster(self, entry: FileEntry, spec: Spec) -> None:
        self.clusters[spec.name] = decode.cluster(spec.data, self._source(entry, spec))
        self.cluster_data[spec.name] = spec

    def _image(self, entry: FileEntry, spec: Spec) -> None:
        build = spec.data["build"]
        try:
            context = self.files.context(build["context"])
        except MissingPathError as error:
            raise self._invalid(
                entry, spec, "build.context", f'the build context "{build["context"]}" {error}'
            ) from error
        except EscapeError as error:
            raise self._invalid(entry, spec, "build.context", str(error)) from error
        dockerfile = normal(build.get("dockerfile", "Dockerfile"))
        if dockerfile not in {each.path for each in context.entries}:
            where = "build.dockerfile" if "dockerfile" in build else "build.context"
            message = f'there is no "{dockerfile}" in the build context "{build["context"]}"'
            raise self._invalid(entry, spec, where, message, "add it, or name it in build.dockerfile")
        args, target = dict(build.get("args", {})), build.get("target")
        hashed = {
            "version": DIGEST_VERSION,
            "context": context.tree,
            "dockerfile": dockerfile,
            "args": args,
            "target": target,
        }
        self.images[spec.name] = Image(
            name=spec.name,
            source=self._source(entry, spec),
            identity=digest_of(hashed),
            context=context,
            dockerfile=dockerfile,
            args=args,
            target=target,
        )

    def _job(self, entry: FileEntry, spec: Spec) -> None:
        data = spec.data
        invalid = [
            *self._unresolved(entry, spec, "cluster", "Cluster", self.clusters),
            *self._unresolved(entry, spec, "image", "Image", self.images),
        ]
        files = None
        try:
            files = self._files(entry, spec)
        except _InvalidError as error:
            invalid.append(error)
        cluster = self.clusters.get(data["cluster"])
        if "image" in data and cluster is not None and cluster.containers == "none":
            message = f'cluster "{cluster.name}" runs no containers (containers: none), so a job on it has no image'
            invalid.append(
                self._invalid(entry, spec, "image", message, "remove image, or set the cluster's containers")
            )
        if invalid or cluster is None:
            raise _InvalidError
        image = self.images[data["image"]] if "image" in data else None
        defaults = self.cluster_data[cluster.name].data.get("defaults", {})
        self.jobs[spec.name] = Job(
            name=spec.name,
            source=self._source(entry, spec),
            cluster=cluster.name,
            tasks=(_task(spec, image, files),),
            image=image.name if image else None,
            files=files,
            resources=decode.resources({**defaults, **data.get("resources", {})}),
            on_change=OnChange(data.get("on_change", OnChange.REPLACE)),
            on_remove=OnRemove(data.get("on_remove", OnRemove.CANCEL)),
            suspend=data.get("suspend", False),
            priority=data.get("priority", 0),
        )

    def _files(self, entry: FileEntry, spec: Spec) -> FileSet | None:
        paths = spec.data.get("files", [])
        missing = None
        for number, path in enumerate(paths):
            try:
                self.files.select([path])
            except MissingPathError as error:
                missing = self._invalid(entry, spec, f"files.{number}", f'"{path}" {error}')
            except EscapeError as error:
                missing = self._invalid(entry, spec, f"files.{number}", str(error))
        if missing is not None:
            raise missing
        return self.files.select(paths) if paths else None

    def _unresolved(
        self, entry: FileEntry, spec: Spec, name: str, kind: str, known: dict[str, Cluster] | dict[str, Image]
    ) -> Iterable[_InvalidError]:
        """Yield the error of a reference that leads nowhere, or to what is not valid."""
        wanted = spec.data.get(name)
        if wanted is None or wanted in known:
            return
        if f"{kind}/{wanted}" in self.broken:
            message, remedy = f"needs {kind}/{wanted}, which is not valid", "correct that one first"
        else:
            hint = did_you_mean(wanted, known)
            message, remedy = f'there is no {kind} named "{wanted}"{hint}', ""
        yield self._invalid(entry, spec, name, message, remedy)

    def _source(self, entry: FileEntry, spec: Spec) -> Source:
        return Source(path=entry.path, line=spec.places["kind"][0], commit=self.tree.commit)

    def _invalid(self, entry: FileEntry, spec: Spec, where: str, message: str, remedy: str = "") -> _InvalidError:
        """Report a problem at a dotted path of a spec, and return the exception that gives it up."""
        place = spec.places.get(where) or spec.places["kind"]
        self._report(entry, place, message, remedy, spec.key)
        return _InvalidError(message)

    def _report(self, entry: FileEntry, place: tuple[int, int], message: str, remedy: str, resource: str) -> None:
        text = self.tree.read(entry.oid, limit=MAX_BYTES).decode("utf-8", "replace").removeprefix("\ufeff")
        line, column = place
        self.problems.append(
            Problem(
                path=entry.path,
                line=line,
                column=column,
                message=message,
                remedy=remedy,
                excerpt=excerpt(text.splitlines(), line, column),
                resource=resource,
            )
        )


def _task(spec: Spec, image: Image | None, files: FileSet | None) -> Task:
    """Return a job's only task, with its look-ups filled in and its digest."""
    data = spec.data
    values = {"job.name": spec.name, "cluster.name": data["cluster"]}
    if image is not None:
        values["image.name"] = image.name
    command = lookups.fill(data["command"], values).rstrip("\n")
    env = {key: lookups.fill(text, values, quote=lookups.verbatim) for key, text in data.get("env", {}).items()}
    hashed = {
        "version": DIGEST_VERSION,
        "command": command,
        "env": env,
        "image": image.identity if image else None,
        "files": files.tree if files else None,
        "rerun": data.get("rerun"),
    }
    return Task(job=spec.name, key="", command=command, env=env, digest=digest_of(hashed))
