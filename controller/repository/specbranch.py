"""The spec branch, written for a person: one commit in their name on top of whatever is newest, or none.

What should be is what Git says; so a command that changes it writes a commit like any other. Never forced: when
somebody else was faster, the change is made anew on top of theirs. Does not belong here: what is changed in a spec.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pygit2

from controller.model.errors import StalledError, TransientError
from controller.repository.author import Author
from controller.repository.checkout import checkout_of, commit_in, may_commit, not_here
from controller.repository.failures import PushRefused
from controller.repository.mirror import Mirror
from controller.repository.publish import Pushed, publish
from controller.repository.statusbranch import FIRST_WAIT_S, LONGEST_WAIT_S
from controller.repository.treewriter import changes_of, write_tree

Edit = Callable[[str], Mapping[str, bytes] | None]
"""Given the id of the newest commit, the files that are to change (none of them: an empty commit), by their paths from
the top of the repository; None where all is as wanted. Called again when the branch has moved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecCommit:
    """A commit on the spec branch. ``id`` None: it was only tried out."""

    id: str | None
    branch: str
    parent: str
    diff: str
    checkout: Path | None = None
    """The work tree that was brought along, if the branch was checked out in one."""


class SpecBranch:
    """Writes to one branch through a mirror."""

    def __init__(
        self,
        mirror: Mirror,
        branch: str | None,
        author: Callable[[], Author],
        *,
        directory: Path,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
        max_retries: int = 8,
    ) -> None:
        """``branch`` None is the one that the remote's HEAD names; ``directory`` is where the command was called.

        ``author`` is asked only once there is something to commit.
        """
        self._mirror = mirror
        self._branch = branch
        self._author = author
        self._directory = directory
        self._now = now
        self._sleep = sleep
        self._jitter = jitter
        self._max_retries = max_retries

    def change(
        self, edit: Edit, message: str | Callable[[], str], *, dry_run: bool = False, only_on: str | None = None
    ) -> SpecCommit | None:
        """Commit what ``edit`` wants and push it; None when it wants nothing.

        A ``message`` that depends on what the edit found is asked for after it.

        With ``only_on``, the commit is only made if that one is still the newest.

        Raises:
            StalledError: PushRefused, BranchCheckedOut, CheckoutBusy, BranchMoved, or what fetching raises.
            ConfigurationError: what ``author`` raises.
            TransientError: Unreachable; SpecBranchBusy when somebody was faster every time.
        """
        for attempt in range(self._max_retries + 1):
            if attempt:
                self._sleep(min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (attempt - 1)) * self._jitter())
            self._mirror.fetch(self._branch)
            tip = self._mirror.head(self._branch)
            if only_on is not None and tip != only_on:
                raise StalledError(
                    "BranchMoved",
                    f"{self._mirror.url.shown}: commit {tip[:12]} has come after {only_on[:12]}; look again",
                )
            branch = self._branch or self._mirror.default_branch()
            files = edit(tip)
            if files is None:
                return None
            diff = "".join(self._diff(tip, path, data) for path, data in sorted(files.items()))
            if dry_run:
                return SpecCommit(id=None, branch=branch, parent=tip, diff=diff)
            text = message if isinstance(message, str) else message()
            made, outcome = self._attempt(branch, tip, files, text, diff, self._author())
            if outcome is Pushed.ACCEPTED:
                return made
        raise TransientError(
            "SpecBranchBusy",
            f"{self._mirror.url.shown}: {branch} was moved by someone else {self._max_retries + 1} times in a row;"
            " nothing was changed, try again",
        )

    def _attempt(
        self, branch: str, tip: str, files: Mapping[str, bytes], message: str, diff: str, author: Author
    ) -> tuple[SpecCommit, Pushed]:
        mirror = self._mirror
        there = checkout_of(mirror.url, branch)
        if there is not None and not may_commit(there, self._directory):
            raise not_here(mirror.url, branch, diff)
        with mirror.writing() as repo:
            commit = self._commit(repo, tip, files, message, author)
            if there is not None:
                outcome = commit_in(there, repo, commit=commit, branch=branch, expected=tip, paths=sorted(files))
            else:
                try:
                    outcome = publish(repo, mirror.url, mirror.auth, commit=commit, branch=branch, expected=tip)
                except PushRefused as error:
                    by_hand = "bring this in the way the repository asks for (a merge request, say), with git apply"
                    raise PushRefused(f"{error.said}. Nothing was changed; {by_hand}:\n{diff}") from error
        work_tree = None if there is None else Path(there.workdir)
        return SpecCommit(id=commit, branch=branch, parent=tip, diff=diff, checkout=work_tree), outcome

    def _commit(
        self, repo: pygit2.Repository, tip: str, files: Mapping[str, bytes], message: str, author: Author
    ) -> str:
        base = repo[tip].peel(pygit2.Tree).id
        tree = write_tree(repo, base, changes_of(files), keep_modes=True)
        assert tree is not None, "files are only ever added or changed"
        now = int(self._now())
        signature = pygit2.Signature(author.name, author.email, now, time.localtime(now).tm_gmtoff // 60)
        return str(repo.create_commit(None, signature, signature, message.strip() + "\n", tree, [tip]))

    def _diff(self, tip: str, path: str, data: bytes) -> str:
        """Return a patch that ``git apply`` takes."""
        repo = self._mirror.repository()
        tree = repo[tip].peel(pygit2.Tree)
        old = repo[tree[path].id].peel(pygit2.Blob).data if path in tree else None
        patch = pygit2.Patch.create_from(old, data, old_as_path=path, new_as_path=path)
        return bytes(patch.data).decode("utf-8", "replace")
