"""What a checkout holds that the controller cannot know of: changes not committed, commits not pushed.

The controller reads a branch of the repository, never the files in front of a person. Only reads; says nothing where
the checkout is of another repository.
"""

from __future__ import annotations

from pathlib import Path

import pygit2
from pygit2.enums import FileStatus

from controller.model.digests import short
from controller.model.errors import ConfigurationError
from controller.repository.url import RemoteUrl, parse_url

_MOST_COMMITS = 1000


def unpublished(here: Path, url: RemoteUrl, *, branch: str, commit: str, path: str) -> list[str]:
    """Return a line for changes below ``path`` that are not committed, and one for commits that are not pushed.

    ``commit`` is what the controller reads of the branch. Empty where ``here`` is in no checkout of that repository.
    """
    try:
        found = pygit2.discover_repository(str(here))
        repository = pygit2.Repository(found) if found else None
        if repository is None or repository.is_bare or not _is_of(repository, url):
            return []
        return _said(repository, branch, commit, path)
    except (pygit2.GitError, KeyError, ValueError, OSError):
        # A courtesy: a checkout that cannot be read must not end the command.
        return []


def _said(repository: pygit2.Repository, branch: str, commit: str, path: str) -> list[str]:
    reads = f"the controller reads {branch} at {short(commit)}"
    lines = []
    if changed := _changed(repository, path):
        what = "1 file changed here is" if changed == 1 else f"{changed} files changed here are"
        lines.append(f"{what} not committed; {reads}")
    if ahead := _ahead(repository, commit):
        what = "1 commit here is" if ahead == 1 else f"{ahead} commits here are"
        lines.append(f"{what} not pushed; {reads}")
    return lines


def _is_of(repository: pygit2.Repository, url: RemoteUrl) -> bool:
    if url.is_path and Path(url.path).resolve() in (
        Path(repository.workdir).resolve(),
        Path(repository.path).resolve(),
    ):
        return True
    for remote in repository.remotes:
        try:
            known = parse_url(str(remote.url))
        except ConfigurationError:
            continue
        if (known.shown, known.path) == (url.shown, url.path):
            return True
    return False


def _changed(repository: pygit2.Repository, path: str) -> int:
    below = f"{path}/" if path else ""
    status = repository.status(untracked_files="normal")
    quiet = (FileStatus.CURRENT, FileStatus.IGNORED)
    return sum(name.startswith(below) and flags not in quiet for name, flags in status.items())


def _ahead(repository: pygit2.Repository, commit: str) -> int:
    """Return how many commits of HEAD neither a remote branch nor what the controller reads has."""
    if repository.head_is_unborn or str(repository.head.target) == commit:
        return 0
    walker = repository.walk(repository.head.target)
    known = [repository.references[name].peel(pygit2.Commit).id for name in _remote_branches(repository)]
    if commit in repository:
        known.append(pygit2.Oid(hex=commit))
    for each in known:
        walker.hide(each)
    return sum(1 for _ in zip(range(_MOST_COMMITS), walker, strict=False))


def _remote_branches(repository: pygit2.Repository) -> list[str]:
    return [name for name in repository.references if name.startswith("refs/remotes/") and not name.endswith("/HEAD")]
