"""The past of a resource, as the commits of the status branch tell it.

Walks the branch from its tip and looks only at the ids of the files asked for: nothing is read where they stay the
same, so that ten thousand commits cost a second. Commits of other people are passed over as far as they change nothing
that can be read. Does not belong here: what is shown of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pygit2

from controller.model.conditions import ResourceStatus
from controller.repository.mirror import Mirror
from controller.repository.report import read_status


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusChange:
    """One file of the branch as one commit changed it; None where it was not there. ``time`` is ISO 8601 in UTC."""

    time: str
    commit: str
    spec_commit: str
    """The commit of the specs that it speaks of; "" if somebody else wrote it."""
    before: ResourceStatus | None
    after: ResourceStatus | None


def changes(mirror: Mirror, tip: str, paths: Sequence[str]) -> Iterator[StatusChange]:
    """Yield every change of any of these files, newest first, along first parents."""
    repo = mirror.repository()
    at: pygit2.Commit | None = repo[tip].peel(pygit2.Commit)
    found = _ids(at, paths)
    while at is not None:
        parent = _parent(repo, at)
        earlier = _ids(parent, paths)
        for path, now, then in zip(paths, found, earlier, strict=True):
            if now == then:
                continue
            before, after = _read(parent, path, then), _read(at, path, now)
            # A file that somebody broke says nothing, nor does the pass that mends it.
            if (before is None and then is not None) or (after is None and now is not None):
                continue
            yield StatusChange(
                time=datetime.fromtimestamp(at.commit_time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                commit=str(at.id),
                spec_commit=dict(at.message_trailers).get("Spec-Commit", ""),
                before=before,
                after=after,
            )
        at, found = parent, earlier


def _parent(repo: pygit2.Repository, commit: pygit2.Commit) -> pygit2.Commit | None:
    ids = commit.parent_ids
    return repo[ids[0]].peel(pygit2.Commit) if ids and ids[0] in repo else None


def _ids(commit: pygit2.Commit | None, paths: Sequence[str]) -> list[pygit2.Oid | None]:
    if commit is None:
        return [None] * len(paths)
    tree, found = commit.tree, list[pygit2.Oid | None]()
    for path in paths:
        try:
            found.append(tree[path].id)
        except KeyError:
            found.append(None)
    return found


def _read(commit: pygit2.Commit | None, path: str, oid: pygit2.Oid | None) -> ResourceStatus | None:
    if oid is None or commit is None:
        return None
    tree = commit.tree
    try:
        return read_status(path, lambda each: tree[each].peel(pygit2.Blob).data)
    except (ValueError, RecursionError):
        return None
