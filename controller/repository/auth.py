"""How the controller proves who it is to a Git server, and by what it knows the server.

Belongs here: which key, agent or token is offered, in which order. Does not belong here: the connection, or any secret
in a message.
"""

from __future__ import annotations

import base64
import binascii
import getpass
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pygit2

from controller.model.errors import ConfigurationError, StalledError
from controller.repository.knownhosts import default_files
from controller.repository.url import RemoteUrl, is_loopback
from controller.smallfiles import read_small

TOKEN_USER = "x-access-token"
_TOKEN_BYTES = 64 * 1024
DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteAuth:
    """Where secrets are found, never the secrets themselves: they are read anew for every connection."""

    username: str | None = None
    """For ``https://``, ``x-access-token`` when None, which every large Git host takes with a token."""
    token_file: Path | None = None
    token_env: str | None = None
    """Name of the environment variable that holds the token."""
    identity_files: tuple[Path, ...] = ()
    """Private keys. When there are none: the agent, then ``~/.ssh/id_ed25519``, ``id_ecdsa`` and ``id_rsa``."""
    use_agent: bool = True
    known_hosts: tuple[Path, ...] = ()
    """Files of host keys; when empty, the ones that OpenSSH reads."""
    insecure_http: bool = False
    """Allow ``http://`` to another machine."""
    connect_timeout_s: float = 15.0
    timeout_s: float = 60.0
    """Longest silence of the server in the middle of an exchange."""

    def known_hosts_files(self) -> tuple[Path, ...]:
        """Return the files of host keys to read."""
        return self.known_hosts or default_files()


class AuthenticationFailed(StalledError):
    """The server let nobody in with what was offered."""

    def __init__(self, message: str) -> None:
        super().__init__("AuthenticationFailed", message)


def check_scheme(url: RemoteUrl, auth: RemoteAuth) -> None:
    """Refuse to send a token over a network in the clear.

    Raises:
        ConfigurationError: ``http://`` to another machine (``HttpNotAllowed``).
    """
    if url.scheme == "http" and not is_loopback(url.host) and not auth.insecure_http:
        raise ConfigurationError(
            "HttpNotAllowed",
            f"{url.shown}: http:// would send the token unencrypted; use https://, or allow it in the configuration",
        )


def ssh_user(url: RemoteUrl) -> str:
    """Return the account to log in to: the URL's, or this process's as OpenSSH would."""
    return url.user or getpass.getuser()


def offers(url: RemoteUrl, auth: RemoteAuth, tried: list[str]) -> Iterator[pygit2.credentials.Keypair]:
    """Yield what to offer an SSH server, one after the other; ``tried`` gets a word on each for the message."""
    user = ssh_user(url)
    if auth.use_agent and not auth.identity_files:
        if _agent_answers():
            tried.append("the keys of the agent")
            yield pygit2.KeypairFromAgent(user)
        else:
            tried.append("no agent (SSH_AUTH_SOCK)")
    home = Path.home() / ".ssh"
    for path in auth.identity_files or tuple(home / name for name in DEFAULT_KEYS):
        unusable = _why_unusable(path)
        if unusable is None:
            tried.append(str(path))
            # The public half is derived from the private one: a .pub file may be missing or stale.
            yield pygit2.Keypair(user, None, str(path), "")
        elif auth.identity_files or path.exists():
            tried.append(f"{path} ({unusable})")


def token_for(url: RemoteUrl, auth: RemoteAuth) -> pygit2.UserPass:
    """Return user name and token for an HTTP server.

    Raises:
        AuthenticationFailed: none is configured, or what is configured is empty or cannot be read.
    """
    user = auth.username or url.user or TOKEN_USER
    if auth.token_file is not None:
        try:
            token = read_small(auth.token_file, limit=_TOKEN_BYTES).decode("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise AuthenticationFailed(
                f"{url.shown}: the token file {auth.token_file} cannot be read ({_short(error)})"
            ) from error
        source = f"the token file {auth.token_file}"
    elif auth.token_env is not None:
        token = os.environ.get(auth.token_env, "").strip()
        source = f"the environment variable {auth.token_env}"
    elif url.password:
        token, source = url.password, "the URL"
    else:
        raise AuthenticationFailed(
            f"{url.shown}: the server asks for a log-in; give a token in a file or an environment variable"
        )
    if not token:
        raise AuthenticationFailed(f"{url.shown}: {source} holds no token; put one there")
    return pygit2.UserPass(user, token)


def _short(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else "it is not text"


def _agent_answers() -> bool:
    """Return whether there is a live agent: libgit2 gives up altogether on a socket that is left over."""
    path = os.environ.get("SSH_AUTH_SOCK")
    if not path:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def _why_unusable(path: Path) -> str | None:
    """Return why a private key cannot be used without a person, None when it can."""
    try:
        data = read_small(path)
    except OSError as error:
        return error.strerror or "cannot be read"
    if b"ENCRYPTED" in data or _openssh_cipher(data) not in (None, b"none"):
        return "protected by a passphrase: load it into an agent"
    return None


def _openssh_cipher(data: bytes) -> bytes | None:
    """Return the cipher of a key in OpenSSH's format (PROTOCOL.key), None for another format."""
    body = b"".join(line for line in data.splitlines() if line and not line.startswith(b"-----"))
    if b"BEGIN OPENSSH PRIVATE KEY" not in data:
        return None
    try:
        blob = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        return None
    start = len(b"openssh-key-v1\0") + 4
    length = int.from_bytes(blob[start - 4 : start], "big")
    return blob[start : start + length]
