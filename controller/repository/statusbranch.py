"""The status branch: what the controller saw, pushed back as commits where people read.

Last step of a pass. An orphan branch that only the controller writes, and reads back where it knows less
(decisions/0066). One commit a pass at most, none when nothing changed, never a forced push. Files that are not in
``files`` or ``remove`` are left alone. Does not belong here: what the files say (report.py).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import pygit2

from controller.model.errors import TransientError
from controller.repository.committree import CommitTree
from controller.repository.mirror import Mirror
from controller.repository.publish import Pushed, publish
from controller.repository.treewriter import Changes, changes_of, write_tree

BRANCH = "controller/status"
RECORD = "controller.json"
"""File at the root that says whose branch it is (model/leases.py)."""
AUTHOR = ("controller", "controller@localhost")
FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteResult:
    """How a write ended: the new commit's id, None when nothing had changed; and how often it was tried again."""

    commit: str | None
    retries: int = 0


class StatusFiles(Mapping[str, bytes]):
    """The files of one commit of the status branch by path, each read when it is asked for."""

    def __init__(self, tree: CommitTree | None) -> None:
        """``tree`` None is a branch that does not exist: no files."""
        self._tree = tree
        self._oids: dict[str, str] | None = None

    @property
    def commit(self) -> str | None:
        """Id of the commit that is read, None when there is no status branch."""
        return None if self._tree is None else self._tree.commit

    def __getitem__(self, path: str) -> bytes:
        if self._tree is None:
            raise KeyError(path)
        return self._tree.read(self._index()[path])

    def __contains__(self, path: object) -> bool:
        return path in self._index()

    def __iter__(self) -> Iterator[str]:
        return iter(self._index())

    def __len__(self) -> int:
        return len(self._index())

    def _index(self) -> dict[str, str]:
        if self._oids is None:
            entries = self._tree.entries() if self._tree is not None else ()
            self._oids = {entry.path: entry.oid for entry in entries}
        return self._oids


class StatusBranch:
    """Reads and writes one status branch through a mirror."""

    def __init__(
        self,
        mirror: Mirror,
        branch: str = BRANCH,
        *,
        author: tuple[str, str] = AUTHOR,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
        max_retries: int = 8,
    ) -> None:
        """``author`` is name and address; ``jitter`` returns 0 to 1."""
        self._mirror = mirror
        self.branch = branch
        self._author = author
        self._now = now
        self._sleep = sleep
        self._jitter = jitter
        self._max_retries = max_retries

    def top_file(self, name: str) -> bytes | None:
        """Return one file at the root of the branch as of the mirror's last fetch, None where there is none."""
        tip = self._mirror.tip(self.branch)
        return None if tip is None else self._mirror.tree(tip).top_file(name)

    def read(self) -> StatusFiles:
        """Return the files as of the mirror's last fetch of this branch."""
        tip = self._mirror.tip(self.branch)
        return StatusFiles(None if tip is None else self._mirror.tree(tip))

    def write(
        self,
        files: Mapping[str, bytes],
        *,
        message: str,
        trailers: Mapping[str, str] | None = None,
        remove: Iterable[str] = (),
        check: Callable[[], None] = lambda: None,
        added: Callable[[str | None], Mapping[str, bytes]] = lambda tip: {},
    ) -> WriteResult:
        """Make the remote's branch hold ``files`` and not hold ``remove``, on top of whatever it holds now.

        ``added`` returns further files, made of what the branch's tip holds; it is called before each try.

        A branch that someone moved meanwhile is fetched and the files laid over its new tip; one that was deleted is
        begun again as an orphan. Without a change there is no commit and no push. ``check`` is called before each try,
        with the branch as it was last fetched; what it raises ends the write.

        Raises:
            ValueError: a path that is not one.
            StalledError: PushRefused, AuthenticationFailed, HostKeyRejected, …
            TransientError: Unreachable; StatusBranchBusy when it was moved every time.
        """
        remove = tuple(remove)
        for attempt in range(self._max_retries + 1):
            if attempt:
                self._sleep(self._wait_s(attempt))
                self._mirror.fetch(self.branch)
            check()
            changes = changes_of({**files, **added(self._mirror.tip(self.branch))}, remove)
            commit, outcome = self._attempt(changes, _message(message, trailers or {}))
            if commit is None or outcome is Pushed.ACCEPTED:
                return WriteResult(commit=commit, retries=attempt)
        raise TransientError(
            "StatusBranchBusy",
            f"{self._mirror.url.shown}: {self.branch} was moved by someone else {self._max_retries + 1} times in a row;"
            " only one controller should write it. Written with the next pass",
        )

    def _attempt(self, changes: Changes, message: str) -> tuple[str | None, Pushed]:
        mirror = self._mirror
        with mirror.writing() as repo:
            tip = mirror.tip(self.branch)
            base = None if tip is None else repo[tip].peel(pygit2.Tree).id
            tree = write_tree(repo, base, changes)
            if tree == base:
                return None, Pushed.ACCEPTED
            if tree is None:
                tree = repo.TreeBuilder().write()
            signature = pygit2.Signature(*self._author, int(self._now().timestamp()), 0)
            parents = [] if tip is None else [tip]
            commit = str(repo.create_commit(None, signature, signature, message, tree, parents))
            outcome = publish(repo, mirror.url, mirror.auth, commit=commit, branch=self.branch, expected=tip)
            if outcome is Pushed.ACCEPTED:
                repo.references.create(f"refs/heads/{self.branch}", commit, force=True)
            return commit, outcome

    def _wait_s(self, attempt: int) -> float:
        """Exponential, with full jitter: two controllers that collided once do not do so in step."""
        longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (attempt - 1))
        return float(longest * self._jitter())


def _message(message: str, trailers: Mapping[str, str]) -> str:
    lines = [f"{key}: {' '.join(value.split())}" for key, value in trailers.items()]
    return "\n\n".join(part for part in (message.strip(), "\n".join(lines)) if part) + "\n"
