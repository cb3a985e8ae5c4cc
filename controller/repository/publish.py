"""One commit made the tip of a branch on the remote, if and only if the branch still is where it was.

Forces nothing but the heartbeat, whose one commit is replaced. Over ssh and https the server compares. A path is a
directory of this machine, where the comparison is made here: libgit2's local transport does not compare, refuses
repositories with a work tree, and runs no hooks either. Does not belong here: what the commit holds, trying again.
"""

from __future__ import annotations

from contextlib import closing
from enum import Enum, auto
from pathlib import Path

import pygit2
from pygit2.enums import ObjectType

from controller.model.errors import ControllerError, StalledError
from controller.repository import cachedir
from controller.repository.auth import RemoteAuth
from controller.repository.committree import SUBMODULE, TREE, walk_raw
from controller.repository.failures import push_refused, translate
from controller.repository.remote import PUSH, Connection, connect
from controller.repository.url import RemoteUrl

OUTGOING = "refs/mirror/outgoing"


class Pushed(Enum):
    """How a push ended."""

    ACCEPTED = auto()
    MOVED = auto()
    """The branch is elsewhere by now: nothing was changed."""


def publish(
    repo: pygit2.Repository,
    url: RemoteUrl,
    auth: RemoteAuth,
    *,
    commit: str,
    branch: str,
    expected: str | None,
    replace: bool = False,
) -> Pushed:
    """Move ``branch`` on the remote from ``expected`` (None: there is no such branch) to ``commit``.

    With ``replace`` the branch is moved from wherever it is, by force: what it held is let go of.

    Raises:
        StalledError: PushRefused, or what connecting raises.
        TransientError: Unreachable; whether the push went through was looked up, and it had not.
    """
    if url.is_path:
        return _publish_here(repo, url, commit=commit, branch=branch, expected=expected, replace=replace)
    with closing(connect(repo, url, auth, PUSH)) as connection:
        return _publish_there(
            repo, url, auth, connection, commit=commit, branch=branch, expected=expected, replace=replace
        )


def _publish_there(
    repo: pygit2.Repository,
    url: RemoteUrl,
    auth: RemoteAuth,
    connection: Connection,
    *,
    commit: str,
    branch: str,
    expected: str | None,
    replace: bool,
) -> Pushed:
    if replace:
        expected = connection.there.branches.get(branch)
    if connection.there.branches.get(branch) != expected:
        return Pushed.MOVED
    failure: ControllerError | None = None
    repo.references.create(OUTGOING, commit, force=True)
    try:
        connection.push(f"{'+' if replace else ''}{OUTGOING}:refs/heads/{branch}")
    except ControllerError as error:
        failure = error
    finally:
        repo.references.delete(OUTGOING)
    if failure is None and not connection.rejections:
        return Pushed.ACCEPTED
    return _look_again(repo, url, auth, connection, failure, commit=commit, branch=branch, expected=expected)


def _look_again(
    repo: pygit2.Repository,
    url: RemoteUrl,
    auth: RemoteAuth,
    pushed: Connection,
    failure: ControllerError | None,
    *,
    commit: str,
    branch: str,
    expected: str | None,
) -> Pushed:
    """Tell a race from a refusal and from a lost answer by where the branch is now.

    Servers say neither in a way that could be relied on ("failed to update ref", "fetch first", "hook declined").
    """
    with closing(connect(repo, url, auth)) as looked:
        now = looked.there.branches.get(branch)
    if now == commit:
        return Pushed.ACCEPTED
    if now != expected:
        return Pushed.MOVED
    if failure is not None:
        raise failure
    reason = "; ".join(pushed.rejections.values())
    if "lock" in reason.lower():
        # Another push holds the ref's lock and has not moved it yet.
        return Pushed.MOVED
    raise push_refused(url, branch, reason, pushed.said)


def _publish_here(
    repo: pygit2.Repository, url: RemoteUrl, *, commit: str, branch: str, expected: str | None, replace: bool
) -> Pushed:
    ref = f"refs/heads/{branch}"
    try:
        there = pygit2.Repository(url.path)
        if not there.is_bare and there.raw_listall_references() and _checked_out(there, ref):
            raise push_refused(url, branch, "the branch is checked out there", "")
        found = there.references.get(ref)
        if replace:
            expected = None if found is None else str(found.target)
        if (None if found is None else str(found.target)) != expected:
            return Pushed.MOVED
        copy_commit(repo.odb, there.odb, commit)
    except (pygit2.GitError, KeyError, ValueError, OSError) as error:
        raise translate(error, url) from error
    try:
        if found is None:
            there.references.create(ref, commit)
        else:
            # libgit2 compares with the value that was read above before it writes.
            found.set_target(commit)
    except (pygit2.GitError, KeyError, ValueError, OSError) as error:
        now = pygit2.Repository(url.path).references.get(ref)
        if (None if now is None else str(now.target)) != expected or "lock" in str(error):
            return Pushed.MOVED
        raise StalledError(
            "PushRefused",
            f"{url.shown}: {branch} cannot be written ({error}); check the rights on that directory",
        ) from error
    if "receive.autogc" not in there.config or there.config.get_bool("receive.autogc"):
        cachedir.tidy(Path(there.path))
    there.free()
    return Pushed.ACCEPTED


def _checked_out(repo: pygit2.Repository, ref: str) -> bool:
    return repo.references["HEAD"].raw_target == ref.encode()


def copy_commit(ours: pygit2.Odb, theirs: pygit2.Odb, commit: str) -> None:
    """Copy what a commit adds, deepest first. Its parents are there already, or it has none."""
    kind, data = ours.read(commit)
    _copy_tree(ours, theirs, data.split(b"\n", 1)[0].removeprefix(b"tree ").decode("ascii"))
    theirs.write(kind, data)


def _copy_tree(ours: pygit2.Odb, theirs: pygit2.Odb, tree: str) -> None:
    if tree in theirs:
        return
    for mode, _, raw in walk_raw(ours, tree):
        oid = raw.hex()
        if mode == TREE:
            _copy_tree(ours, theirs, oid)
        elif mode != SUBMODULE and oid not in theirs:
            theirs.write(ObjectType.BLOB, ours.read(oid)[1])
    theirs.write(ObjectType.TREE, ours.read(tree)[1])
