"""Files of a commit as a tar: the same bytes for the same content, whenever and wherever it is made."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from typing import IO

from controller.model.files import FileEntry
from controller.specs.tree import Tree

TIME_S = 946_684_800
"""Time of every member, 2000-01-01 UTC: the bytes depend on no clock, and ZIP, which knows no time before 1980, takes
it in every time zone."""
_LINK = 0o120000
_PROGRAM = 0o100755


def write_tar(target: IO[bytes], parts: Iterable[tuple[str, Tree, Iterable[FileEntry]]], *, last: str = "") -> None:
    """Write ``(directory, tree, entries)`` parts as one tar; ``directory`` "" puts entries at the top.

    ``last`` is the name of an empty file to end with, "" for none.

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
            for entry in entries:
                path = f"{directory}/{entry.path}" if directory else entry.path
                for end in (index for index, char in enumerate(path) if char == "/"):
                    if path[:end] not in made and path[:end] != directory:
                        made.add(path[:end])
                        _add_directory(tar, path[:end])
                _add_file(tar, path, entry, tree.read(entry.oid))
        if last:
            tar.addfile(_member(last))


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
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
