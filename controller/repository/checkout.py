"""A branch that somebody has checked out: moved only together with the files, and only where nothing is lost.

A person who has no remote runs the commands in the very checkout that is the repository. There a change is committed
as ``git commit --only FILE`` would: the branch, the index and the file move together, and other changes in progress
stay as they are. Anybody else's checkout is left alone, as Git itself does (git-config, receive.denyCurrentBranch),
unless its owner has allowed ``updateInstead``. Does not belong here: what is committed, and remotes that are no paths.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pygit2
from pygit2.enums import CheckoutStrategy, FileStatus, RepositoryState

from controller.model.errors import StalledError
from controller.repository.failures import translate
from controller.repository.publish import Pushed, copy_commit
from controller.repository.url import RemoteUrl

_AS_IT_IS = frozenset({FileStatus.CURRENT, FileStatus.IGNORED})


def checkout_of(url: RemoteUrl, branch: str) -> pygit2.Repository | None:
    """Return the repository at a path by the work tree that has the branch checked out; None if there is none."""
    if not url.is_path:
        return None
    ref = f"refs/heads/{branch}".encode()
    try:
        there = pygit2.Repository(url.path)
        linked = [there.lookup_worktree(name).path for name in there.list_worktrees()]
        for path in (url.path, *(path for path in linked if Path(path).exists())):
            repository = pygit2.Repository(path)
            if not repository.is_bare and repository.references["HEAD"].raw_target == ref:
                return repository
    except (pygit2.GitError, KeyError, ValueError, OSError) as error:
        raise translate(error, url) from error
    return None


def may_commit(there: pygit2.Repository, directory: Path) -> bool:
    """Whether a command called in ``directory`` may move the branch that is checked out there."""
    work_tree = Path(there.workdir).resolve()
    if directory.resolve().is_relative_to(work_tree):
        return True
    config = there.config
    allowed = "receive.denyCurrentBranch" in config and str(config["receive.denyCurrentBranch"]).lower()
    return allowed == "updateinstead"


def not_here(url: RemoteUrl, branch: str, diff: str) -> StalledError:
    """Return the error for a branch that is checked out where the command was not called."""
    return StalledError(
        "BranchCheckedOut",
        f"{url.shown}: {branch} is checked out there, and its files would no longer fit it. Run the command in that"
        " checkout; or let it follow: git config receive.denyCurrentBranch updateInstead; or make this change by hand:"
        f"\n{diff}",
    )


def commit_in(
    there: pygit2.Repository, ours: pygit2.Repository, *, commit: str, branch: str, expected: str, paths: Iterable[str]
) -> Pushed:
    """Move a checked-out branch from ``expected`` to ``commit`` and bring ``paths`` in index and work tree along.

    Raises:
        StalledError: CheckoutBusy: a merge or the like is under way, or one of the files has changes not committed.
    """
    if there.state() != RepositoryState.NONE:
        raise _busy(there, "a merge, rebase or the like is under way there; end it first")
    for path in paths:
        if there.status_file(path) not in _AS_IT_IS:
            raise _busy(there, f"{path} has changes that are not committed; commit or stash them first")
    found = there.references[f"refs/heads/{branch}"]
    if str(found.target) != expected:
        return Pushed.MOVED
    copy_commit(ours.odb, there.odb, commit)
    try:
        found.set_target(commit, f"commit: {ours[commit].peel(pygit2.Commit).message.splitlines()[0]}")
    except (pygit2.GitError, ValueError, OSError):
        return Pushed.MOVED
    if paths:
        there.checkout_tree(  # type: ignore[no-untyped-call]
            there[commit],
            paths=list(paths),
            strategy=CheckoutStrategy.FORCE | CheckoutStrategy.DISABLE_PATHSPEC_MATCH,
        )
    return Pushed.ACCEPTED


def _busy(there: pygit2.Repository, why: str) -> StalledError:
    return StalledError("CheckoutBusy", f"{there.workdir}: {why}")


def shares_history(directory: Path, commits: Iterable[str]) -> bool:
    """Return whether a directory is inside a checkout whose repository holds any of the commits."""
    try:
        found = pygit2.discover_repository(str(directory))
        here = pygit2.Repository(found) if found is not None else None
        return here is not None and any(here.get(commit) is not None for commit in commits)
    except (pygit2.GitError, KeyError, ValueError, OSError):
        return False
