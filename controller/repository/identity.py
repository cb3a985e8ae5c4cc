"""The instance: a short name under which one repository's jobs and images are known as its own.

Two controllers for two repositories must never touch each other's jobs, and one repository must give the same name by
whichever address it is reached. Does not belong here: how the name is used in tags.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from controller.model.digests import digest_of
from controller.repository.url import RemoteUrl, parse_url

SLUG = 11
HEX = 8


def instance_of(url: str, path: str = "") -> str:
    """Return ``<slug>-<8 hex>``, at most 20 characters of a-z, 0-9 and dashes.

    The same for every form of one address: ``ssh://``, ``host:path`` and ``https://``, with or without user name,
    default port, ``.git`` or a trailing slash. ``path`` is the sub-directory that holds the specs.

    Raises:
        ConfigurationError: the address has no known form.
    """
    where = _where(parse_url(url))
    inside = posixpath.normpath("/" + path).strip("/")
    name = inside.rsplit("/", 1)[-1] if inside else where.rsplit("/", 1)[-1]
    slug = re.sub(r"[^a-z0-9]+", "-", name.removesuffix(".git").lower()).strip("-")[:SLUG].strip("-")
    return f"{slug or 'repo'}-{digest_of([where, inside])[:HEX]}"


def _where(url: RemoteUrl) -> str:
    """Return what all addresses of one repository have in common: ``host[:port]/path``, or a real path."""
    if url.is_path:
        real = Path(url.path).resolve()
        return str(real.parent if real.name == ".git" else real)
    host = f"{url.host}:{url.port}" if url.port is not None else url.host
    path = posixpath.normpath("/" + url.path.removeprefix("/~").lstrip("/")).removesuffix(".git").strip("/")
    return f"{host}/{path}"
