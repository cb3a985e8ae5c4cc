"""Parts of a commit's tree, known by content.

Picks the files that a spec names and gives them a digest, without reading any but symbolic links: a link that leads
out of what may be read is refused. Must not know which kind of spec asks.
"""

from __future__ import annotations

import posixpath
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence

from controller.model.digests import digest_of
from controller.model.files import FileEntry, FileSet
from controller.specs import ignore
from controller.specs.absent import POINTER_REMEDY, SUBMODULE_REMEDY, Absent, absent, is_pointer
from controller.specs.budgets import MOST_LINK_PARTS, MOST_PICKED
from controller.specs.nearest import did_you_mean, printable
from controller.specs.tree import Tree

_UNFIT = re.compile(r"(?:^|/)(\.\.?|\.git|)(?=/|$)", re.IGNORECASE)
_LONGEST_NAME = 255
"""Bytes of one name, as Linux' file systems have it (NAME_MAX)."""
_LONGEST_PATH = 3072
"""Bytes of a path: PATH_MAX is 4096, and the run directory comes before it."""
_LINK = 0o120000
_MAX_HOPS = 40
"""Links followed in one path, as Linux has it (path_resolution(7))."""
_MAX_TARGET = 4096
_TOO_MANY_LINKS = "is one of so many symbolic links that where all of them lead is not looked at"
_MAX_IGNORE = 1 << 20
_ROOT = "/"


class MissingPathError(Exception):
    """A path that the commit does not hold, or that is not what it has to be; the message completes "<path> ..."."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class EscapeError(Exception):
    """A symbolic link that leads out."""

    remedy = ""

    def __init__(self, link: str, target: str, root: str) -> None:
        where = f'"{root}"' if root else "the repository"
        super().__init__(f'the symbolic link "{link}" leads out of {where} (to "{target[:80]}")')


class UnfitNameError(EscapeError):
    """A path that a commit can hold and a directory cannot, or should not."""

    remedy = "remove it from the commit, or give it another name"

    def __init__(self, path: str, why: str) -> None:
        Exception.__init__(self, f'the path "{path[:120]}" {why}')


class Files:
    """All files of one commit, looked up by path or by directory."""

    def __init__(self, tree: Tree, *, repository: str = "") -> None:
        """``repository`` is the address of another repository than the specs'."""
        self._tree = tree
        self.repository = repository
        self.entries = sorted(tree.entries(), key=lambda entry: entry.path)
        self._paths = [entry.path for entry in self.entries]
        self._modules = frozenset(tree.submodules())
        self._by_path = {entry.path: entry for entry in self.entries}
        self._kept: dict[tuple[str, ...], FileSet] = {}
        self._link_parts = MOST_LINK_PARTS
        self._picked = MOST_PICKED
        self._absent: dict[tuple[str, ...], Absent] = {}

    def get(self, path: str) -> FileEntry | None:
        """Return the entry at a path, None if it is absent or a directory."""
        return self._by_path.get(path)

    def is_directory(self, path: str) -> bool:
        """Return whether there are files below a path."""
        if not path:
            return bool(self.entries)
        at = bisect_left(self._paths, path + "/")
        return at < len(self._paths) and self._paths[at].startswith(path + "/")

    def select(self, paths: Iterable[str]) -> FileSet:
        """Return the files at the paths, a directory standing for all below it; their own paths are kept.

        Raises:
            MissingPathError: the commit has nothing at a path.
            EscapeError: a link among them leads out of the tree.
        """
        wanted = tuple(sorted({normal(path) for path in paths}))
        if (kept := self._kept.get(wanted)) is None:
            self._picked -= sum(self._count(path) for path in wanted)
            if self._picked < 0:
                raise MissingPathError(f"is one too many: jobs may name {MOST_PICKED} files of a commit together")
            chosen = {entry.path: entry for path in wanted for entry in self._at(path)}
            self._refuse_escapes(chosen.values(), "")
            kept = self._kept[wanted] = self._file_set([chosen[path] for path in sorted(chosen)])
        return kept

    def context(self, directory: str) -> FileSet:
        """Return all files below a directory, by paths relative to it.

        Raises:
            MissingPathError: there is no such directory.
            EscapeError: a link below it leads out of it.
        """
        root = normal(directory)
        entries = self._below(root) if root else self.entries
        if not entries:
            raise MissingPathError("is not a directory") if root in self._by_path else self._missing(root)
        self._refuse_escapes(entries, root)
        start = len(root) + 1 if root else 0
        return self._file_set([FileEntry(path=e.path[start:], mode=e.mode, oid=e.oid) for e in entries])

    def is_pointer(self, entry: FileEntry) -> bool:
        """Return whether a file is kept in Git LFS."""
        return is_pointer(self._tree, entry)

    def absent(self, paths: Iterable[str]) -> Absent:
        """Return what does not arrive of the files at the paths, or below them."""
        wanted = tuple(sorted({normal(path) for path in paths}))
        if (kept := self._absent.get(wanted)) is None:
            entries = {entry.path: entry for path in wanted for entry in self._at(path)}
            kept = self._absent[wanted] = absent(self._tree, entries.values(), wanted)
        return kept

    def absent_in(self, context: FileSet, directory: str) -> Absent:
        """Return what does not arrive of a context, by paths from the top of the repository."""
        root = normal(directory)
        return absent(self._tree, context.entries, [root], f"{root}/" if root else "")

    def sent(self, context: FileSet, dockerfile: str) -> FileSet:
        """Return a context without what its ignore file leaves out. Dockerfile and ignore file always stay: the
        builder reads both, and leaves them out of the image itself where it is told to.

        Raises:
            BadPatternError: a line of the ignore file is no pattern.
            EscapeError: the ignore file is a symbolic link.
        """
        entries = {entry.path: entry for entry in context.entries}
        name = next((name for name in ignore.names_for(dockerfile) if name in entries), None)
        if name is None:
            return context
        if entries[name].mode == _LINK:
            raise EscapeError(name, self._target(entries[name]), "the build context, where only a file is read")
        patterns = ignore.read_patterns(
            self._tree.read(entries[name].oid, limit=_MAX_IGNORE).decode("utf-8", "surrogateescape")
        )
        kept = (dockerfile, name)
        return self._file_set([e for e in context.entries if e.path in kept or not patterns.ignores(e.path)])

    def _file_set(self, entries: list[FileEntry]) -> FileSet:
        tree = digest_of([[entry.path, entry.mode, entry.oid] for entry in entries])
        return FileSet(tree=tree, entries=tuple(entries), commit=self._tree.commit, repository=self.repository)

    def _at(self, path: str) -> list[FileEntry]:
        if not path:
            return self.entries
        if (entry := self._by_path.get(path)) is not None:
            if is_pointer(self._tree, entry):
                raise MissingPathError("is kept in Git LFS, so that this commit holds a pointer to it", POINTER_REMEDY)
            return [entry]
        if not (below := self._below(path)):
            raise self._missing(path)
        return below

    def _missing(self, path: str) -> MissingPathError:
        if path in self._modules:
            return MissingPathError("is a submodule, whose files are not in this commit", SUBMODULE_REMEDY)
        above = (path[:at] for at, character in enumerate(path[:_LONGEST_PATH]) if character == "/")
        if (module := next((each for each in above if each in self._modules), None)) is not None:
            where = f'lies in the submodule "{printable(module)}", whose files are not in this commit'
            return MissingPathError(where, SUBMODULE_REMEDY)
        return MissingPathError("is not in this commit" + self._hint(path))

    def _count(self, path: str) -> int:
        return bisect_left(self._paths, path + "0") - bisect_left(self._paths, path) if path else len(self.entries)

    def _below(self, directory: str) -> list[FileEntry]:
        # "0" is the character after "/": every path below the directory sorts between the two.
        start = bisect_left(self._paths, directory + "/")
        return self.entries[start : bisect_left(self._paths, directory + "0")]

    def _hint(self, path: str) -> str:
        """Return a suggestion from the names beside the first part of a path that does not exist."""
        if "*" in path or "?" in path:
            return "; patterns are not supported: name a directory"
        parent, rest = "", path[:_LONGEST_PATH].split("/")
        while len(rest) > 1 and self.is_directory(posixpath.join(parent, rest[0])):
            parent = posixpath.join(parent, rest.pop(0))
        return did_you_mean(posixpath.join(parent, rest[0]), self._names_in(parent))

    def _names_in(self, parent: str) -> Iterator[str]:
        """Yield what there is in a directory; nothing is done unless it is asked for."""
        start = len(parent) + 1 if parent else 0
        below = self._below(parent) if parent else self.entries
        yield from sorted({posixpath.join(parent, entry.path[start:].partition("/")[0]) for entry in below[:10_000]})

    def _refuse_escapes(self, entries: Iterable[FileEntry], root: str) -> None:
        entries = list(entries)
        _refuse_unfit_names(entries, self._by_path)
        for entry in entries:
            if entry.mode == _LINK and self._leads_out(entry, root):
                raise EscapeError(entry.path, self._target(entry), root)

    def _target(self, entry: FileEntry) -> str:
        return self._tree.read(entry.oid, limit=_MAX_TARGET).decode("utf-8", "surrogateescape")

    def _leads_out(self, link: FileEntry, root: str) -> bool:
        """Return whether the way from a link to its target leaves ``root`` at any point.

        Goes part by part, because ``link/..`` is the parent of what the link points to. Links are counted over the
        whole way, as the kernel does: ``a -> a/a`` would otherwise take 2^40 steps. A way with too many leads nowhere.
        """
        floor = root.count("/") + 1 if root else 0
        here = link.path.split("/")[:-1]
        ahead = self._parts(link)
        hops = 0
        while ahead:
            part = ahead.pop()
            self._link_parts -= 1
            if self._link_parts < 0:
                raise UnfitNameError(link.path, _TOO_MANY_LINKS)
            entry = self._by_path.get("/".join([*here, part]))
            if part == _ROOT or (part == ".." and len(here) <= floor):
                return True
            if part == "..":
                here.pop()
            elif entry is not None and entry.mode == _LINK:
                hops += 1
                if hops > _MAX_HOPS:
                    return False
                ahead += self._parts(entry)
            elif part not in ("", "."):
                here.append(part)
        return False

    def _parts(self, link: FileEntry) -> list[str]:
        """Return the parts of a link's target, the last one first; an absolute one begins at ``_ROOT``."""
        target = self._target(link)
        parts = target.split("/")
        if target.startswith("/"):
            parts[0] = _ROOT
        return parts[::-1]


def _refuse_unfit_names(entries: Sequence[FileEntry], by_path: Mapping[str, FileEntry]) -> None:
    """Make sure that a file system can hold the paths, and that none leads anywhere else.

    Git writes no such tree, but keeps one that somebody else wrote, and refuses to check it out (git-fsck(1)).

    Raises:
        UnfitNameError: one of them is unfit.
    """
    directories: set[str] = set()
    for entry in entries:
        path = entry.path
        if (found := _UNFIT.search(path)) is not None:
            raise UnfitNameError(path, f'has a part "{found[1]}", which no file may be called')
        if len(path) > _LONGEST_NAME // 4:
            parts = path.encode("utf-8", "surrogateescape").split(b"/")
            if max(map(len, parts)) > _LONGEST_NAME:
                raise UnfitNameError(path, f"has a part of more than {_LONGEST_NAME} bytes")
            if sum(map(len, parts)) + len(parts) > _LONGEST_PATH:
                raise UnfitNameError(path, f"has more than {_LONGEST_PATH} bytes")
        directories.add(path.rpartition("/")[0])
    for directory in directories:
        for end in (*(at for at, char in enumerate(directory) if char == "/"), len(directory)):
            if directory[:end] in by_path:
                raise UnfitNameError(directory[:end], "is a file and a directory at once")


def normal(path: str) -> str:
    """Return a repository path without ``.`` parts, doubled or trailing slashes; "" for the root."""
    clean = posixpath.normpath(path)
    return "" if clean == "." else clean
