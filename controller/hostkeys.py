"""Known host keys: reading OpenSSH's known_hosts files, judging a key by them, and saying what to do about it.

Written out here because paramiko's own reader keeps only one key of a type for a host, while login nodes behind one
name have several, and it ignores wildcards and ``@revoked``. Format: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from controller.model.errors import StalledError
from controller.smallfiles import read_small

SYSTEM_FILE = Path("/etc/ssh/ssh_known_hosts")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKey:
    """One line of a known_hosts file. ``marker`` is "", ``@revoked`` or ``@cert-authority``."""

    marker: str
    hosts: str
    type: str
    blob: bytes
    place: str
    """``file:line``."""

    def matches(self, name: str) -> bool:
        """Return whether the line speaks of ``name`` (``host``, or ``[host]:port`` for a port other than 22)."""
        if self.hosts.startswith("|1|"):
            return _hash_matches(self.hosts, name)
        patterns = self.hosts.split(",")
        if any(p.startswith("!") and _glob_matches(p[1:], name) for p in patterns):
            return False
        return any(_glob_matches(p, name) for p in patterns if not p.startswith("!"))


def _glob_matches(pattern: str, name: str) -> bool:
    # Only * and ? are special to OpenSSH; brackets belong to the [host]:port form.
    return fnmatchcase(name.lower(), pattern.lower().replace("[", "[[]"))


def _hash_matches(hashed: str, name: str) -> bool:
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in hashed[3:].split("|"))
    except ValueError:
        return False
    return hmac.compare_digest(hmac.digest(salt, name.lower().encode(), "sha1"), digest)


def read_known_hosts(files: Iterable[Path]) -> tuple[KnownKey, ...]:
    """Read files in order; one that does not exist, and a line that is not understood, hold no key.

    Raises:
        StalledError: a file is there but cannot be read (``HostKeyRejected``).
    """
    keys: list[KnownKey] = []
    for file in files:
        try:
            lines = read_small(file).decode("utf-8", "replace").split("\n")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            message = f"the known hosts in {file} cannot be read: {error.strerror}; make the file readable"
            raise StalledError("HostKeyRejected", message) from error
        for number, line in enumerate(lines, start=1):
            if key := _parse_line(line, f"{file}:{number}"):
                keys.append(key)
    return tuple(keys)


def _parse_line(line: str, place: str) -> KnownKey | None:
    fields = line.split()
    if not fields or fields[0].startswith("#"):
        return None
    marker = fields.pop(0) if fields[0].startswith("@") else ""
    if len(fields) < 3:
        return None
    try:
        blob = base64.b64decode(fields[2], validate=True)
    except ValueError:
        return None
    kind = fields[1].encode()
    if blob[:4] != len(kind).to_bytes(4, "big") or blob[4 : 4 + len(kind)] != kind:
        return None
    return KnownKey(marker=marker, hosts=fields[0], type=fields[1], blob=blob, place=place)


def host_name(host: str, port: int) -> str:
    """Return the name under which a host and port stand in known_hosts."""
    return host if port == 22 else f"[{host}]:{port}"


def keys_of(keys: Iterable[KnownKey], name: str) -> tuple[KnownKey, ...]:
    """Return the plain keys on record for ``name``; certificate authorities are not among them."""
    return tuple(key for key in keys if key.marker == "" and key.matches(name))


def check_key(keys: tuple[KnownKey, ...], name: str, blob: bytes, key_type: str, file: Path) -> None:
    """Accept a host's key, or say why not. ``file`` is where a remedy would add it.

    Raises:
        StalledError: the key is unknown, another one is on record, or it is revoked (``HostKeyRejected``).
    """
    revoked = next((k for k in keys if k.marker == "@revoked" and k.blob == blob), None)
    actual = f"{key_type} {fingerprint(blob)}"
    if revoked is not None:
        message = f"the host key of {name} ({actual}) is revoked by {revoked.place}; ask the site for its new key"
        raise StalledError("HostKeyRejected", message)
    known = keys_of(keys, name)
    if any(key.blob == blob for key in known):
        return
    expected = tuple(f"{k.type} {fingerprint(k.blob)} ({k.place})" for k in known)
    raise rejected(name, actual=actual, expected=expected, file=file)


def fingerprint(blob: bytes) -> str:
    """Return ``SHA256:…`` as ``ssh-keygen -l`` prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def rejected(name: str, *, actual: str, expected: tuple[str, ...], file: Path) -> StalledError:
    """Return the error for a key that is not on record, or not the one on record, with the remedy.

    ``actual`` is ``type fingerprint`` ("" when not known), as are the ``expected`` ones.
    """
    offered = f"it offers {actual}" if actual else "see ssh -v for the key it offers"
    host, _, port = name.rpartition(":") if name.startswith("[") else (name, "", "")
    scan = f"ssh-keyscan {f'-p {port} ' if port else ''}{host.strip('[]')} >> {file}"
    if not expected:
        message = (
            f"the host key of {name} is not known: {offered}. Compare the fingerprint with the one that the site "
            f"publishes; if it is the same: {scan}"
        )
    else:
        message = (
            f"the host key of {name} is not the one on record: expected {', '.join(expected)}, {offered}. The machine "
            f"was set up anew, or somebody is in between: ask the site for the fingerprint; if it is the same: "
            f"ssh-keygen -R '{name}' -f {file}, then {scan}"
        )
    return StalledError("HostKeyRejected", message)
