"""Host keys: what the known_hosts files say of one host, by OpenSSH's rules.

libgit2 checks a server's key against one file, ``~/.ssh/known_hosts``, by libssh2's rules (measured with libgit2 1.9.7
and libssh2 1.11): hashed names and ``[host]:port`` work, but patterns do not, ``@revoked`` is passed over, and one line
that does not parse fails every connection. So the files are read here by the rules of sshd(8), and libgit2 is given a
file of its own that holds the plain keys of the one host. The comparison itself stays with libssh2.

Does not belong here: connecting. Nothing is ever added to a file of the user's.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

USABLE = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
)
"""Types of key that libssh2 negotiates."""

MAX_LINE = 4000
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
        return self.host if self.port == 22 else f"[{self.host}]:{self.port}"

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
    """Read what ``files`` say of a host. Files that are missing or cannot be read say nothing.

    As in OpenSSH, an entry without a port also speaks for other ports, unless there is one with the port.
    """
    files = tuple(files)
    lines = [entry for path in files for entry in _entries(path)]
    names = (host,) if port == 22 else (f"[{host}]:{port}", host)
    found: list[_Entry] = []
    for name in names:
        found = [entry for entry in lines if entry.marker != "@revoked" and _matches(entry.patterns, name)]
        if found:
            break
    revoked = {
        entry.key
        for entry in lines
        if entry.marker == "@revoked" and any(_matches(entry.patterns, name) for name in names)
    }
    keys = dict.fromkeys(
        (entry.type, entry.key)
        for entry in found
        if not entry.marker and entry.type in USABLE and entry.key not in revoked
    )
    return HostKeys(
        host=host,
        port=port,
        keys=tuple(keys),
        authorities=any(entry.marker == "@cert-authority" for entry in found),
        revoked=len(revoked),
        files=files,
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    marker: str
    patterns: str
    type: str
    key: str


def _entries(path: Path) -> Iterator[_Entry]:
    """Yield the entries of one file; lines that do not parse are passed over, as OpenSSH does."""
    try:
        data = path.read_bytes()
    except OSError:
        return
    for line in data.decode("utf-8", "replace").splitlines():
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(line) > MAX_LINE or len(words) < 3 or words[0].startswith("#"):
            continue
        try:
            blob = base64.b64decode(words[2], validate=True)
        except (binascii.Error, ValueError):
            continue
        kind = words[1].encode()
        if blob[:4] == len(kind).to_bytes(4, "big") and blob[4 : 4 + len(kind)] == kind:
            yield _Entry(marker, words[0], words[1], words[2])


def _matches(patterns: str, name: str) -> bool:
    """Match a host against the first field of an entry: hashed, or patterns with ``*``, ``?`` and ``!``."""
    if patterns.startswith("|1|"):
        return _matches_hash(patterns, name)
    matched = False
    for pattern in patterns.lower().split(","):
        negated = pattern.startswith("!")
        # Brackets are literal in known_hosts and a character class in fnmatch.
        if fnmatch.fnmatchcase(name, pattern.lstrip("!").replace("[", "[[]")):
            if negated:
                return False
            matched = True
    return matched


def _matches_hash(field: str, name: str) -> bool:
    try:
        _, _, salt, digest = field.split("|")
        wanted = base64.b64decode(digest, validate=True)
        made = hmac.new(base64.b64decode(salt, validate=True), name.encode(), hashlib.sha1).digest()
    except (ValueError, binascii.Error):
        return False
    return hmac.compare_digest(made, wanted)
