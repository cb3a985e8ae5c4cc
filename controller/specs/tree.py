"""A commit's files as the spec stage sees them: names and ids first, bytes only when asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from controller.model.files import FileEntry


class Tree(Protocol):
    """The files of one commit below the configured sub-directory; paths use ``/`` and are relative to it."""

    @property
    def commit(self) -> str:
        """Full id of the commit in hex."""

    def entries(self) -> Sequence[FileEntry]:
        """Return every blob (files and symbolic links, no submodules) in path order, without reading any."""

    def submodules(self) -> Sequence[str]:
        """Return the paths of the submodules, of which the commit holds no more than a commit's id, in order."""

    def read(self, oid: str, *, limit: int | None = None) -> bytes:
        """Return a blob's bytes; at most ``limit`` of them when a limit is given."""

    def size(self, oid: str) -> int:
        """Return a blob's size in bytes."""


class ChangedTree:
    """A tree in which one file has other bytes: what a commit would be after an edit."""

    def __init__(self, tree: Tree, path: str, data: bytes, oid: str) -> None:
        """``oid`` is the blob id of ``data``."""
        self._tree = tree
        self._data = data
        self._oid = oid
        self._path = path

    @property
    def commit(self) -> str:
        """Id of the commit before the edit."""
        return self._tree.commit

    def entries(self) -> Sequence[FileEntry]:
        """Return every blob in path order."""
        return [replace(entry, oid=self._oid) if entry.path == self._path else entry for entry in self._tree.entries()]

    def submodules(self) -> Sequence[str]:
        """Return the paths of the submodules."""
        return self._tree.submodules()

    def read(self, oid: str, *, limit: int | None = None) -> bytes:
        """Return a blob's bytes."""
        return self._data[:limit] if oid == self._oid else self._tree.read(oid, limit=limit)

    def size(self, oid: str) -> int:
        """Return a blob's size in bytes."""
        return len(self._data) if oid == self._oid else self._tree.size(oid)


class EditedTree:
    """A tree in which files have other bytes, or are new: what a commit would be after a session of edits."""

    def __init__(self, tree: Tree, files: Mapping[str, tuple[str, bytes]]) -> None:
        """``files`` maps path to blob id and bytes."""
        self._tree = tree
        self._files = files
        self._data = dict(files.values())

    @property
    def commit(self) -> str:
        """Id of the commit before the edits."""
        return self._tree.commit

    def entries(self) -> Sequence[FileEntry]:
        """Return every blob in path order."""
        there = {entry.path: entry for entry in self._tree.entries()}
        for path, (oid, _) in self._files.items():
            old = there.get(path)
            there[path] = replace(old, oid=oid) if old else FileEntry(path=path, mode=0o100644, oid=oid)
        return [there[path] for path in sorted(there)]

    def submodules(self) -> Sequence[str]:
        """Return the paths of the submodules."""
        return self._tree.submodules()

    def read(self, oid: str, *, limit: int | None = None) -> bytes:
        """Return a blob's bytes."""
        return self._data[oid][:limit] if oid in self._data else self._tree.read(oid, limit=limit)

    def size(self, oid: str) -> int:
        """Return a blob's size in bytes."""
        return len(self._data[oid]) if oid in self._data else self._tree.size(oid)
