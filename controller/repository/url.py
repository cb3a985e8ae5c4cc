"""Where a repository is: the forms of a remote's address, and what of them may be shown.

First step of everything in this package. Belongs here: telling the forms apart and taking secrets out of them. Does
not belong here: connecting, or deciding which key or token is used.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from controller.model.errors import ConfigurationError

DEFAULT_PORTS = {"ssh": 22, "https": 443, "http": 80}
FORMS = "a path, file://, ssh://, git@host:path or https://"

_SCP = re.compile(r"(?:(?P<user>[^@/:\s]+)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^@/:\s\[\]]+):(?P<path>[^\s].*)")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteUrl:
    """One address, taken apart. ``repr`` shows no secret: the password is kept out of it."""

    scheme: str
    """``path``, ``ssh``, ``http`` or ``https``."""
    path: str
    """On this machine for ``path``, as the server wants it otherwise."""
    host: str = ""
    port: int | None = None
    user: str | None = None
    password: _Secret | None = None
    scp: bool = False
    """Given as ``host:path``: a path without a leading slash is relative to the account's home."""

    @property
    def is_path(self) -> bool:
        """Whether the repository is a directory of this machine."""
        return self.scheme == "path"

    @property
    def shown(self) -> str:
        """The address as messages and files show it: without user name and password."""
        return self._text(None)

    def connecting_as(self, user: str | None) -> str:
        """Return the address for libgit2: a user name for SSH, never a password."""
        return self._text(user)

    def _text(self, user: str | None) -> str:
        if self.is_path:
            return self.path
        at = f"{quote(user, safe='')}@" if user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.scp:
            return f"{at}{host}:{self.path}"
        port = f":{self.port}" if self.port is not None else ""
        return f"{self.scheme}://{at}{host}{port}{self.path}"


class _Secret(str):
    """Text that does not show itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def parse_url(text: str) -> RemoteUrl:
    """Take a remote's address apart. A path is made absolute against the working directory and may hold ``~``.

    Raises:
        ConfigurationError: the address has none of the forms (``UrlInvalid``). The message never holds a secret.
    """
    text = text.strip()
    if not text or any(ord(c) < 32 for c in text):
        raise _invalid("the repository's URL is empty or holds control characters")
    if _SCHEME.match(text):
        return _parse_schemed(text)
    scp = _SCP.fullmatch(text)
    if scp and not Path(text).exists():
        return _checked(
            RemoteUrl(scheme="ssh", host=_host(scp["host"]), user=scp["user"], path=scp["path"], scp=True, port=None)
        )
    return RemoteUrl(scheme="path", path=str(_directory(Path(text))))


def is_loopback(host: str) -> bool:
    """Return whether a host name can only be this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def may_be_here(host: str) -> bool:
    """Return whether a host may be this machine by any spelling, for refusals; ``is_loopback`` is for permissions.

    Names of this machine's own are not known here; a resolver that leads elsewhere here is not either.
    """
    name = host.lower().rstrip(".")
    if name in ("localhost", "localhost.localdomain") or name.endswith(".localhost") or name.startswith("ip6-"):
        return True
    with suppress(OSError):
        # 127.1, 2130706433, 0x7f.0.0.1: as resolvers read them.
        name = socket.inet_ntoa(socket.inet_aton(name))
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified


def _parse_schemed(text: str) -> RemoteUrl:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _invalid(f"the repository's URL does not parse; it must be {FORMS}") from None
    scheme = parts.scheme.lower()
    if scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise _invalid(f"file://{parts.hostname}/… names another machine; use ssh:// or https://")
        return RemoteUrl(scheme="path", path=str(_directory(Path(unquote(parts.path)))))
    scheme = {"git+ssh": "ssh", "ssh+git": "ssh"}.get(scheme, scheme)
    if scheme not in DEFAULT_PORTS:
        raise _invalid(f"{scheme}:// is not supported; use {FORMS}")
    if not parts.hostname or not parts.path.strip("/"):
        raise _invalid(f"{scheme}:// needs a host and a path, such as {scheme}://host/group/repository.git")
    if parts.query or parts.fragment:
        raise _invalid(f"{scheme}://{parts.hostname}{parts.path} must not have '?' or '#' in it")
    return _checked(
        RemoteUrl(
            scheme=scheme,
            host=_host(parts.hostname),
            port=None if port == DEFAULT_PORTS[scheme] else port,
            user=unquote(parts.username) if parts.username else None,
            password=_Secret(unquote(parts.password)) if parts.password else None,
            path=parts.path,
        )
    )


def _checked(url: RemoteUrl) -> RemoteUrl:
    """Refuse what a server or ssh could take for an option (CVE-2017-1000117)."""
    if url.host.startswith("-") or url.path.startswith("-") or (url.user or "").startswith("-"):
        raise _invalid(f"{url.shown}: host, user and path must not begin with '-'")
    return url


def _host(host: str) -> str:
    return host.strip("[]").rstrip(".").lower()


def _directory(path: Path) -> Path:
    """Find a local repository the way git does: ``x`` may also be ``x.git``."""
    path = path.expanduser().absolute()
    dotted = path.with_name(path.name + ".git") if path.name else path
    return dotted if not path.exists() and dotted.is_dir() else path


def _invalid(message: str) -> ConfigurationError:
    return ConfigurationError("UrlInvalid", message)
