"""Files and places of a commit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a resource stands: a path in the repository, a line (from 1), and the commit it was read from."""

    path: str
    line: int
    commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One file of a commit: path, Git mode (0o100644, 0o100755, 0o120000) and blob id in hex."""

    path: str
    mode: int
    oid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSet:
    """Files of one commit known by content: ``tree`` is the digest of entries; equal digests, equal bytes."""

    tree: str
    entries: tuple[FileEntry, ...]
    commit: str
    repository: str = ""
    """Address of the repository that holds the commit; "" is the one that the specs are in, and what begins
    with ``builtin:`` a template of the controller itself."""
