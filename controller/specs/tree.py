"""A commit's files as the spec stage sees them: names and ids first, bytes only when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from controller.model.resources import FileEntry


class Tree(Protocol):
    """The files of one commit below the configured sub-directory; paths use ``/`` and are relative to it."""

    @property
    def commit(self) -> str:
        """Full id of the commit in hex."""

    def entries(self) -> Sequence[FileEntry]:
        """Return every blob (files and symbolic links, no sub-modules) in path order, without reading any."""

    def read(self, oid: str, *, limit: int | None = None) -> bytes:
        """Return a blob's bytes; at most ``limit`` of them when a limit is given."""

    def size(self, oid: str) -> int:
        """Return a blob's size in bytes."""
