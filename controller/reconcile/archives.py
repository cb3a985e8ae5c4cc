"""Files of a commit as a tar: the same bytes for the same content, whenever and wherever it is made.

What is staged on a cluster comes with a manifest of each tree, which ``clusters/remote/manifest.sh`` reads.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from hashlib import sha256
from typing import IO

from controller.model.files import FileEntry
from controller.specs.tree import Tree

TIME_S = 946_684_800
"""Time of every member, 2000-01-01 UTC: the bytes depend on no clock, and ZIP, which knows no time before 1980, takes
it in every time zone."""
_LINK = 0o120000
_PROGRAM = 0o100755


def write_tar(
    target: IO[bytes],
    parts: Iterable[tuple[str, Tree, Iterable[FileEntry]]],
    *,
    last: str = "",
    manifests: bool = False,
) -> None:
    """Write ``(directory, tree, entries)`` parts as one tar; ``directory`` "" puts entries at the top.

    ``last`` is the name of an empty file to end with, "" for none. With ``manifests`` each directory is followed by a
    file ``<directory>.manifest`` that tells what it holds.

    Owner 0, one time for all; modes 0755 and 0644 as Git knows them. Directories come with the files in them. Names
    are written byte for byte, in GNU's format: pax headers say that they are UTF-8, and a tar in another locale would
    translate them.
    """
    with tarfile.open(
        fileobj=target, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape"
    ) as tar:
        for directory, tree, entries in parts:
            if directory:
                _add_directory(tar, directory)
            made: set[str] = set()
            manifest = Manifest()
            for entry in entries:
                path = f"{directory}/{entry.path}" if directory else entry.path
                for end in (index for index, char in enumerate(path) if char == "/"):
                    if path[:end] not in made and path[:end] != directory:
                        made.add(path[:end])
                        _add_directory(tar, path[:end])
                data = tree.read(entry.oid)
                _add_file(tar, path, entry, data)
                manifest.add(entry, data)
            if manifests:
                _add_bytes(tar, _member(f"{directory}.manifest"), manifest.text())
        if last:
            tar.addfile(_member(last))


class Manifest:
    """What a tree holds: kind, size and hash of every file; ``remote/manifest.sh`` has the format."""

    def __init__(self) -> None:
        self._files: list[bytes] = []
        self._links: list[bytes] = []
        self._targets = sha256()
        self._bytes = 0

    def add(self, entry: FileEntry, data: bytes) -> None:
        """Add a file with its bytes, or a link with its target."""
        path = entry.path.encode("utf-8", "surrogateescape")
        if entry.mode == _LINK:
            self._links.append(b"l %d - %b" % (len(data), path))
            self._targets.update(data + b"\n")
            return
        kind = b"x" if entry.mode == _PROGRAM else b"f"
        self._files.append(b"%b %d %b %b" % (kind, len(data), sha256(data).hexdigest().encode(), path))
        self._bytes += len(data)

    def text(self) -> bytes:
        """Return the manifest of what was added."""
        head = b"manifest 1 %d %d" % (len(self._files) + len(self._links), self._bytes)
        end = b"end " + self._targets.hexdigest().encode()
        return b"".join(record + b"\0" for record in (head, *self._files, *self._links, end))


def _member(path: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path)
    info.mtime = TIME_S
    return info


def _add_directory(tar: tarfile.TarFile, path: str) -> None:
    info = _member(path)
    info.type = tarfile.DIRTYPE
    info.mode = 0o755
    tar.addfile(info)


def _add_file(tar: tarfile.TarFile, path: str, entry: FileEntry, data: bytes) -> None:
    info = _member(path)
    if entry.mode == _LINK:
        info.type = tarfile.SYMTYPE
        info.linkname = data.decode("utf-8", "surrogateescape")
        tar.addfile(info)
        return
    info.mode = 0o755 if entry.mode == _PROGRAM else 0o644
    _add_bytes(tar, info, data)


def _add_bytes(tar: tarfile.TarFile, info: tarfile.TarInfo, data: bytes) -> None:
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
