"""Other repositories than the specs': one mirror each, asked for refs in one exchange.

Belongs here: which log-in another repository may see, and from a branch, tag or commit id to a commit that is here.
Does not belong here: which repositories are wanted, or what is done when one does not answer.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pygit2

from controller.model.errors import ConfigurationError, ControllerError, StalledError
from controller.repository.auth import AuthenticationFailed, RemoteAuth
from controller.repository.committree import CommitTree
from controller.repository.mirror import Mirror
from controller.repository.remote import Advertisement, Connection, connect
from controller.repository.url import RemoteUrl, may_be_here, parse_url

_PINS = "refs/pins/"
"""A commit that was ever in force is kept by a ref of its own: a branch may move away from it."""
_FULL_ID = re.compile("[0-9a-f]{40}")


class RefNotFound(StalledError):
    """The repository has no such branch, tag or commit."""

    def __init__(self, message: str) -> None:
        super().__init__("RefNotFound", message)


class SourceRepository:
    """One repository that a spec names, mirrored below ``directory``."""

    def __init__(self, directory: Path, url: str, *, specs: RemoteUrl, auth: RemoteAuth) -> None:
        """``specs`` is where the specs come from, ``auth`` the log-in there.

        Raises:
            ConfigurationError: the address has no known form, or is one that a spec must not name.
        """
        self.url = parse_url(url)
        _check_place(self.url, specs)
        self._stranger = not _same_server(self.url, specs)
        name = sha256(self.url.shown.encode()).hexdigest()[:16]
        self._mirror = Mirror(directory / f"{name}.git", self.url, auth_for(self.url, specs, auth))

    def resolve(self, refs: Iterable[str]) -> dict[str, str | ControllerError]:
        """Return the commit of each ref ("" is the remote's HEAD), in one exchange, or why it cannot be had.

        A commit id that is here already needs no exchange.

        Raises:
            ControllerError: the repository could not be asked; see ``Mirror.fetch``.
        """
        wanted = sorted(set(refs))
        found: dict[str, str | ControllerError] = {}
        with self._mirror.writing() as repo:
            for ref in wanted:
                if _FULL_ID.fullmatch(ref) and _commit_of(repo, ref) is not None:
                    found[ref] = ref
            if missing := [ref for ref in wanted if ref not in found]:
                found |= self._ask(repo, missing)
            for commit in found.values():
                if isinstance(commit, str):
                    repo.references.create(_PINS + commit, commit, force=True)
        return found

    def tree(self, commit: str) -> CommitTree:
        """Return the files of a commit that ``resolve`` has returned, now or earlier.

        Raises:
            StalledError: CommitNotFound: the mirror was lost since.
        """
        return self._mirror.tree(commit)

    def holds(self, commit: str) -> bool:
        """Return whether a commit is here."""
        if not self._mirror.directory.exists():
            return False
        try:
            return _commit_of(self._mirror.repository(), commit) is not None
        except (pygit2.GitError, OSError):
            return False

    def _ask(self, repo: pygit2.Repository, refs: list[str]) -> dict[str, str | ControllerError]:
        with closing(self._connect(repo)) as connection:
            return self._ask_over(connection, repo, refs)

    def _ask_over(
        self, connection: Connection, repo: pygit2.Repository, refs: list[str]
    ) -> dict[str, str | ControllerError]:
        there = connection.there
        places = {ref: _place(ref, there) for ref in refs}
        fetched = {oid: f"+{name}:{_PINS}{oid}" for name, oid in filter(None, places.values())}
        specs = [spec for oid, spec in fetched.items() if _commit_of(repo, oid) is None]
        unknown = [ref for ref, place in places.items() if place is None and _FULL_ID.fullmatch(ref)]
        if unknown:
            # A commit that no ref stands on: not every server hands it out by its id, so all of it is fetched.
            specs = [f"+refs/{kind}/*:refs/all/{kind}/*" for kind in ("heads", "tags")]
        if specs:
            connection.fetch(specs)
            self._mirror.compact()
        found: dict[str, str | ControllerError] = {}
        for ref, place in places.items():
            oid = place[1] if place else ref
            commit = _commit_of(repo, oid) if _FULL_ID.fullmatch(oid) else None
            found[ref] = commit or self._not_found(ref, there)
        return found

    def _connect(self, repo: pygit2.Repository) -> Connection:
        try:
            return connect(repo, self.url, self._mirror.auth)
        except AuthenticationFailed as error:
            if self.url.scheme == "ssh" or not self._stranger:
                raise
            raise AuthenticationFailed(
                f"{self.url.shown}: the server asks for a log-in, and the token of the specs' repository is not sent to"
                " another server. Name the repository by its ssh:// address, or make it public"
            ) from error

    def _not_found(self, ref: str, there: Advertisement) -> RefNotFound:
        shown = self.url.shown
        if not ref:
            return RefNotFound(f"{shown}: its HEAD names no commit; name a branch or a tag in build.ref")
        if _FULL_ID.fullmatch(ref):
            return RefNotFound(f"{shown}: no branch or tag leads to the commit {ref}; check the id")
        near = difflib.get_close_matches(ref, [*there.branches, *there.tags], n=3, cutoff=0.5)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        if not hint and re.fullmatch("[0-9a-f]{7,39}", ref):
            hint = "; a commit id is written with all of its 40 digits"
        return RefNotFound(f"{shown}: there is no branch or tag {ref}{hint}")


def auth_for(url: RemoteUrl, specs: RemoteUrl, auth: RemoteAuth) -> RemoteAuth:
    """Return the log-in for a repository: a token goes to the server that it is meant for and to no other."""
    if _same_server(url, specs):
        return auth
    return replace(auth, username=None, token_file=None, token_env=None)


def _same_server(url: RemoteUrl, specs: RemoteUrl) -> bool:
    return (url.scheme, url.host, url.port) == (specs.scheme, specs.host, specs.port)


def _check_place(url: RemoteUrl, specs: RemoteUrl) -> None:
    """Keep specs that come from elsewhere away from what only this machine can read.

    Raises:
        ConfigurationError: the address leads to this machine and the specs' does not (``SourceNotAllowed``).
    """
    if _is_here(url) and not _is_here(specs):
        raise ConfigurationError(
            "SourceNotAllowed",
            f"{url.shown}: specs from {specs.shown} must not name a repository on the controller's own machine; push it"
            " to a server and name its address there",
        )


def _is_here(url: RemoteUrl) -> bool:
    return url.is_path or may_be_here(url.host)


def _place(ref: str, there: Advertisement) -> tuple[str, str] | None:
    """Return the full name and the object of what a ref names: HEAD, a full name, a branch before a tag."""
    if not ref:
        return ("HEAD", there.head) if there.head else None
    for prefix, names in (("refs/heads/", there.branches), ("refs/tags/", there.tags)):
        short = ref.removeprefix(prefix)
        if short in names:
            return prefix + short, names[short]
    return None


def _commit_of(repo: pygit2.Repository, oid: str) -> str | None:
    """Return the commit that an object is or, as a tag, leads to; None when it is not here or is something else."""
    found = repo.get(oid)
    if found is None:
        return None
    try:
        return str(found.peel(pygit2.Commit).id)
    except (pygit2.GitError, ValueError):
        return None
