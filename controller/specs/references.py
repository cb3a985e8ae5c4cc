"""Names of images in registries, taken apart: ``docker://name:tag`` in all its short forms.

Follows the grammar of github.com/distribution/reference. Must not ask any registry.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SCHEME = "docker://"
HUB = "docker.io"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::[0-9]{{1,5}})?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"(?:(?P<host>{_HOST})/)?(?P<path>{_PART}(?:/{_PART})*)")
_REFERENCE = re.compile(
    r"(?P<name>[^@]+?)(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


class NotAReferenceError(ValueError):
    """Text that names no image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An image's name in full. ``str`` gives it as ``docker pull`` takes it, without a scheme."""

    host: str
    path: str
    tag: str | None = None
    digest: str | None = None

    @property
    def name(self) -> str:
        """Host and path."""
        return f"{self.host}/{self.path}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return self.name + (f"@{self.digest}" if self.digest else tag)


def reference_of(text: str) -> Reference:
    """Take a name apart; what is left out is filled in as Docker does: docker.io, library/, :latest.

    Raises:
        NotAReferenceError: it is none.
    """
    found = _REFERENCE.fullmatch(text.removeprefix(SCHEME)) if len(text) <= 512 else None
    if found is None:
        raise NotAReferenceError(text)
    name = found["name"]
    first, slash, rest = name.partition("/")
    if slash and (first == "localhost" or any(mark in first for mark in ".:[") or first != first.lower()):
        host, path = first, rest
    else:
        host, path = HUB, name
    if host in ("index.docker.io", "registry-1.docker.io"):
        host = HUB
    if host == HUB and "/" not in path:
        path = f"library/{path}"
    if _NAME.fullmatch(f"{host}/{path}") is None:
        raise NotAReferenceError(text)
    digest = found["digest"]
    return Reference(host=host, path=path, tag=None if digest else found["tag"] or "latest", digest=digest)
