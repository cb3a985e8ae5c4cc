"""Logging in to one hop by keys, without a question to anybody: paramiko's ``auth_strategy``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import paramiko

from controller.clusters.identities import Offers

_ONLY_OPENSSH = {
    "pkcs11provider": "PKCS11Provider",
    "securitykeyprovider": "SecurityKeyProvider",
    "gssapiauthentication": "GSSAPIAuthentication",
    "hostbasedauthentication": "HostbasedAuthentication",
}
"""Ways to log in that this transport has not; worth a word only where the keys did not do."""


class TooManyKeys(paramiko.AuthenticationException):  # type: ignore[misc]
    """The server closed the connection while keys were offered: it takes so many tries and no more."""


class KeyLogin:
    """The log-in of one user at one hop. ``tried`` are the keys that were offered, by name."""

    def __init__(self, user: str, offers: Offers) -> None:
        self.user = user
        self.offers = offers
        self.tried: list[str] = []

    def authenticate(self, transport: Any) -> list[str]:
        """Offer one key after the other until one is taken; called by paramiko.

        Raises:
            paramiko.AuthenticationException: none was; ``BadAuthenticationType`` where the server wants no key, or
                something besides; ``TooManyKeys``.
        """
        for name, key in self.offers:
            self.tried.append(name)
            try:
                left = list(transport.auth_publickey(self.user, key))
            except paramiko.BadAuthenticationType:
                raise
            except (paramiko.SSHException, EOFError, ValueError) as error:
                if transport.is_active():
                    continue
                if len(self.tried) == 1:
                    raise
                message = f"it closed the connection after {len(self.tried)} keys had been offered"
                raise TooManyKeys(message) from error
            if left:
                raise paramiko.BadAuthenticationType("a second factor is asked for", left)
            return left
        raise paramiko.AuthenticationException(
            "it takes none of the keys" if self.tried else "there is no key to offer"
        )

    def remedy(self, error: Exception) -> str:
        """Return what a person can do about a log-in that failed."""
        if isinstance(error, TooManyKeys):
            return (
                "Name the right key alone: IdentityFile (its public half does, where an agent holds it) and "
                "IdentitiesOnly yes in the SSH configuration, or connection.identity_file"
            )
        if isinstance(error, paramiko.BadAuthenticationType):
            methods = ", ".join(error.allowed_types)
            return (
                f"It asks for {methods}; set `transport: openssh` and log in by hand once with a ControlMaster, "
                "whose connection is then used"
            )
        remedy = "Add the public key to authorized_keys there, or load the key into the SSH agent"
        if others := _others(self.offers.options):
            remedy += f"; {others} of the SSH configuration needs `transport: openssh`"
        return remedy


def _others(options: Mapping[str, Any]) -> str:
    unset = ("no", "none", "internal", "")
    return ", ".join(name for key, name in _ONLY_OPENSSH.items() if str(options.get(key, "no")).lower() not in unset)
