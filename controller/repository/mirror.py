"""The mirror: a bare local copy of the refs that are needed from one remote.

Everything that is read of a repository is read here, after one ``fetch`` at the start of a pass. It is only a cache: a
mirror that is damaged, or of another address, is set aside and made again. Does not belong here: specs, or what the
status branch says.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pygit2
from pygit2.enums import ObjectType, SortMode

from controller.model.errors import StalledError
from controller.model.machine import fault_of, is_ours
from controller.repository import cachedir
from controller.repository.auth import RemoteAuth
from controller.repository.committree import TREE, CommitTree, walk_raw
from controller.repository.failures import MirrorDamaged, branch_not_found, subdirectory_not_found
from controller.repository.remote import Advertisement, connect
from controller.repository.url import RemoteUrl, parse_url

HEAD_REF = "refs/mirror/HEAD"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitInfo:
    """What a person wants to know of a commit."""

    id: str
    subject: str
    author: str
    email: str
    time: str
    """When it was committed, ISO 8601 in UTC."""
    trailers: Mapping[str, str]
    parents: tuple[str, ...]


class Mirror:
    """A bare mirror of one remote in ``directory``. Safe to read from several threads; fetches take turns."""

    def __init__(self, directory: Path, url: str | RemoteUrl, auth: RemoteAuth | None = None) -> None:
        """Nothing is opened or made yet. ``url`` must be absolute if it is a path.

        Raises:
            ConfigurationError: the address has no known form.
        """
        self.directory = Path(directory).absolute()
        self.url = url if isinstance(url, RemoteUrl) else parse_url(url)
        self.auth = auth or RemoteAuth()
        self._handles = threading.local()
        self._generation = 0
        self._branches: frozenset[str] | None = None
        self._there = Advertisement()

    def fetch(self, *branches: str | None) -> None:
        """Bring the named branches up to date; None is the remote's HEAD. Branches gone from the remote go here too.

        A branch that the remote does not have is no error here: ``head`` says so. When nothing has moved, this is one
        exchange with the server. Forced moves are followed.

        Raises:
            StalledError: HostKeyRejected, CertificateRejected, AuthenticationFailed, RepositoryNotFound.
            TransientError: Unreachable, MirrorBusy, MirrorDamaged.
        """
        with suppress(MirrorDamaged):
            return self._fetch(branches)
        # Only here, where the error and its frames are gone: libgit2 keeps an open pack by its path, and would take
        # the damaged one for the new one of the same name.
        return self._fetch(branches)

    def _fetch(self, branches: tuple[str | None, ...]) -> None:
        with self.writing() as repo, closing(connect(repo, self.url, self.auth)) as connection:
            there = connection.there
            self._branches, self._there = frozenset(there.branches), there
            self._drop_vanished(repo, there)
            tips = {branch: there.head if branch is None else there.branches.get(branch) for branch in branches}
            specs = [
                f"+{'HEAD' if branch is None else _ref(branch)}:{_ref(branch)}"
                for branch, oid in tips.items()
                if oid is not None and not _holds(repo, _ref(branch), oid)
            ]
            if specs:
                connection.fetch(specs)
                self.compact()

    def head(self, branch: str | None = None) -> str:
        """Return the id of the commit at a branch's tip as of the last fetch; None is the remote's HEAD.

        Raises:
            StalledError: BranchNotFound.
        """
        tip = self.tip(branch)
        if tip is None:
            raise branch_not_found(self.url, branch, self._known_branches())
        return tip

    def tip(self, branch: str | None) -> str | None:
        """Return what ``head`` returns, or None where there is no such branch."""
        if not self.directory.exists():
            return None
        with self._reading() as repo:
            reference = repo.references.get(_ref(branch))
            return None if reference is None else str(reference.target)

    def has_branch(self, branch: str) -> bool:
        """Return whether the remote has a branch, as of the last fetch."""
        return branch in self._known_branches()

    def default_branch(self) -> str:
        """Return the name of the branch that the remote's HEAD stands for, as of the last fetch.

        Raises:
            StalledError: BranchNotFound: it names none, or the server does not tell and several are in its place.
        """
        there = self._there
        if there.head_branch in there.branches:
            return str(there.head_branch)
        same = [name for name, oid in there.branches.items() if oid == there.head]
        if len(same) != 1:
            raise branch_not_found(self.url, None, self._known_branches())
        return same[0]

    def tree(self, commit: str, path: str = "") -> CommitTree:
        """Return a commit's files below ``path``.

        Raises:
            StalledError: SubdirectoryNotFound, CommitNotFound.
            TransientError: MirrorDamaged.
        """
        with self._reading() as repo:
            at: pygit2.Oid = self._commit(repo, commit).tree_id
            for depth, name in enumerate(parts := _parts(path)):
                rows = {
                    raw.decode("utf-8", "surrogateescape"): oid
                    for mode, raw, oid in walk_raw(repo.odb, at)
                    if mode == TREE
                }
                if name not in rows:
                    missing = "/".join(parts[: depth + 1])
                    raise subdirectory_not_found(self.url, commit, missing, rows)
                at = pygit2.Oid(raw=rows[name])
            return CommitTree(self._reading, commit, at)

    def is_ancestor(self, ancestor: str, commit: str) -> bool:
        """Return whether ``commit`` is ``ancestor`` or descends from it; False when either is not here."""
        with self._reading() as repo:
            if not all(_is_commit(repo, oid) for oid in (ancestor, commit)):
                return False
            return ancestor == commit or repo.descendant_of(commit, ancestor)

    def count_after(self, ancestor: str, commit: str) -> int | None:
        """Return how many commits lead from ``ancestor`` to ``commit``; None when none does, or either is not here."""
        if not self.is_ancestor(ancestor, commit):
            return None
        with self._reading() as repo:
            return int(repo.ahead_behind(commit, ancestor)[0])

    def newest(self, commit: str, count: int) -> list[str]:
        """Return a commit and those before it, at most ``count`` in all, newest first.

        Raises:
            StalledError: CommitNotFound.
            TransientError: MirrorDamaged.
        """
        with self._reading() as repo:
            walker = repo.walk(self._commit(repo, commit).id, SortMode.TOPOLOGICAL | SortMode.TIME)
            return [str(found.id) for found in islice(walker, count)]

    def commit_info(self, commit: str) -> CommitInfo:
        """Return who wrote a commit, when, and its first line and trailers.

        Raises:
            StalledError: CommitNotFound.
            TransientError: MirrorDamaged.
        """
        with self._reading() as repo:
            found = self._commit(repo, commit)
            text = found.raw_message.decode("utf-8", "replace")
            return CommitInfo(
                id=str(found.id),
                subject=text.strip().split("\n", 1)[0],
                author=found.author.raw_name.decode("utf-8", "replace"),
                email=found.author.raw_email.decode("utf-8", "replace"),
                time=datetime.fromtimestamp(found.commit_time, UTC).isoformat(),
                trailers=dict(found.message_trailers),
                parents=tuple(str(oid) for oid in found.parent_ids),
            )

    def repository(self) -> pygit2.Repository:
        """Return this thread's handle on the mirror: libgit2's are not to be shared."""
        held: tuple[int, pygit2.Repository] | None = getattr(self._handles, "held", None)
        if held is None or held[0] != self._generation:
            if held is not None:
                # pygit2's repositories refer to themselves, and would keep packs open that are no longer there.
                held[1].free()
            held = (self._generation, pygit2.Repository(str(self.directory)))
            self._handles.held = held
        return held[1]

    def reading(self) -> AbstractContextManager[pygit2.Repository]:
        """Lend this thread's handle, for what is read of the object database itself.

        Raises:
            TransientError: MirrorDamaged.
        """
        return self._reading()

    @contextmanager
    def writing(self) -> Iterator[pygit2.Repository]:
        """Hold the mirror for writing and yield a handle: writers take turns, also between processes.

        Raises:
            TransientError: MirrorBusy, MirrorDamaged.
        """
        with cachedir.held(self.directory):
            if cachedir.prepare(self.directory, self.url.shown):
                self._generation += 1
            with self._reading() as repo:
                yield repo

    def compact(self) -> None:
        """Let git pack what fetches have left behind, when it is much. Call while writing."""
        if cachedir.compact(self.directory):
            # The handles that are open hold the packs that are gone.
            self._generation += 1

    def _commit(self, repo: pygit2.Repository, oid: str) -> pygit2.Commit:
        if not _is_commit(repo, oid):
            raise StalledError(
                "CommitNotFound",
                f"{self.url.shown}: there is no commit {oid}; check the id, and that a branch still leads to it",
            )
        return repo[oid].peel(pygit2.Commit)

    @contextmanager
    def _reading(self) -> Iterator[pygit2.Repository]:
        """Yield a handle; an object that is missing or does not parse means that the cache is damaged."""
        try:
            yield self.repository()
        except (pygit2.GitError, KeyError, ValueError, OSError) as error:
            if is_ours(error) and (fault := fault_of(error)) is not None:
                raise fault from error
            self._generation += 1
            aside = cachedir.set_aside(self.directory)
            raise MirrorDamaged(
                f"{self.url.shown}: the local mirror {self.directory} cannot be read ({error}); it was moved to"
                f" {aside} and the next pass fetches it again"
            ) from error

    def _drop_vanished(self, repo: pygit2.Repository, there: Advertisement) -> None:
        """Prune first: a branch ``a`` that is gone would be in the way of a new branch ``a/b``."""
        for name in list(repo.references):
            if name.startswith("refs/heads/") and name.removeprefix("refs/heads/") not in there.branches:
                repo.references.delete(name)
        if there.head is None and HEAD_REF in repo.references:
            repo.references.delete(HEAD_REF)

    def _known_branches(self) -> frozenset[str]:
        if self._branches is not None or not self.directory.exists():
            return self._branches or frozenset()
        with self._reading() as repo:
            names = frozenset(repo.references)
        return frozenset(name.removeprefix("refs/heads/") for name in names if name.startswith("refs/heads/"))


def _ref(branch: str | None) -> str:
    return HEAD_REF if branch is None else f"refs/heads/{branch}"


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _holds(repo: pygit2.Repository, ref: str, oid: str) -> bool:
    """Return whether a ref is where it should be and its commit is really here."""
    reference = repo.references.get(ref)
    return reference is not None and str(reference.target) == oid and _is_commit(repo, oid)


def _is_commit(repo: pygit2.Repository, oid: str) -> bool:
    try:
        kind, _ = repo.odb.read_header(oid)
    except (KeyError, ValueError):
        return False
    return bool(kind == ObjectType.COMMIT)
