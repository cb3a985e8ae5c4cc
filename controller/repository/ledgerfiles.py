"""The ledger on the status branch: ``ledger/<shard>/<part>.jsonl``, lines appended to, and an index of the parts.

The index names each part's blob, so that a part that was damaged, cut or lost by hand is seen, and is read from the
branch's history, which still has that blob. A part that nothing is left of is damaged for good: it is said which shard
that is, and left as it is. Belongs here: which bytes; not what follows from an entry (planning/recall.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pygit2
from pygit2.enums import SortMode

from controller.model.errors import StalledError
from controller.model.ledger import End, line_of, merged, read_end, shard_of
from controller.repository.mirror import Mirror

DIRECTORY = "ledger"
INDEX = f"{DIRECTORY}/index.json"
LINES_IN_PART = 500
_VERSION = 1
_PART = re.compile(rf"{DIRECTORY}/(?P<shard>[0-9a-f]{{2}})/(?P<number>[0-9]{{4,}})\.jsonl")
_BLOB = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part: the blob that the branch's tip has, the one that the index names, and its entries."""

    blob: str
    ends: tuple[End, ...]
    whole: bool = True
    """False: entries may be missing that neither the tip nor the history has."""
    changed: bool = False
    """Whether the tip has something else than what is to be there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRead:
    """What was read: the parts whose blobs were not known, and the paths of all."""

    parts: Mapping[str, Part] = field(default_factory=dict)
    paths: frozenset[str] = frozenset()

    @property
    def ends(self) -> list[End]:
        """All entries that were read."""
        return [end for part in self.parts.values() for end in part.ends]

    @property
    def damaged(self) -> dict[str, str]:
        """Return each shard of which entries may be missing, and the part that is damaged."""
        return {path.split("/")[1]: path for path, part in sorted(self.parts.items()) if not part.whole}


class LedgerFiles:
    """Reads and lays out the ledger of one commit of the status branch; ``commit`` None is no branch."""

    def __init__(self, mirror: Mirror, commit: str | None) -> None:
        self._commit = commit
        self._repo = mirror.repository() if commit is not None else None
        self._there = self._blobs()
        self._indexed = False
        """Whether the commit's own index can be read."""
        self._index = self._read_index()

    def read(self, known: Mapping[str, str]) -> LedgerRead:
        """Return the parts that are not ``known`` by the blob that they have (path -> blob)."""
        paths = self._index.keys() | self._there.keys()
        parts = {
            path: self._part(path, known)
            for path in sorted(paths)
            if (blob := self._there.get(path)) is None or blob != known.get(path) or blob != self._index.get(path)
        }
        return LedgerRead(parts=parts, paths=frozenset(paths))

    def with_ends(self, ends: Iterable[End], known: Mapping[str, str], *, accept: bool) -> dict[str, bytes]:
        """Return the files that add entries to what the commit has, and make damaged parts whole; none if none differ.

        With ``accept`` what is left of a part that cannot be made whole counts as all of it.
        """
        files: dict[str, bytes] = {}
        index = dict(self._index)
        closed = set()
        for path, part in self.read(known).parts.items():
            if not part.whole and not accept:
                closed.add(path)
            elif part.changed or not part.whole:
                files[path] = _text(map(line_of, part.ends))
        by_shard: dict[str, list[End]] = {}
        for end in ends:
            by_shard.setdefault(shard_of(end.run.job), []).append(end)
        for shard, some in sorted(by_shard.items()):
            self._append(shard, some, files, closed)
        for path, data in files.items():
            index[path] = str(pygit2.hash(data))
        index |= {path: blob for path, blob in self._there.items() if path not in index}
        if index and (index != self._index or not self._indexed):
            files[INDEX] = _index_text(index)
        return files

    def _append(self, shard: str, ends: list[End], files: dict[str, bytes], closed: set[str]) -> None:
        paths = sorted(path for path in self._there.keys() | self._index.keys() | files.keys() if _shard(path) == shard)
        number = int(paths[-1].rpartition("/")[2].removesuffix(".jsonl")) if paths else 0
        last = part_path(shard, number)
        old: list[str] = []
        if last not in closed:
            data = files[last] if last in files else self._content(self._there.get(last))
            old = (data or b"").decode("ascii", "replace").splitlines()
        if last in closed or len(old) >= LINES_IN_PART:
            number, old = number + (1 if paths else 0), []
        # Another controller may have entered the same ends meanwhile, in words of its own.
        known, _ = _entries("\n".join(old).encode())
        there = {line_of(end) for end in known}
        new = {line_of(end) for end in merged([*ends, *known]).values()} - there
        lines = [*old, *sorted(new)]
        for start in range(0, len(lines), LINES_IN_PART):
            path = part_path(shard, number + start // LINES_IN_PART)
            data = _text(lines[start : start + LINES_IN_PART])
            if data != self._content(self._there.get(path)):
                files[path] = data

    def _part(self, path: str, known: Mapping[str, str]) -> Part:
        blob, meant = self._there.get(path), self._index.get(path)
        now, then = self._content(blob), self._content(meant)
        found, sound = _entries(now or b"")
        if blob == meant:
            return Part(blob=blob or "", ends=tuple(found), whole=sound)
        if then is not None:
            before, _ = _entries(then)
            return Part(blob=blob or "", ends=_union(before, found), changed=True)
        # Nothing names it, or what is named is nowhere: the journal may know all that was in it.
        whole = sound if meant is None else known.get(path) == meant
        return Part(blob=blob or "", ends=tuple(found), whole=whole, changed=meant is not None)

    def _blobs(self) -> dict[str, str]:
        """Return path -> blob of the parts at the tip."""
        found: dict[str, str] = {}
        for shard in self._top():
            for entry in shard if isinstance(shard, pygit2.Tree) else ():
                path = f"{DIRECTORY}/{shard.name}/{entry.name}"
                if isinstance(entry, pygit2.Blob) and _PART.fullmatch(path):
                    found[path] = str(entry.id)
        return found

    def _top(self) -> list[pygit2.Object]:
        """Return what is in the directory itself."""
        if self._repo is None or self._commit is None:
            return []
        tree = self._repo[self._commit].peel(pygit2.Tree)
        top = _entry(tree, DIRECTORY)
        return list(top) if isinstance(top, pygit2.Tree) else []

    def _read_index(self) -> dict[str, str]:
        """Return path -> blob as the newest index says that can be read: the tip's, or an earlier commit's."""
        if self._repo is None or self._commit is None:
            return {}
        seen = set()
        for commit in self._repo.walk(self._repo[self._commit].id, SortMode.TOPOLOGICAL):
            entry = _entry(commit.tree, INDEX)
            if isinstance(entry, pygit2.Blob) and entry.id not in seen:
                seen.add(entry.id)
                try:
                    found = _index(entry.data)
                except ValueError:
                    continue
                self._indexed = str(commit.id) == self._commit
                return found
        return {}

    def _content(self, blob: str | None) -> bytes | None:
        """Return a blob's bytes; None where this repository has none of that id."""
        if self._repo is None or blob is None or blob not in self._repo:
            return None
        found = self._repo[blob]
        return bytes(found.data) if isinstance(found, pygit2.Blob) else None


def ledger_tree(mirror: Mirror, commit: str | None) -> str:
    """Return the id of the ledger's directory in a commit, "" where there is none: equal ids, equal ledgers."""
    if commit is None:
        return ""
    found = _entry(mirror.repository()[commit].peel(pygit2.Tree), DIRECTORY)
    return "" if found is None else str(found.id)


def _entry(tree: pygit2.Tree, path: str) -> pygit2.Object | None:
    try:
        return tree[path]
    except KeyError:
        return None


def part_path(shard: str, number: int) -> str:
    """Return the path of a part."""
    return f"{DIRECTORY}/{shard}/{number:04}.jsonl"


def _shard(path: str) -> str:
    return path.split("/")[1]


def _entries(data: bytes) -> tuple[list[End], bool]:
    """Return the entries in a part, and whether every line is one and the last is complete."""
    found, sound = [], not data or data.endswith(b"\n")
    for line in data.split(b"\n"):
        if line:
            try:
                found.append(read_end(line.decode("ascii")))
            except ValueError:
                sound = False
    return found, sound


def _union(*entries: Iterable[End]) -> tuple[End, ...]:
    return tuple(merged(end for some in entries for end in some).values())


def _text(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def _index(data: bytes) -> dict[str, str]:
    """Read an index.

    Raises:
        ValueError: it is none.
        StalledError: a later version wrote it (``LedgerTooNew``).
    """
    try:
        document = json.loads(data)
        parts, version = document["parts"], document["version"]
        if isinstance(version, int) and version > _VERSION:
            raise StalledError(
                "LedgerTooNew",
                f"the ledger of the status branch was written by a later version of the controller (version {version} "
                f"of its format, this program knows {_VERSION}): upgrade",
            )
        if not all(_PART.fullmatch(path) and _BLOB.fullmatch(blob) for path, blob in parts.items()):
            raise ValueError("a part of it has no usable name or id")
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"no index of the ledger: {error!r}") from error
    return dict(parts)


def _index_text(parts: Mapping[str, str]) -> bytes:
    rows = ",\n".join(f'  "{path}": "{blob}"' for path, blob in sorted(parts.items()))
    return f'{{"version": {_VERSION}, "parts": {{\n{rows}\n}}}}\n'.encode("ascii")
