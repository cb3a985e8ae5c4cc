"""The instance: a short name under which one repository's jobs and images are known as its own.

Two controllers for two repositories must never touch each other's jobs, and one repository must give the same name by
whichever address it is reached. Does not belong here: how the name is used in tags.
"""

from __future__ import annotations

import ipaddress
import posixpath
import re
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

from controller.model.digests import digest_of
from controller.model.errors import ConfigurationError
from controller.repository.url import RemoteUrl, is_loopback, parse_url

SLUG = 11
HEX = 8
_ALIASES = {
    "ssh.github.com": "github.com",
    "altssh.gitlab.com": "gitlab.com",
    "altssh.bitbucket.org": "bitbucket.org",
}
"""Second names of Git hosts for SSH over the port of HTTPS, by the hosts' own manuals."""


def instance_of(url: str, path: str = "", branch: str = "") -> str:
    """Return ``<slug>-<8 hex>``, at most 20 characters of a-z, 0-9 and dashes.

    The same for every form of one address: ``ssh://``, ``host:path`` and ``https://``, with or without user name,
    default port, ``.git`` or a trailing slash. ``path`` is the sub-directory that holds the specs. ``branch`` is only
    given for a second instance of one repository. Names are kept for years: the results must never change.

    Raises:
        ConfigurationError: the address has no known form.
    """
    where = _where(parse_url(url))
    inside = posixpath.normpath("/" + path).strip("/")
    name = inside.rsplit("/", 1)[-1] if inside else where.rsplit("/", 1)[-1]
    slug = re.sub(r"[^a-z0-9]+", "-", name.removesuffix(".git").lower()).strip("-")[:SLUG].strip("-")
    parts = [where, inside, branch] if branch else [where, inside]
    return f"{slug or 'repo'}-{digest_of(parts)[:HEX]}"


def same_repository(one: str, other: str) -> bool:
    """Return whether two addresses are certain to be spellings of one repository's.

    Wider than ``instance_of``, whose names must not change: letter case, percent-encoding, ports of different
    protocols, forms of ``~``, short host names, ``www.`` and second names of Git hosts play no part either.
    """
    if one == other:
        return True
    try:
        first, second = parse_url(one), parse_url(other)
    except ConfigurationError:
        return False
    if _where(first) == _where(second):
        return True
    if first.is_path or second.is_path:
        return False
    if (first.scheme == "ssh") == (second.scheme == "ssh") and _port(first) != _port(second):
        return False
    return _same_host(_host(first.host), _host(second.host)) and _path(first) == _path(second)


def _same_host(one: str, other: str) -> bool:
    if one == other:
        return True
    short, long = sorted((one, other), key=len)
    return "." not in short and ":" not in short and long.partition(".")[0] == short and not long[-1:].isdigit()


def _host(host: str) -> str:
    host = host.removeprefix("www.")
    with suppress(UnicodeError):
        host = host.encode("idna").decode("ascii")
    with suppress(ValueError):
        host = str(ipaddress.ip_address(host))
    return "localhost" if is_loopback(host) else _ALIASES.get(host, host)


def _port(url: RemoteUrl) -> int | None:
    return None if url.host in _ALIASES else url.port


def _path(url: RemoteUrl) -> str:
    """Return the path on the server: Git hosts take one below the account's home and one below the root as the same."""
    path = url.path if url.scp else unquote(url.path)
    path = posixpath.normpath("/" + path.lstrip("/")).removesuffix(".git").strip("/")
    return path.removeprefix("~/").casefold()


def _where(url: RemoteUrl) -> str:
    """Return what all addresses of one repository have in common: ``host[:port]/path``, or a real path."""
    if url.is_path:
        real = Path(url.path).resolve()
        return str(real.parent if real.name == ".git" else real)
    host = f"{url.host}:{url.port}" if url.port is not None else url.host
    path = posixpath.normpath("/" + url.path.removeprefix("/~").lstrip("/")).removesuffix(".git").strip("/")
    return f"{host}/{path}"
