"""The hops to a login node, as fabric connections: every gateway in turn, then the node itself.

fabric resolves host, user, port and identity files; order, host keys and everything that could ask a person are set
here, because the defaults of fabric and paramiko accept any host key, take the hops of ``a,b`` in reverse, and ask for
a second factor on the terminal.
"""

from __future__ import annotations

import shlex
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fabric
import paramiko

from controller import hostkeys
from controller.clusters import ssh_config
from controller.clusters.certificates import authorities, fault_of
from controller.clusters.identities import Offers, identity_files
from controller.clusters.login import KeyLogin
from controller.clusters.ssh_config import refuse_unknown
from controller.hostkeys import KnownKey
from controller.model.errors import ConfigurationError, StalledError
from controller.model.resources import Connection

_MAX_HOPS = 8
_EXEC_S = 15
_CERTIFICATE = "-cert-v01@openssh.com"
_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
"""Preferred: paramiko's own order puts them last, and they are the fastest it has."""


class HostKeyCheck:
    """The policy of one hop. paramiko's own store stays empty, so that it asks this for every key it is shown."""

    def __init__(self, name: str, keys: tuple[KnownKey, ...], file: Path, *, host: str) -> None:
        self.name = name
        self.keys = keys
        self._host = host
        self.authorities = authorities(keys, (name, host))
        self._file = file
        self.passed = False

    def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:
        """Accept the key or raise ``StalledError``; called by paramiko before it logs in."""
        del client, hostname
        fault = ""
        revoked = {known.blob for known in self.keys if known.marker == "@revoked"}
        trusted = [known for known in self.authorities if known.blob not in revoked]
        if key.public_blob is not None and trusted and key.asbytes() not in revoked:
            blob = key.public_blob.key_blob
            fault = fault_of(blob, host=self._host, authorities=trusted, now=time.time())
            if not fault:
                self.passed = True
                return
        try:
            hostkeys.check_key(self.keys, self.name, key.asbytes(), key.get_name(), self._file)
        except StalledError as error:
            raise StalledError(error.reason, f"{error.message}; {fault}") from error if fault else None
        self.passed = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One connection on the way, not open yet."""

    link: Any
    """The ``fabric.Connection``."""
    check: HostKeyCheck
    login: KeyLogin

    @property
    def name(self) -> str:
        """``user@host`` or ``user@[host]:port``."""
        return f"{self.link.user}@{self.check.name}"


def hops_to(connection: Connection, *, connect_timeout_s: int) -> tuple[Hop, ...]:
    """Lay out the way to a login node, first gateway first, opening nothing.

    Raises:
        ConfigurationError: the SSH configuration cannot be read, or its gateways lead in a circle.
        StalledError: a file of host keys or the identity file cannot be read.
    """
    try:
        parsed = _Configuration.from_text(ssh_config.configuration_text(connection.ssh_config))
        config = fabric.Config(ssh_config=parsed, lazy=True)
        return _Layout(connection, config, connect_timeout_s).hops()
    except paramiko.SSHException as error:
        message = (
            f"the SSH configuration for {connection.host} cannot be used: {error}; with `transport: openssh` it can"
        )
        raise ConfigurationError("SshConfigInvalid", message) from error


class _Configuration(paramiko.SSHConfig):  # type: ignore[misc]
    """paramiko's reader, but for ``Match exec``: its own way would read from our terminal."""

    def _does_match(self, match_list: Any, target_hostname: str, canonical: bool, final: bool, options: Any) -> Any:
        others = [each for each in match_list if each["type"] != "exec"]
        if others and not super()._does_match(others, target_hostname, canonical, final, options):
            return False
        for each in match_list:
            if each["type"] == "exec":
                command = self._tokenize(options, target_hostname, "match-exec", each["param"])
                if _succeeds(command) == each["negate"]:
                    return False
        return match_list


def _succeeds(command: str) -> bool:
    try:
        done = subprocess.run(["sh", "-c", command], stdin=subprocess.DEVNULL, capture_output=True, timeout=_EXEC_S)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


class _Layout:
    def __init__(self, connection: Connection, config: Any, connect_timeout_s: int) -> None:
        self._connection = connection
        self._config = config
        self._timeout_s = connect_timeout_s
        self._identity = _identity(connection)

    def hops(self) -> tuple[Hop, ...]:
        wanted = self._connection
        hops: list[Hop] = []
        for host in self._gateways(wanted.host, wanted.proxy_jump, 0):
            hops.append(self._hop(host, hops))
        hops.append(self._hop(wanted.host, hops, user=wanted.user, port=wanted.port))
        return tuple(hops)

    def _gateways(self, host: str, explicit: str | None, depth: int) -> list[str]:
        """Return the gateways in the order in which they are passed; the first may have gateways of its own."""
        if depth > _MAX_HOPS:
            raise ConfigurationError("SshConfigInvalid", f"the gateways to {self._connection.host} lead in a circle")
        jump = explicit or self._config.base_ssh_config.lookup(_bare(host)).get("proxyjump", "none")
        if jump.lower() == "none":
            return []
        gateways = [part.strip().removeprefix("ssh://") for part in jump.split(",")]
        return self._gateways(gateways[0], None, depth + 1) + gateways

    def _hop(self, host: str, before: list[Hop], *, user: str | None = None, port: int | None = None) -> Hop:
        options = self._config.base_ssh_config.lookup(_bare(host))
        refuse_unknown(options, host)
        gateway = before[-1].link if before else _proxy(options.get("proxycommand"))
        link = fabric.Connection(
            host,
            user=user,
            port=port,
            config=self._config,
            gateway=gateway,
            forward_agent=False,
            connect_timeout=self._timeout_s,
        )
        check = self._check(link, options)
        link.client.set_missing_host_key_policy(check)
        login = KeyLogin(link.user, Offers(options, identity_files(options, self._identity)))
        limits = dict.fromkeys(("banner_timeout", "auth_timeout", "channel_timeout"), self._timeout_s)
        # In place of what fabric has put there: all files that the configuration names, as private keys.
        link.connect_kwargs = {**limits, "transport_factory": _factory(check), "auth_strategy": login}
        return Hop(link=link, check=check, login=login)

    def _check(self, link: Any, options: Any) -> HostKeyCheck:
        if self._connection.known_hosts is not None:
            files = [Path(self._connection.known_hosts).expanduser()]
        else:
            user = _paths(options.get("userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2"))
            files = [*user, *_paths(options.get("globalknownhostsfile", str(hostkeys.SYSTEM_FILE)))]
        alias = options.get("hostkeyalias")
        name = alias or hostkeys.host_name(link.host, int(link.port))
        keys = hostkeys.read_known_hosts(files)
        first = files[0] if files else Path("~/.ssh/known_hosts").expanduser()
        return HostKeyCheck(name, keys, first, host=alias or link.host)


def _paths(text: str) -> list[Path]:
    """Return the files of an option. paramiko takes the quotes off a value that is quoted as a whole."""
    whole = Path(text).expanduser()
    names = [text] if whole.exists() else shlex.split(text)
    return [Path(name).expanduser() for name in names if name.lower() != "none"]


def _proxy(command: str | None) -> str | bool:
    """OpenSSH has a shell run a ProxyCommand; paramiko would only split it into words."""
    return shlex.join(["sh", "-c", f"exec {command}"]) if command else False


def _identity(connection: Connection) -> str | None:
    if connection.identity_file is None:
        return None
    file = Path(connection.identity_file).expanduser()
    if not file.is_file():
        message = f"the identity file {file} for {connection.host} does not exist"
        raise StalledError("AuthenticationFailed", message)
    return str(file)


def _bare(host: str) -> str:
    """Return the name that the configuration knows a host by: ``user@`` and ``:port`` taken off."""
    name = host.rpartition("@")[2]
    return name.partition(":")[0] if name.count(":") == 1 else name


def _factory(check: HostKeyCheck) -> Any:
    """Return what builds a hop's paramiko transport: known key types first, quick ciphers, no questions asked."""

    def build(sock: Any, **kwargs: Any) -> Any:
        transport = paramiko.Transport(sock, **kwargs)
        options = transport.get_security_options()
        options.ciphers = tuple(sorted(options.ciphers, key=lambda name: name not in _CIPHERS))
        known = {key.type for key in hostkeys.keys_of(check.keys, check.name)}
        types = sorted(options.key_types, key=lambda name: _key_type(name) not in known)
        # A certificate is shown only to those who prefer it.
        certified = [f"{name}{_CERTIFICATE}" for name in types] if check.authorities else []
        options.key_types = (*certified, *types)
        transport.auth_interactive_dumb = _refuse
        return transport

    return build


def _key_type(algorithm: str) -> str:
    return "ssh-rsa" if algorithm.startswith("rsa-sha2-") else algorithm


def _refuse(*asked: object) -> list[str]:
    del asked
    raise paramiko.BadAuthenticationType("a second factor is asked for", ["keyboard-interactive"])
