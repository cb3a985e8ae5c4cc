"""Files on disk, seen as the spec stage sees a commit: for validating before there is one.

Implements ``controller.specs.tree.Tree``. Nothing is followed out of the directory: symbolic links are read, not
followed. What Git would keep as something else is seen as that: a file in Git LFS is a pointer. Names are bytes, read
as UTF-8 whatever the locale, as those of a commit are. What the controller applies never comes from here, but from a
commit.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from controller.model.files import FileEntry

if TYPE_CHECKING:
    import pygit2

_CHUNK = 1 << 20
_SUBMODULE = 0o160000
_HASHED_BYTES = 8 << 20
"""Larger files are known by path, size and time instead of content: hashing gigabytes would keep an editor waiting."""


class WorkTree:
    """The files below a directory, without ``.git``, submodules, and what Git ignores.

    ``overlay`` maps paths to bytes that stand in for the file (which need not exist), as an editor's unsaved text.
    """

    def __init__(self, root: Path, *, overlay: Mapping[str, bytes] | None = None) -> None:
        self._root = root
        self._overlay = dict(overlay or {})
        self._sources: dict[str, bytes | _OnDisk] = {}
        self._entries: list[FileEntry] | None = None
        self._submodules: set[str] = set()

    @property
    def commit(self) -> str:
        """All zeros: there is no commit."""
        return "0" * 40

    def entries(self) -> list[FileEntry]:
        """Return every file and symbolic link in path order; ids are Git blob ids (see ``_HASHED_BYTES``)."""
        if self._entries is None:
            git = known_to_git(self._root)
            self._submodules |= git.submodules
            found = {entry.path: entry for entry in self._walk(os.fsencode(self._root), "", git)}
            for path, data in self._overlay.items():
                oid = _blob_id(data)
                self._sources[oid] = data
                found[path] = FileEntry(path=path, mode=0o100644, oid=oid)
            self._entries = [found[path] for path in sorted(found)]
        return self._entries

    def submodules(self) -> list[str]:
        """Return the paths of the submodules, in order."""
        self.entries()
        return sorted(self._submodules)

    def read(self, oid: str, *, limit: int | None = None) -> bytes:
        """Return a file's bytes, or a link's target; nothing if it has gone since ``entries``."""
        source = self._sources[oid]
        if isinstance(source, bytes):
            return source[:limit]
        try:
            with os.fdopen(os.open(source.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
                return file.read(-1 if limit is None else limit)
        except OSError:
            return b""

    def size(self, oid: str) -> int:
        """Return a file's size in bytes."""
        source = self._sources[oid]
        return len(source) if isinstance(source, bytes) else source.size

    def _walk(self, directory: bytes, prefix: str, git: KnownToGit) -> Iterator[FileEntry]:
        for item in sorted(os.scandir(directory), key=lambda each: each.name):
            path = prefix + item.name.decode("utf-8", "surrogateescape")
            is_directory = item.is_dir(follow_symlinks=False)
            if item.name == b".git" or git.ignores(path, is_directory=is_directory):
                continue
            if is_directory:
                if Path(os.fsdecode(item.path), ".git").exists():
                    self._submodules.add(path)
                elif path not in git.submodules and os.access(item.path, os.R_OK | os.X_OK):
                    yield from self._walk(item.path, path + "/", git)
            elif path not in self._overlay and (entry := self._entry(item.path, path, git)) is not None:
                yield entry

    def _entry(self, file: bytes, path: str, git: KnownToGit) -> FileEntry | None:
        """Return the entry of a file or link; None for what Git does not keep, or for what cannot be read."""
        try:
            info = os.lstat(file)
            if stat.S_ISLNK(info.st_mode):
                target = os.readlink(file)  # noqa: PTH115 - the name is bytes
                oid = _blob_id(target)
                self._sources[oid] = target
                return FileEntry(path=path, mode=0o120000, oid=oid)
            if not stat.S_ISREG(info.st_mode):
                return None
            pointer = git.pointer(path, info.st_size)
            oid = _file_id(file, path, info) if pointer is None else _blob_id(pointer)
        except OSError:
            return None
        self._sources[oid] = _OnDisk(file, info.st_size) if pointer is None else pointer
        return FileEntry(path=path, mode=0o100755 if info.st_mode & stat.S_IXUSR else 0o100644, oid=oid)


@dataclass(frozen=True, slots=True)
class _OnDisk:
    path: bytes
    size: int


def as_in_a_commit(path: str) -> str:
    """Return a path of this machine as paths of a commit are held, whatever the locale."""
    return os.fsencode(path).decode("utf-8", "surrogateescape")


def repository_root(path: Path) -> Path | None:
    """Return the nearest directory at or above a path that is a Git work tree, or None."""
    return next((each for each in (path, *path.parents) if (each / ".git").exists()), None)


class KnownToGit:
    """What Git says of the files below a directory; of one that is in no work tree of Git's, nothing."""

    submodules: Set[str] = frozenset()

    def ignores(self, path: str, *, is_directory: bool) -> bool:
        """Return whether ``.gitignore`` leaves a path out; what Git tracks is never left out."""
        return False

    def pointer(self, path: str, size: int) -> bytes | None:
        """Return what Git keeps instead of a file that is in Git LFS, None for any other file."""
        return None


class _Repository(KnownToGit):
    def __init__(self, repository: pygit2.Repository, below: str) -> None:
        """``below`` is the directory's path in the repository, with a slash at the end, or ""."""
        self._repository = repository
        self._start = below
        index = repository.index
        entries = [(entry.path, entry.mode) for entry in index]
        self._tracked = {path for path, _ in entries}
        self._tracked |= {str(parent) for path, _ in entries for parent in PurePosixPath(path).parents}
        self.submodules = {
            path.removeprefix(below) for path, mode in entries if mode == _SUBMODULE and path.startswith(below)
        }
        self._attributes = any(PurePosixPath(path).name == ".gitattributes" for path, _ in entries) or any(
            each.exists() for each in Path(repository.workdir).glob(".gitattributes")
        )

    def ignores(self, path: str, *, is_directory: bool) -> bool:
        full = self._start + path
        if full in self._tracked:
            return False
        # pygit2 takes no name that is not UTF-8 here; a pattern that matches it byte by byte is rare.
        text = full.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        return bool(self._repository.path_is_ignored(text + "/" if is_directory else text))

    def pointer(self, path: str, size: int) -> bytes | None:
        full = self._start + path
        name = full.encode("utf-8", "surrogateescape")
        if not self._attributes or self._repository.get_attr(name, "filter") != "lfs":
            return None
        return b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n" % (b"0" * 64, size)


def known_to_git(root: Path) -> KnownToGit:
    """Return what Git says of the files below a directory."""
    top = repository_root(root)
    if top is None:
        return KnownToGit()
    # Imported here: most of what calls for a work tree has no other use for it, and it takes a tenth of a second.
    import pygit2

    below = root.relative_to(top).as_posix()
    try:
        return _Repository(pygit2.Repository(str(top)), "" if below == "." else below + "/")
    except pygit2.GitError:
        return KnownToGit()


def _blob_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _file_id(file: bytes, path: str, info: os.stat_result) -> str:
    if info.st_size > _HASHED_BYTES:
        name = path.encode("utf-8", "surrogateescape")
        return _blob_id(name + b"\0%d\0%d" % (info.st_size, info.st_mtime_ns))
    hashed = hashlib.sha1(b"blob %d\0" % info.st_size, usedforsecurity=False)
    with open(file, "rb") as stream:  # noqa: PTH123 - the name is bytes
        while chunk := stream.read(_CHUNK):
            hashed.update(chunk)
    return hashed.hexdigest()
