"""The far side: one connection at a time to the repository that people push to.

Belongs here: connecting with time-outs, host keys and log-in; listing, fetching, pushing. Does not belong here: which
refs are wanted (mirror.py) and what is written (statusbranch.py).

libgit2 keeps its time-outs and the place of known_hosts for the whole process, so they are set, and the connection is
opened, under one lock.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pygit2
from pygit2.enums import CredentialType, FetchPrune

from controller.repository.auth import (
    AuthenticationFailed,
    RemoteAuth,
    check_scheme,
    offers,
    ssh_user,
    token_for,
)
from controller.repository.failures import repository_not_found, translate
from controller.repository.knownhosts import HostKeys, keys_of
from controller.repository.url import DEFAULT_PORTS, RemoteUrl, is_loopback

FETCH, PUSH = 0, 1
"""``GIT_DIRECTION_*`` of git2/net.h."""

BRANCHES, TAGS = "refs/heads/", "refs/tags/"
MAX_SAID = 4096
LOCAL = frozenset({4, 5, 9, 11, 14})
"""``GIT_ERROR_REFERENCE``, ``ZLIB``, ``ODB``, ``OBJECT`` and ``TREE`` of git2/errors.h."""

_opening = threading.RLock()


@dataclass(frozen=True, slots=True)
class Advertisement:
    """What a remote has: branch name to commit id, where its HEAD stands, the branch that it names, if told, and tags.

    A tag's id may be that of a tag object.
    """

    branches: Mapping[str, str] = field(default_factory=dict)
    head: str | None = None
    head_branch: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


class Connection(pygit2.RemoteCallbacks):
    """An open connection, and libgit2's callbacks for it.

    Whatever libgit2 raises while it talks to the server comes out as one of the errors in failures.py. Close it: pygit2
    ties callbacks and remote into a circle, and the connection would stay open until the next collection.
    """

    def __init__(self, url: RemoteUrl, auth: RemoteAuth) -> None:
        super().__init__()
        self._url = url
        self._auth = auth
        self._keys: HostKeys | None = None
        if url.scheme == "ssh":
            self._keys = keys_of(url.host, url.port or 22, auth.known_hosts_files())
        self._tried: list[str] = []
        self._offers = offers(url, auth, self._tried)
        self._token_given = False
        self._remote: pygit2.remotes.Remote | None = None
        self.there = Advertisement()
        self.rejections: dict[str, str] = {}
        """Ref of the remote to the reason why it was not updated."""
        self.said = ""
        """What the server's hooks printed."""

    def open(self, repo: pygit2.Repository, direction: int) -> None:
        """Connect and learn what the remote has. Called once."""
        address = self._url.connecting_as(ssh_user(self._url) if self._url.scheme == "ssh" else None)
        remote = repo.remotes.create_anonymous(address)
        with self._translating():
            with _opening, _settings(self._auth, self._keys):
                remote.connect(self, direction, proxy=self._proxy)
            listed = remote.list_heads(connect=False)
        heads = {ref.name: str(ref.oid) for ref in listed if ref.name}
        names = {ref.name: ref.symref_target for ref in listed if ref.name and ref.symref_target}
        self._remote = remote
        branches = {name.removeprefix(BRANCHES): oid for name, oid in heads.items() if name.startswith(BRANCHES)}
        head_branch = names.get("HEAD", "").removeprefix(BRANCHES) or None
        tags = {n.removeprefix(TAGS): oid for n, oid in heads.items() if n.startswith(TAGS) and not n.endswith("^{}")}
        self.there = Advertisement(branches, heads.get("HEAD"), head_branch, tags)

    def close(self) -> None:
        """Close the connection; what was learnt stays."""
        self._remote = None

    def fetch(self, refspecs: list[str]) -> None:
        """Fetch over the open connection.

        Raises:
            GitError: as libgit2 raised it, when it is the local object database that cannot be read.
        """
        assert self._remote is not None
        with self._translating(local=True):
            self._remote.fetch(refspecs, callbacks=self, proxy=self._proxy, prune=FetchPrune.NO_PRUNE)

    def push(self, refspec: str) -> None:
        """Push over the open connection; see ``rejections`` for the answer."""
        assert self._remote is not None
        with self._translating():
            self._remote.push([refspec], callbacks=self, proxy=self._proxy)

    @contextmanager
    def _translating(self, *, local: bool = False) -> Iterator[None]:
        try:
            yield
        except (pygit2.GitError, KeyError, ValueError, OSError) as error:
            # pygit2 raises KeyError, ValueError and OSError for some codes of libgit2, and UnicodeDecodeError (a
            # ValueError) when a server's progress text is cut in the middle of a character.
            if local and (isinstance(error, KeyError) or getattr(error, "error_class", 0) in LOCAL):
                raise
            raise translate(error, self._url, keys=self._keys) from error

    @property
    def _proxy(self) -> Literal[True] | None:
        """Proxies as configured or in the environment, but not to reach this machine."""
        return True if self._url.scheme in ("http", "https") and not is_loopback(self._url.host) else None

    def certificate_check(self, certificate: None, valid: bool, host: bytes) -> bool:
        """Keep to libgit2's verdict; pygit2 by default lets every SSH host key through."""
        return valid

    def credentials(
        self,
        url: str,
        username_from_url: str | None,
        allowed_types: CredentialType,
    ) -> pygit2.Username | pygit2.UserPass | pygit2.credentials.Keypair:
        """Offer each key, or the token, once: libgit2 asks again for as long as the server refuses."""
        shown = self._url.shown
        if self._url.scheme == "ssh":
            if allowed_types & CredentialType.USERNAME:
                return pygit2.Username(ssh_user(self._url))
            if not allowed_types & CredentialType.SSH_KEY:
                raise AuthenticationFailed(f"{shown}: the server takes no keys, only passwords; it must allow a key")
            for offer in self._offers:
                return offer
            raise AuthenticationFailed(
                f"{shown}: the server refused the log-in as {ssh_user(self._url)}; tried: {'; '.join(self._tried)}."
                " Add the public key to the account, or name another identity file"
            )
        if not _same_server(url, self._url):
            # libgit2 follows redirects, and asks here with the address that it was led to.
            raise AuthenticationFailed(
                f"{shown}: the server redirects to another one, which asks for a log-in; nothing was sent there."
                " Write the address that it redirects to"
            )
        if not allowed_types & CredentialType.USERPASS_PLAINTEXT:
            raise AuthenticationFailed(f"{shown}: the server takes no user name and token")
        if self._token_given:
            raise AuthenticationFailed(
                f"{shown}: the server refused the token; check that it is valid and may read and write"
            )
        self._token_given = True
        return token_for(self._url, self._auth)

    def push_update_reference(self, refname: str, message: str | None) -> None:
        """Remember a refusal: libgit2 raises nothing for it."""
        if message is not None:
            self.rejections[refname] = message

    def sideband_progress(self, string: str) -> None:
        """Keep what the server prints, up to a limit."""
        self.said = (self.said + string)[-MAX_SAID:]


def _same_server(asking: str, url: RemoteUrl) -> bool:
    """Return whether who asks for a log-in over http is the server that was written down."""
    try:
        parts = urlsplit(asking)
        scheme, host, port = parts.scheme.lower(), parts.hostname or "", parts.port
    except ValueError:
        return False
    ports = (port or DEFAULT_PORTS.get(scheme), url.port or DEFAULT_PORTS.get(url.scheme))
    return (scheme, host.lower()) == (url.scheme, url.host.lower()) and ports[0] == ports[1]


def connect(repo: pygit2.Repository, url: RemoteUrl, auth: RemoteAuth, direction: int = FETCH) -> Connection:
    """Open a connection for fetching or pushing. Whoever opens it closes it.

    Raises:
        StalledError: HostKeyRejected, CertificateRejected, AuthenticationFailed, RepositoryNotFound.
        TransientError: Unreachable.
    """
    check_scheme(url, auth)
    if url.is_path and not Path(url.path).is_dir():
        raise repository_not_found(url)
    connection = Connection(url, auth)
    connection.open(repo, direction)
    return connection


@contextmanager
def _settings(auth: RemoteAuth, keys: HostKeys | None) -> Iterator[None]:
    """Set libgit2's time-outs and give it a home whose known_hosts holds the keys of this host only."""
    pygit2.settings.server_connect_timeout = max(1, int(auth.connect_timeout_s * 1000))
    pygit2.settings.server_timeout = max(1, int(auth.timeout_s * 1000))
    if keys is None:
        yield
        return
    before = pygit2.settings.homedir
    with tempfile.TemporaryDirectory(prefix="controller-ssh-") as home:
        place = Path(home) / ".ssh"
        place.mkdir(mode=0o700)
        (place / "known_hosts").write_text(keys.file_text(), encoding="ascii", errors="replace")
        pygit2.settings.homedir = home
        try:
            yield
        finally:
            pygit2.settings.homedir = before or ""
