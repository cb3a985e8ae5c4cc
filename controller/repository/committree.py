"""The files of one commit, read from the object database: there is no work tree anywhere.

Source of every byte that the spec stage sees; implements ``controller.specs.tree.Tree``. Git LFS pointers are files
like any other. Does not belong here: fetching, or looking into what is read.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

import pygit2
from pygit2.enums import ObjectType

from controller.model.errors import StalledError
from controller.model.files import FileEntry

MOST_ENTRIES = 1_000_000
"""Files of a commit. A tree may hold another one many times, so that a few objects stand for billions of files."""
MOST_PATH_BYTES = 256 << 20
"""Bytes of all their paths."""
TREE, LINK, SUBMODULE = 0o40000, 0o120000, 0o160000
REGULAR, EXECUTABLE = 0o100644, 0o100755


class CommitTree:
    """A commit's files below a sub-directory. Safe to read from several threads."""

    def __init__(
        self, reading: Callable[[], AbstractContextManager[pygit2.Repository]], commit: str, root: pygit2.Oid | str
    ) -> None:
        """``reading`` lends this thread's handle on the object database and tells what its errors mean; ``root`` is
        the id of the directory.
        """
        self._reading = reading
        self._commit = commit
        self._root = root
        self._entries: tuple[FileEntry, ...] | None = None
        self._submodules: tuple[str, ...] = ()
        self._listing = threading.Lock()

    @property
    def commit(self) -> str:
        """Full id of the commit in hex."""
        return self._commit

    @property
    def root(self) -> str:
        """Id of the directory's tree in hex: equal ids, equal files."""
        return str(self._root)

    def entries(self) -> Sequence[FileEntry]:
        """Return every blob (files and symbolic links, no submodules) in path order, without reading any."""
        with self._listing:
            if self._entries is None:
                with self._reading() as repo:
                    found = list(_walk(repo.odb, self._root))
                self._submodules = tuple(entry.path for entry in found if entry.mode == SUBMODULE)
                self._entries = tuple(entry for entry in found if entry.mode != SUBMODULE)
            return self._entries

    def submodules(self) -> Sequence[str]:
        """Return the paths of the submodules, of which the commit holds no more than a commit's id, in order."""
        self.entries()
        return self._submodules

    def top_file(self, name: str) -> bytes | None:
        """Return the bytes of a file of the directory itself, None where there is none; nothing else is listed."""
        with self._reading() as repo:
            for mode, raw, oid in walk_raw(repo.odb, self._root):
                if raw == name.encode() and mode not in (TREE, SUBMODULE):
                    return bytes(memoryview(repo[pygit2.Oid(raw=oid)].peel(pygit2.Blob)))
        return None

    def read(self, oid: str, *, limit: int | None = None) -> bytes:
        """Return a blob's bytes; at most ``limit`` of them when a limit is given.

        Git stores an object whole, so a limit saves the copy, not the unpacking: ask ``size`` first.
        """
        with self._reading() as repo:
            blob = memoryview(repo[oid].peel(pygit2.Blob))
            return bytes(blob if limit is None else blob[:limit])

    def size(self, oid: str) -> int:
        """Return a blob's size in bytes, from its header."""
        with self._reading() as repo:
            _, size = repo.odb.read_header(oid)
            return size


def walk_raw(odb: pygit2.Odb, tree: pygit2.Oid | str) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield mode, name and raw id of a tree's own entries.

    The format (gitformat-tree) is parsed here: an object for each entry, as pygit2 makes, costs five times as much.
    """
    kind, data = odb.read(tree)
    if kind != ObjectType.TREE:
        raise KeyError(str(tree))
    at, end = 0, len(data)
    while at < end:
        space = data.index(b" ", at)
        nul = data.index(b"\0", space)
        yield int(data[at:space], 8), data[space + 1 : nul], data[nul + 1 : nul + 21]
        at = nul + 21


def _walk(odb: pygit2.Odb, root: pygit2.Oid | str) -> Iterator[FileEntry]:
    """Walk depth first: the order of a tree object is the order of whole paths, byte by byte.

    Raises:
        StalledError: CommitTooLarge.
    """
    stack = [("", walk_raw(odb, root))]
    files, room = 0, MOST_PATH_BYTES
    while stack:
        prefix, rows = stack[-1]
        for mode, raw, oid in rows:
            path = prefix + raw.decode("utf-8", "surrogateescape")
            files, room = files + 1, room - len(path)
            if files > MOST_ENTRIES or room < 0:
                message = f"the commit has more than {MOST_ENTRIES} files, or paths of {MOST_PATH_BYTES >> 20} MiB"
                raise StalledError("CommitTooLarge", f"{message}; take out what is no source, in another commit")
            if mode == TREE:
                stack.append((path + "/", walk_raw(odb, pygit2.Oid(raw=oid))))
                break
            if mode not in (LINK, SUBMODULE):
                # Very old commits hold 0o100664 and the like; Git itself knows only the owner's execute bit.
                mode = EXECUTABLE if mode & 0o100 else REGULAR
            yield FileEntry(path=path, mode=mode, oid=oid.hex())
        else:
            stack.pop()
