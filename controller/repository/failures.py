"""What can go wrong with a remote, in words: every error names the address, the cause and the remedy.

Belongs here: turning libgit2's messages into the project's errors. libgit2 gives no codes for most of them, so the
texts are matched; they are those of libgit2 1.9.7. What is not recognised is taken for transient: trying again does no
harm, and the message is shown. Does not belong here: deciding what to do next.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

import pygit2

from controller.model.errors import ControllerError, StalledError, TransientError
from controller.model.machine import fault_of, is_ours
from controller.repository.auth import AuthenticationFailed
from controller.repository.knownhosts import HostKeys
from controller.repository.url import RemoteUrl
from controller.specs.nearest import printable

_LATER = "tried again later. If it lasts, try 'git ls-remote' with this address on the controller's machine"


class Unreachable(TransientError):
    """No connection, or it broke."""

    def __init__(self, message: str) -> None:
        super().__init__("Unreachable", message)


class HostKeyRejected(StalledError):
    """The SSH server could not show a key that is known to be its own; nothing was sent to it."""

    def __init__(self, message: str) -> None:
        super().__init__("HostKeyRejected", message)


class CertificateRejected(StalledError):
    """The HTTPS server's certificate does not hold; nothing was sent to it."""

    def __init__(self, message: str) -> None:
        super().__init__("CertificateRejected", message)


class RepositoryNotFound(StalledError):
    """There is no repository at the address, or it does not show itself to this account."""

    def __init__(self, message: str) -> None:
        super().__init__("RepositoryNotFound", message)


class BranchNotFound(StalledError):
    """The repository has no such branch."""

    def __init__(self, message: str) -> None:
        super().__init__("BranchNotFound", message)


class SubdirectoryNotFound(StalledError):
    """The commit has no such directory."""

    def __init__(self, message: str) -> None:
        super().__init__("SubdirectoryNotFound", message)


class PushRefused(StalledError):
    """The server took the commit and refused it: a hook, a protected branch, a missing right.

    ``said`` is who refused what and why, without the remedy, which depends on what was to be pushed.
    """

    def __init__(self, message: str, said: str = "") -> None:
        super().__init__("PushRefused", message)
        self.said = said or message


class MirrorDamaged(TransientError):
    """The local copy cannot be read. It is only a cache: it has been set aside and is made again."""

    def __init__(self, message: str) -> None:
        super().__init__("MirrorDamaged", message)


_STATUS = re.compile(r"unexpected http status code: (\d{3})")
_MISSING = re.compile(
    r"does not appear to be a git repository|repository .*not found|could not find repository"
    r"|no such file or directory|project you were looking for could not be found|not a git repository",
    re.IGNORECASE | re.DOTALL,
)
_DENIED = re.compile(
    r"permission denied|access denied|authentication (?:failed|required)|failed to authenticate|not authorized"
    r"|too many redirects or authentication replays|deploy key|username does not match",
    re.IGNORECASE,
)


def translate(error: Exception, url: RemoteUrl, *, keys: HostKeys | None = None) -> ControllerError:
    """Return the project's error for what libgit2 raised while talking to ``url``."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, ControllerError):
        return error
    if is_ours(error) and (fault := fault_of(error)) is not None:
        return fault
    if isinstance(error, pygit2.CertificateError):
        return certificate_rejected(url, keys)
    status = _STATUS.search(text)
    if status:
        return _http_status(int(status[1]), url)
    if isinstance(error, pygit2.AuthError) or _DENIED.search(text):
        return AuthenticationFailed(f"{url.shown}: the server refused the log-in ({text})")
    if "not owned by current user" in text:
        return StalledError(
            "RepositoryNotOwned",
            f"{url.shown}: the repository belongs to another account; if you trust it:"
            f" git config --global --add safe.directory {url.shown}",
        )
    if _MISSING.search(text) or isinstance(error, pygit2.NotFoundError):
        return repository_not_found(url)
    return Unreachable(f"{url.shown}: {text}; {_LATER}")


def repository_not_found(url: RemoteUrl) -> RepositoryNotFound:
    """Return the error for an address with no repository behind it."""
    if url.is_path:
        return RepositoryNotFound(f"{url.shown}: there is no Git repository; check the path")
    return RepositoryNotFound(
        f"{url.shown}: the server has no such repository, or hides it from this account; check the path and the rights"
    )


def certificate_rejected(url: RemoteUrl, keys: HostKeys | None) -> ControllerError:
    """Return the error for a server that did not prove who it is, with what is known of it."""
    if url.scheme != "ssh" or keys is None:
        return CertificateRejected(
            f"{url.shown}: the server's certificate is not valid for it; nothing was sent. For an authority of your"
            " own, name its file in SSL_CERT_FILE"
        )
    port = f" -p {keys.port}" if keys.port != 22 else ""
    files = ", ".join(str(path) for path in keys.files if path.exists()) or ", ".join(map(str, keys.files))
    if keys.keys or keys.revoked:
        what = "is revoked or has changed" if keys.revoked else "has changed"
        return HostKeyRejected(
            f"{url.shown}: the host key of {keys.name} {what} since it was recorded in {files}; nothing was sent. It"
            " may be another machine that answers: ask who runs it, then remove the old entry with"
            f" ssh-keygen -R '{keys.name}' and record the new one"
        )
    hint = " (only a certificate authority is known, which libgit2 cannot use)" if keys.authorities else ""
    return HostKeyRejected(
        f"{url.shown}: the host key of {keys.name} is not known{hint} in {files}; nothing was sent. Compare the"
        f" output of ssh-keyscan{port} {keys.host} with what its owner publishes and add it to that file"
    )


def branch_not_found(url: RemoteUrl, branch: str | None, branches: Iterable[str]) -> BranchNotFound:
    """Return the error for a missing branch, with the nearest names."""
    names = sorted(branches)
    if not names:
        return BranchNotFound(f"{url.shown}: the repository has no branch yet; push a first commit")
    if branch is None:
        return BranchNotFound(
            f"{url.shown}: the repository's HEAD names no commit; name a branch, such as {_some(names)}"
        )
    near = difflib.get_close_matches(branch, names, n=3, cutoff=0.5)
    return BranchNotFound(
        f"{url.shown}: there is no branch '{branch}'; {'did you mean' if near else 'there are'}"
        f" {_some(near or names)}{'?' if near else ''}"
    )


def subdirectory_not_found(url: RemoteUrl, commit: str, path: str, siblings: Iterable[str]) -> SubdirectoryNotFound:
    """Return the error for a missing directory, with the nearest names beside it."""
    names = sorted(map(printable, siblings))
    near = difflib.get_close_matches(path.rsplit("/", 1)[-1], names, n=3, cutoff=0.5)
    hint = f"; did you mean {_some(near)}?" if near else f"; there are {_some(names)}" if names else ""
    return SubdirectoryNotFound(f"{url.shown}: commit {commit[:12]} has no directory '{path}'{hint}")


def push_refused(url: RemoteUrl, branch: str, reason: str, said: str) -> PushRefused:
    """Return the error for a push that the server refused, with what its hook printed."""
    words = " ".join(said.split())[:500]
    quoted = f': "{words}"' if words else ""
    what = f"{url.shown}: the server refused the push to {branch} ({reason}){quoted}"
    return PushRefused(f"{what}; allow this account to push there, or name another status branch", what)


def _http_status(status: int, url: RemoteUrl) -> ControllerError:
    if status in (401, 403, 407):
        return AuthenticationFailed(
            f"{url.shown}: the server refused the token (HTTP {status}); check that it is valid and may read and write"
        )
    if status in (404, 410):
        return repository_not_found(url)
    return Unreachable(f"{url.shown}: the server answered HTTP {status}; {_LATER}")


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(f"'{name}'" for name in names[:5]) + more
