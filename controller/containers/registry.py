"""References to images in registries, as Docker reads them. Text only: no registry is asked anything here."""

from __future__ import annotations

import ipaddress


def host_of(reference: str) -> str:
    """Return ``host[:port]`` of a reference; ``docker.io`` where it names none."""
    first, slash, _ = reference.partition("/")
    named = slash and ("." in first or ":" in first or first == "localhost")
    return first if named else "docker.io"


def is_loopback(reference: str) -> bool:
    """Whether the registry is on the loopback, which Docker and we reach by http."""
    host = host_of(reference).rpartition(":")[0] or host_of(reference)
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def without_tag(reference: str) -> str:
    """Return a reference without its tag and digest: ``host:5000/name:tag`` is ``host:5000/name``."""
    name = reference.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"
