"""The files of an image as they are in a commit, in a directory where a person may edit them.

Belongs here: what may be edited, what has changed, and the commit as it would be with that. Does not belong here:
terminals, builds, and how a commit is made.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from posixpath import join

import pygit2

from controller.model.files import FileEntry
from controller.model.images import Build, Image
from controller.specs.discovery import fault_of_name
from controller.specs.filesets import normal
from controller.specs.parse import parse_blob
from controller.specs.templates import RENDERED
from controller.specs.tree import EditedTree, Tree

_LINK = 0o120000
_PROGRAM = 0o100755
_DEPENDENCIES = ("requirements*.txt", "environment.y*ml", "pyproject.toml", "conda*.y*ml", "*.R")


class WorkingCopy:
    """A build context, or a template of the repository, and the spec's file: below ``root``, by their paths."""

    def __init__(self, tree: Tree, image: Image, root: Path) -> None:
        self.root = root
        self.spec = image.source.path
        self._tree = tree
        self._there = {entry.path: entry for entry in tree.entries()}
        self.context = self._context_of(image)
        self._paths = [path for path in self._editable() if path in self._there]
        for path in self._paths:
            self._write(self._there[path])

    @property
    def dockerfile(self) -> str | None:
        """Path of the Dockerfile; None where the image is not built from files of this repository."""
        if self.context is None:
            return None
        whole = join(self.context, self._dockerfile)
        return next((path for path in (whole, whole + RENDERED) if path in self._paths), None)

    @property
    def dependencies(self) -> str | None:
        """Path of the file that says what is installed, if there is one."""
        inside = [path for path in self.files if path != self.spec]
        found = (path for pattern in _DEPENDENCIES for path in inside if Path(path).match(pattern))
        return next(found, None)

    @property
    def files(self) -> list[str]:
        """Paths of what may be edited."""
        return list(self._paths)

    def add(self, path: str) -> str:
        """Take up a file that is to be made, by a path below the context; return its path in the commit.

        Raises:
            ValueError: the path leads out of the context, or there is no context.
        """
        parts = path.split("/")
        if self.context is None or any(part in ("", ".", "..", ".git") for part in parts):
            raise ValueError(f"{path} is no path inside the build context")
        whole = join(self.context, path)
        if whole not in self._paths:
            self.place(whole).parent.mkdir(parents=True, exist_ok=True)
            self._paths.append(whole)
        return whole

    def place(self, path: str) -> Path:
        """Return where a file is in this directory."""
        return self.root / path

    def changes(self) -> dict[str, bytes]:
        """Return the files that are not as in the commit, by path. One that was deleted stays as it was."""
        now = {path: self.place(path).read_bytes() for path in self._paths if self.place(path).is_file()}
        return {path: data for path, data in now.items() if self._before(path) != data}

    def tree(self) -> Tree:
        """Return the commit's files with the changes."""
        return EditedTree(self._tree, {path: (str(pygit2.hash(data)), data) for path, data in self.changes().items()})

    def conflicts_with(self, tree: Tree) -> Iterator[str]:
        """Yield the changed files that another commit has otherwise than the one that they were edited from."""
        theirs = {entry.path: entry.oid for entry in tree.entries()}
        for path in self.changes():
            ours = self._there.get(path)
            if theirs.get(path) != (ours.oid if ours else None):
                yield path

    def diff(self) -> str:
        """Return the changes as a patch for people."""
        lines: list[str] = []
        for path, data in sorted(self.changes().items()):
            old = (self._before(path) or b"").decode("utf-8", "replace").splitlines(keepends=True)
            new = data.decode("utf-8", "replace").splitlines(keepends=True)
            lines += difflib.unified_diff(old, new, f"a/{path}", f"b/{path}")
        return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)

    def _before(self, path: str) -> bytes | None:
        entry = self._there.get(path)
        return None if entry is None else self._tree.read(entry.oid)

    def _context_of(self, image: Image) -> str | None:
        """The model knows a context by its content; where it stands is in the spec's own words."""
        self._dockerfile = ""
        if not isinstance(image.origin, Build) or image.origin.context.repository:
            return None
        verdict = parse_blob(self._tree.read(self._there[self.spec].oid))
        build: Mapping[str, str]
        build = next((spec.data["build"] for spec in verdict.specs if spec.key == f"Image/{image.name}"), {})
        template = build.get("template", "")
        directory = build.get("context", template if "/" in template else None)
        self._dockerfile = image.origin.dockerfile
        return None if directory is None else normal(directory)

    def _editable(self) -> Iterator[str]:
        yield self.spec
        if self.context is None:
            return
        start = f"{self.context}/" if self.context else ""
        for path, entry in self._there.items():
            # What has no name that could be typed stays as it is.
            if not fault_of_name(path) and path.startswith(start) and entry.mode != _LINK and path != self.spec:
                yield path

    def _write(self, entry: FileEntry) -> None:
        place = self.place(entry.path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(self._tree.read(entry.oid))
        if entry.mode == _PROGRAM:
            place.chmod(0o755)
