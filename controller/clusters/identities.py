"""The keys that a log-in by paramiko offers, in the order and by the options of ssh_config(5).

paramiko by itself offers every key of the agent at SSH_AUTH_SOCK and knows nothing of IdentityAgent, IdentitiesOnly, a
public key file as IdentityFile, or CertificateFile. Must not know what a server makes of an offer.
"""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paramiko
from paramiko.agent import AgentSSH
from paramiko.pkey import PublicBlob

from controller.clusters.certificates import plain_key
from controller.smallfiles import read_small

_DEFAULTS = ("id_rsa", "id_ecdsa", "id_ed25519")
_AGENT_S = 10.0
_UNREADABLE = (paramiko.SSHException, ValueError, TypeError, LookupError, OSError)


@dataclass(slots=True)
class Offers:
    """The keys for one hop. ``notes`` says, once they were gone through, which could not be used and why."""

    options: Mapping[str, Any]
    identities: Sequence[Path]
    """Named files, first the connection's own; they may be public keys whose private half the agent has."""
    notes: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Yield (name, key): named keys first, then the agent's others, then the usual files when none is named."""
        agent = self._agent_keys()
        only = str(self.options.get("identitiesonly", "no")).lower() == "yes"
        usual = [Path("~/.ssh").expanduser() / name for name in _DEFAULTS]
        offered: set[bytes] = set()
        for file in self.identities or usual:
            for name, key in self._of_file(file, agent, stored=bool(self.identities)):
                offered.add(key.asbytes())
                yield name, key
        if not only:
            for key in agent:
                if key.asbytes() not in offered:
                    yield f"{key.comment or key.get_name()} of the agent", key
        if not self.identities:
            for file in usual:
                yield from self._of_file(file, agent, stored=True)

    def _of_file(self, file: Path, agent: Sequence[Any], *, stored: bool) -> Iterator[tuple[str, Any]]:
        """Yield what the agent has of a file's key, or else, where it is to be read, the file's own."""
        public = _public(file)
        held = [key for key in agent if public is not None and public in (key.blob, key.asbytes())]
        for key in held:
            yield from self._certified(f"{file} of the agent", key)
        if held or not stored or not file.is_file():
            return
        try:
            key = paramiko.PKey.from_path(file)
        except _UNREADABLE as error:
            if public is not None and _is_public(file):
                self.notes.append(f"the agent does not hold the private half of {file}")
            elif "assword" in str(error) or "ncrypted" in str(error):
                self.notes.append(f"{file} has a passphrase: load it with ssh-add {file}")
            else:
                self.notes.append(f"{file} cannot be read as a private key ({error})")
            return
        yield from self._certified(str(file), key)

    def _certified(self, name: str, key: Any) -> Iterator[tuple[str, Any]]:
        """Yield a key with each certificate of CertificateFile that is of it, then as it is, then by itself."""
        plain = key.asbytes()
        own = key.public_blob
        named = str(self.options.get("certificatefile", "none"))
        for file in [named] if named.lower() != "none" else []:
            try:
                certificate = PublicBlob.from_file(str(Path(file).expanduser()))
                certified = plain_key(certificate.key_blob)
            except _UNREADABLE as error:
                self.notes.append(f"the certificate {file} cannot be read ({error})")
                continue
            if certified == plain:
                key.public_blob = certificate
                yield f"{name} with {file}", key
        key.public_blob = own
        yield name, key
        if own is not None:
            key.public_blob = None
            yield name, key

    def _agent_keys(self) -> list[Any]:
        path = _agent_socket(self.options)
        if not path:
            return []
        try:
            agent = _Agent(path)
        except (OSError, paramiko.SSHException) as error:
            self.notes.append(f"the agent at {path} does not answer ({error})")
            return []
        keys = list(agent.get_keys())
        blobs = {key.blob for key in keys}
        for key in keys:
            # paramiko would offer a certificate's name with the plain key's bytes.
            if key.get_name().endswith("-cert-v01@openssh.com") and key.inner_key is not None:
                if key.inner_key.asbytes() in blobs:
                    key.public_blob = key.inner_key.public_blob
                else:
                    key.inner_key = None
        return keys


class _Agent(AgentSSH):  # type: ignore[misc]
    """An agent at a path; paramiko's own class looks at SSH_AUTH_SOCK alone."""

    def __init__(self, path: str) -> None:
        super().__init__()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_AGENT_S)
        connection.connect(path)
        self._connect(connection)


def _agent_socket(options: Mapping[str, Any]) -> str:
    """IdentityAgent: a path, ``SSH_AUTH_SOCK``, ``$NAME``, or ``none``."""
    named = str(options.get("identityagent", "SSH_AUTH_SOCK")).strip('"')
    if named.lower() == "none":
        return ""
    if named == "SSH_AUTH_SOCK" or named.startswith("$"):
        return os.environ.get(named.strip("${}"), "")
    return os.path.expandvars(str(Path(named).expanduser()))


def identity_files(options: Mapping[str, Any], own: str | None) -> list[Path]:
    """Return the connection's own file and those of IdentityFile; the latter need not exist."""
    named = [own] if own else []
    named += [str(name).strip('"') for name in options.get("identityfile", []) if str(name).lower() != "none"]
    return list(dict.fromkeys(Path(name).expanduser() for name in named))


def _public(file: Path) -> bytes | None:
    """Return a file's public key: the file is one, or one lies beside it."""
    for each in (file, file.with_name(f"{file.name}.pub")):
        if (blob := _blob(each)) is not None:
            return blob
    return None


def _is_public(file: Path) -> bool:
    return _blob(file) is not None


def _blob(file: Path) -> bytes | None:
    try:
        words = read_small(file).decode("utf-8", "replace").split()
        return base64.b64decode(words[1], validate=True) if len(words) > 1 and "-" in words[0] else None
    except (OSError, ValueError):
        return None
