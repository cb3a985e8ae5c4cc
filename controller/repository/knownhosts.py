"""Host keys: what the known_hosts files say of one host, by OpenSSH's rules.

libgit2 checks a server's key against one file, ``~/.ssh/known_hosts``, by libssh2's rules (measured with libgit2 1.9.7
and libssh2 1.11): hashed names and ``[host]:port`` work, but patterns do not, ``@revoked`` is passed over, and one line
that does not parse fails every connection. So the files are read by the rules of sshd(8) (``controller.hostkeys``), and
libgit2 is given a file of its own that holds the plain keys of the one host. The comparison stays with libssh2.

Does not belong here: connecting. Nothing is ever added to a file of the user's.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from controller.hostkeys import KnownKey, host_name, read_known_hosts

USABLE = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
)
"""Types of key that libssh2 negotiates."""

MAX_KEY = 3700
"""libssh2 reads lines of at most 4,091 bytes; no key is as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostKeys:
    """What the files say of one host."""

    host: str
    port: int
    keys: tuple[tuple[str, str], ...] = ()
    """Type and base64 of every key that the host may show."""
    authorities: bool = False
    """A certificate authority is known for the host, which libgit2 cannot use."""
    revoked: int = 0
    files: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """The host as known_hosts writes it."""
        return host_name(self.host, self.port)

    def file_text(self) -> str:
        """Return a known_hosts file that holds these keys and nothing else."""
        return "".join(f"[{self.host}]:{self.port} {kind} {key}\n" for kind, key in self.keys)


def default_files() -> tuple[Path, ...]:
    """Return the files that OpenSSH reads by default."""
    home = Path.home() / ".ssh"
    system = Path("/etc/ssh")
    return tuple(
        place / name
        for place, stem in ((home, "known_hosts"), (system, "ssh_known_hosts"))
        for name in (stem, stem + "2")
    )


def keys_of(host: str, port: int, files: Iterable[Path]) -> HostKeys:
    """Read what ``files`` say of a host. Files that are missing say nothing.

    As in OpenSSH, an entry without a port also speaks for other ports, unless there is one with the port.
    """
    files = tuple(files)
    lines = read_known_hosts(files)
    names = (host,) if port == 22 else (host_name(host, port), host)
    found: list[KnownKey] = []
    for name in names:
        found = [key for key in lines if key.marker != "@revoked" and key.matches(name)]
        if found:
            break
    revoked = {key.blob for key in lines if key.marker == "@revoked" and any(key.matches(name) for name in names)}
    usable = (key for key in found if not key.marker and key.type in USABLE and key.blob not in revoked)
    keys = dict.fromkeys((key.type, base64.b64encode(key.blob).decode("ascii")) for key in usable)
    return HostKeys(
        host=host,
        port=port,
        keys=tuple((kind, text) for kind, text in keys if len(text) < MAX_KEY),
        authorities=any(key.marker == "@cert-authority" for key in found),
        revoked=len(revoked),
        files=files,
    )
