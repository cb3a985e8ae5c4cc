"""OpenSSH's certificates: whose key one is of, and whether one that a known authority signed speaks for a host now.

Format: PROTOCOL.certkeys of OpenSSH; ``@cert-authority`` lines: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import paramiko

from controller.hostkeys import KnownKey

_HOST = 2
_FIELDS = {"ssh-ed25519": 1, "ssh-rsa": 2, "ecdsa-sha2": 2}
"""How many fields a key has between the certificate's nonce and its serial number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What a certificate says, and who signed it."""

    kind: int
    principals: tuple[str, ...]
    valid_after: int
    valid_before: int
    critical: bytes
    authority: bytes
    signature: bytes
    signed: bytes


def authorities(keys: Iterable[KnownKey], names: Sequence[str]) -> tuple[KnownKey, ...]:
    """Return the authorities on record for a host, by any of its names."""
    return tuple(key for key in keys if key.marker == "@cert-authority" and any(key.matches(name) for name in names))


def fault_of(blob: bytes, *, host: str, authorities: Sequence[KnownKey], now: float) -> str:
    """Return why a certificate does not speak for ``host``; "" when it does."""
    try:
        certificate = _read(blob)
    except (paramiko.SSHException, ValueError, LookupError, UnicodeDecodeError) as error:
        return f"its certificate cannot be read ({error})"
    known = next((key for key in authorities if key.blob == certificate.authority), None)
    if known is None:
        return "its certificate is of an authority that is not known"
    if certificate.kind != _HOST:
        return "its certificate is not one of a host"
    if not any(fnmatchcase(host.lower(), each.lower().replace("[", "[[]")) for each in certificate.principals):
        return f"its certificate is for {', '.join(certificate.principals) or 'no host'}"
    if not certificate.valid_after <= now < certificate.valid_before:
        return "its certificate is not valid now"
    if certificate.critical:
        return "its certificate has critical options, which no host certificate has"
    try:
        authority = paramiko.PKey.from_type_string(known.type, known.blob)
    except (paramiko.SSHException, paramiko.pkey.UnknownKeyType):
        return f"its certificate is signed by a key of type {known.type}; with `transport: openssh` it can be checked"
    if not authority.verify_ssh_sig(certificate.signed, paramiko.Message(certificate.signature)):
        return "its certificate has a wrong signature"
    return ""


def plain_key(blob: bytes) -> bytes:
    """Return the public key that a certificate is of.

    Raises:
        ValueError: it is none, or of a kind that is not known.
    """
    message, kind, start = _opened(blob)
    end = len(blob) - len(message.get_remainder())
    name = kind.removesuffix("-cert-v01@openssh.com").encode()
    return len(name).to_bytes(4, "big") + name + blob[start:end]


def _opened(blob: bytes) -> tuple[paramiko.Message, str, int]:
    """Return a certificate read up to the end of its key, its type, and where its key begins."""
    message = paramiko.Message(blob)
    kind = message.get_text()
    count = next((count for start, count in _FIELDS.items() if kind.startswith(start)), 0)
    if not count or not kind.endswith("-cert-v01@openssh.com"):
        raise ValueError(f"it is no certificate but {kind!r}")
    message.get_binary()
    start = len(blob) - len(message.get_remainder())
    for _ in range(count):
        message.get_binary()
    return message, kind, start


def _read(blob: bytes) -> Certificate:
    message, _, _ = _opened(blob)
    message.get_int64()
    role = message.get_int()
    message.get_binary()
    packed, principals = paramiko.Message(message.get_binary()), []
    while packed.get_remainder():
        principals.append(packed.get_text())
    after, before = message.get_int64(), message.get_int64()
    critical = message.get_binary()
    message.get_binary()
    message.get_binary()
    authority = message.get_binary()
    signed = blob[: len(blob) - len(message.get_remainder())]
    return Certificate(
        kind=role,
        principals=tuple(principals),
        valid_after=after,
        valid_before=before,
        critical=critical,
        authority=authority,
        signature=message.get_binary(),
        signed=signed,
    )
