"""A commit made of a mapping: what the spec stage reads in these tests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from controller.model.files import FileEntry
from controller.model.resources import Desired
from controller.specs.compile import load


class Link(bytes):
    """The target of a symbolic link."""


class Program(bytes):
    """The bytes of a file that may be executed."""


class MemoryTree:
    """Path to content; the ids are Git blob ids."""

    def __init__(
        self, files: Mapping[str, bytes | str], *, commit: str = "c" * 40, submodules: Sequence[str] = ()
    ) -> None:
        self.commit = commit
        self._submodules = submodules
        self.reads: list[str] = []
        self._blobs: dict[str, bytes] = {}
        self._entries: list[FileEntry] = []
        for path, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            oid = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            self._blobs[oid] = data
            mode = 0o120000 if isinstance(content, Link) else 0o100755 if isinstance(content, Program) else 0o100644
            self._entries.append(FileEntry(path=path, mode=mode, oid=oid))

    def entries(self) -> Sequence[FileEntry]:
        return self._entries

    def submodules(self) -> Sequence[str]:
        return self._submodules

    def read(self, oid: str, *, limit: int | None = None) -> bytes:
        self.reads.append(oid)
        return self._blobs[oid][:limit]

    def size(self, oid: str) -> int:
        return len(self._blobs[oid])


GOOD = """\
kind: Cluster
name: good
scheduler: local
containers: none
---
kind: Job
name: good
cluster: good
command: echo hello
"""


def desired(files: Mapping[str, bytes | str]) -> Desired:
    """Load a commit of these files."""
    return load(MemoryTree(files))


def headlines(result: Desired) -> list[str]:
    """Return ``path:line:col: message`` of every problem."""
    return [problem.headline() for problem in result.problems]
