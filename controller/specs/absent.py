"""What a commit names and does not hold: files kept in Git LFS, and submodules.

Neither is fetched (docs/decisions/0042 and 0070): a pointer arrives where the file should be, and nothing where the
submodule should be. Known by what the commit itself holds, as ``.gitattributes`` and ``.gitmodules`` may stand
elsewhere, or be gone. Must not report anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from controller.model.files import FileEntry
from controller.specs.nearest import printable
from controller.specs.tree import Tree

POINTER_REMEDY = (
    "keep the file in Git itself (git lfs migrate export --include=PATH), or put it on the cluster once and use its"
    " path there"
)
SUBMODULE_REMEDY = "keep its files in this repository (git subtree add), or clone it in the command"
_LINK = 0o120000
_LEAST, _MOST = 100, 1023
"""Bytes of a pointer (github.com/git-lfs/git-lfs, docs/spec.md: less than 1024)."""
_POINTER = re.compile(
    rb"version https://(?:git-lfs|hawser)\.github\.com/spec/v1\n(?:ext-[^\n]*\n)*"
    rb"oid sha256:[0-9a-f]{64}\nsize [0-9]+\n?"
)
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """Paths of files that arrive as pointers, and of submodules that do not arrive."""

    pointers: tuple[str, ...] = ()
    submodules: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.pointers or self.submodules)

    def __str__(self) -> str:
        """Return what is missing, as a sentence for a person."""
        said = []
        if self.submodules:
            said.append(f"submodules are not fetched and arrive empty: {_named(self.submodules)}")
        if self.pointers:
            said.append(f"files in Git LFS are not fetched and arrive as pointers: {_named(self.pointers)}")
        return "; ".join(said)

    @property
    def remedy(self) -> str:
        """What a person can do about it."""
        return "; ".join(
            text for there, text in ((self.submodules, SUBMODULE_REMEDY), (self.pointers, POINTER_REMEDY)) if there
        )


def is_pointer(tree: Tree, entry: FileEntry) -> bool:
    """Return whether a file is a Git LFS pointer; only files of a pointer's size are read."""
    if entry.mode == _LINK or not _LEAST <= tree.size(entry.oid) <= _MOST:
        return False
    return _POINTER.fullmatch(tree.read(entry.oid, limit=_MOST + 1)) is not None


def absent(tree: Tree, entries: Iterable[FileEntry], directories: Iterable[str], start: str = "") -> Absent:
    """Return what is not there of some files and directories ("" is all); ``start`` is what the entries' paths lack."""
    wanted = list(directories)
    return Absent(
        pointers=tuple(start + entry.path for entry in entries if is_pointer(tree, entry)),
        submodules=tuple(path for path in tree.submodules() if any(_is_below(path, each) for each in wanted)),
    )


def _is_below(path: str, directory: str) -> bool:
    return not directory or path == directory or path.startswith(directory + "/")


def _named(paths: tuple[str, ...]) -> str:
    more = f" and {len(paths) - _MOST_NAMED} more" if len(paths) > _MOST_NAMED else ""
    return ", ".join(printable(path) for path in paths[:_MOST_NAMED]) + more
