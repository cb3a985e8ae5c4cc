"""Files on disk, seen as the spec stage sees a commit: for validating before there is one.

Implements ``controller.specs.tree.Tree``. Nothing is followed out of the directory: symbolic links are read, not
followed. What the controller applies never comes from here, but from a commit.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from controller.model.files import FileEntry

_CHUNK = 1 << 20
_HASHED_BYTES = 8 << 20
"""Larger files are known by path, size and time instead of content: hashing gigabytes would keep an editor waiting."""

Ignored = Callable[[str, bool], bool]
"""Path and whether it is a directory, to whether Git leaves it out."""


class WorkTree:
    """The files below a directory, without ``.git``, sub-modules, and what Git ignores.

    ``overlay`` maps paths to bytes that stand in for the file (which need not exist), as an editor's unsaved text.
    """

    def __init__(self, root: Path, *, overlay: Mapping[str, bytes] | None = None) -> None:
        self._root = root
        self._overlay = dict(overlay or {})
        self._sources: dict[str, Path | bytes] = {}
        self._entries: list[FileEntry] | None = None

    @property
    def commit(self) -> str:
        """All zeros: there is no commit."""
        return "0" * 40

    def entries(self) -> list[FileEntry]:
        """Return every file and symbolic link in path order; ids are Git blob ids (see ``_HASHED_BYTES``)."""
        if self._entries is None:
            found = {entry.path: entry for entry in self._walk(self._root, "", ignored_by_git(self._root))}
            for path, data in self._overlay.items():
                oid = _blob_id(data)
                self._sources[oid] = data
                found[path] = FileEntry(path=path, mode=0o100644, oid=oid)
            self._entries = [found[path] for path in sorted(found)]
        return self._entries

    def read(self, oid: str, *, limit: int | None = None) -> bytes:
        """Return a file's bytes, or a link's target; nothing if it has gone since ``entries``."""
        source = self._sources[oid]
        if isinstance(source, bytes):
            return source[:limit]
        try:
            with os.fdopen(os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
                return file.read(-1 if limit is None else limit)
        except OSError:
            return b""

    def size(self, oid: str) -> int:
        """Return a file's size in bytes."""
        source = self._sources[oid]
        return len(source) if isinstance(source, bytes) else source.lstat().st_size

    def _walk(self, directory: Path, prefix: str, ignored: Ignored) -> Iterator[FileEntry]:
        for item in sorted(os.scandir(directory), key=lambda each: each.name):
            path = prefix + item.name
            is_directory = item.is_dir(follow_symlinks=False)
            if item.name == ".git" or ignored(path, is_directory):
                continue
            if is_directory:
                is_submodule = Path(item.path, ".git").exists()
                if not is_submodule and os.access(item.path, os.R_OK | os.X_OK):
                    yield from self._walk(Path(item.path), path + "/", ignored)
            elif path not in self._overlay and (entry := self._entry(Path(item.path), path)) is not None:
                yield entry

    def _entry(self, file: Path, path: str) -> FileEntry | None:
        """Return the entry of a file or link; None for what Git does not keep, or for what cannot be read."""
        try:
            info = file.lstat()
            if stat.S_ISLNK(info.st_mode):
                target = os.fsencode(file.readlink())
                oid = _blob_id(target)
                self._sources[oid] = target
                return FileEntry(path=path, mode=0o120000, oid=oid)
            if not stat.S_ISREG(info.st_mode):
                return None
            oid = _file_id(file, path, info)
        except OSError:
            return None
        self._sources[oid] = file
        return FileEntry(path=path, mode=0o100755 if info.st_mode & stat.S_IXUSR else 0o100644, oid=oid)


def repository_root(path: Path) -> Path | None:
    """Return the nearest directory at or above a path that is a Git work tree, or None."""
    return next((each for each in (path, *path.parents) if (each / ".git").exists()), None)


def ignored_by_git(root: Path) -> Ignored:
    """Return the test for what ``.gitignore`` leaves out; a file that Git tracks is never left out."""
    top = repository_root(root)
    if top is None:
        return _nothing_ignored
    # Imported here: most of what calls for a work tree has no other use for it, and it takes a tenth of a second.
    import pygit2

    try:
        repository = pygit2.Repository(str(top))
        tracked = {entry.path for entry in repository.index}
    except pygit2.GitError:
        return _nothing_ignored
    tracked |= {parent.as_posix() for path in tracked for parent in Path(path).parents}
    below = root.relative_to(top).as_posix()
    start = "" if below == "." else below + "/"

    def ignored(path: str, is_directory: bool) -> bool:
        full = start + path
        return full not in tracked and bool(repository.path_is_ignored(full + "/" if is_directory else full))

    return ignored


def _nothing_ignored(_path: str, _is_directory: bool) -> bool:
    return False


def _blob_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _file_id(file: Path, path: str, info: os.stat_result) -> str:
    if info.st_size > _HASHED_BYTES:
        return _blob_id(os.fsencode(f"{path}\0{info.st_size}\0{info.st_mtime_ns}"))
    hashed = hashlib.sha1(b"blob %d\0" % info.st_size, usedforsecurity=False)
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            hashed.update(chunk)
    return hashed.hexdigest()
