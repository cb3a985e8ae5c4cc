"""Build contexts: the files as they stand in a commit, or rendered from a template, ready to be sent.

Nothing is rendered before a build is due: the identity covers the template's bytes and the values. Must not know where
the context goes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from controller.model.errors import StalledError
from controller.model.files import FileEntry, FileSet
from controller.model.images import Build
from controller.rendering import render
from controller.specs.filesets import EscapeError, Files, MissingPathError
from controller.specs.ignore import BadPatternError
from controller.specs.nearest import printable
from controller.specs.templates import DESCRIPTION, RENDERED
from controller.specs.tree import Tree

_LINK = 0o120000


class RenderedTree:
    """Files in memory; implements ``controller.specs.tree.Tree``."""

    def __init__(self, files: dict[str, tuple[int, bytes]], *, commit: str) -> None:
        """``files`` maps a path to its mode and bytes."""
        self.commit = commit
        self._blobs: dict[str, bytes] = {}
        self._entries = []
        for path, (mode, data) in sorted(files.items()):
            oid = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
            self._blobs[oid] = data
            self._entries.append(FileEntry(path=path, mode=mode, oid=oid))

    def entries(self) -> Sequence[FileEntry]:
        """Return every file in path order."""
        return self._entries

    def submodules(self) -> Sequence[str]:
        """Return nothing: there are none."""
        return ()

    def read(self, oid: str, *, limit: int | None = None) -> bytes:
        """Return a file's bytes."""
        return self._blobs[oid][:limit]

    def size(self, oid: str) -> int:
        """Return a file's size in bytes."""
        return len(self._blobs[oid])


def context_of(tree_of: Callable[[FileSet], Tree], build: Build) -> tuple[Tree, Sequence[FileEntry]]:
    """Return what a build is sent: a tree and the entries of it.

    Raises:
        StalledError: it is made from a template that does not render (``TemplateFailed``).
    """
    tree = tree_of(build.context)
    if not build.template:
        return tree, build.context.entries
    rendered = RenderedTree(rendered_files(tree, build), commit=build.context.commit)
    files = Files(rendered)
    try:
        return rendered, files.sent(files.context(""), build.dockerfile).entries
    except (BadPatternError, EscapeError, MissingPathError) as error:
        message = f"the context that template {build.template} renders cannot be sent: {error}"
        raise StalledError("TemplateFailed", message) from error


def rendered_files(tree: Tree, build: Build) -> dict[str, tuple[int, bytes]]:
    """Return path to mode and bytes of every file of a template's context.

    Raises:
        StalledError: it does not render (``TemplateFailed``).
    """
    texts: dict[str, str] = {}
    files: dict[str, tuple[int, bytes]] = {}
    modes: dict[str, int] = {}
    for entry in build.context.entries:
        if entry.path == DESCRIPTION:
            continue
        data = tree.read(entry.oid)
        if not entry.path.endswith(RENDERED) or entry.mode == _LINK:
            files[entry.path] = (entry.mode, data)
            continue
        try:
            texts[entry.path] = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise StalledError(
                "TemplateFailed", f"template {build.template} cannot be rendered: {printable(entry.path)} is not UTF-8"
            ) from error
        modes[entry.path] = entry.mode
    for path, text in render(texts, build.values, name=build.template).items():
        files[path.removesuffix(RENDERED)] = (modes[path], text.encode("utf-8"))
    return files
