"""The hops to a login node, as fabric connections: every gateway in turn, then the node itself.

fabric resolves host, user, port and identity files; order, host keys and everything that could ask a person are set
here, because the defaults of fabric and paramiko accept any host key, take the hops of ``a,b`` in reverse, and ask for
a second factor on the terminal.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fabric
import paramiko

from controller import hostkeys
from controller.clusters import ssh_config
from controller.hostkeys import KnownKey
from controller.model.errors import ConfigurationError, StalledError
from controller.model.resources import Connection

_MAX_HOPS = 8
_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
"""Preferred: paramiko's own order puts them last, and they are the fastest it has."""


class HostKeyCheck:
    """The policy of one hop. paramiko's own store stays empty, so that it asks this for every key it is shown."""

    def __init__(self, name: str, keys: tuple[KnownKey, ...], file: Path) -> None:
        self.name = name
        self.keys = keys
        self._file = file
        self.passed = False

    def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:
        """Accept the key or raise ``StalledError``; called by paramiko before it logs in."""
        del client, hostname
        hostkeys.check_key(self.keys, self.name, key.asbytes(), key.get_name(), self._file)
        self.passed = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One connection on the way, not open yet."""

    link: Any
    """The ``fabric.Connection``."""
    check: HostKeyCheck

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
        parsed = paramiko.SSHConfig.from_text(ssh_config.configuration_text(connection.ssh_config))
        config = fabric.Config(ssh_config=parsed, lazy=True)
        return _Layout(connection, config, connect_timeout_s).hops()
    except paramiko.SSHException as error:
        message = (
            f"the SSH configuration for {connection.host} cannot be used: {error}; with `transport: openssh` it can"
        )
        raise ConfigurationError("SshConfigInvalid", message) from error


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
        gateway = before[-1].link if before else options.get("proxycommand") or False
        link = fabric.Connection(
            host,
            user=user,
            port=port,
            config=self._config,
            gateway=gateway,
            forward_agent=False,
            connect_timeout=self._timeout_s,
            connect_kwargs=self._connect_kwargs(),
        )
        check = self._check(link, options)
        link.client.set_missing_host_key_policy(check)
        identities = [Path(name).expanduser() for name in link.connect_kwargs.get("key_filename", [])]
        link.connect_kwargs["key_filename"] = [str(file) for file in identities if file.is_file()]
        link.connect_kwargs["look_for_keys"] = not identities
        link.connect_kwargs["transport_factory"] = _factory(check)
        return Hop(link=link, check=check)

    def _connect_kwargs(self) -> dict[str, Any]:
        limits = dict.fromkeys(("banner_timeout", "auth_timeout", "channel_timeout"), self._timeout_s)
        return {**limits, "key_filename": [self._identity] if self._identity else []}

    def _check(self, link: Any, options: Any) -> HostKeyCheck:
        if self._connection.known_hosts is not None:
            files = [Path(self._connection.known_hosts).expanduser()]
        else:
            user = options.get("userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2").split()
            system = options.get("globalknownhostsfile", str(hostkeys.SYSTEM_FILE)).split()
            files = [Path(name.strip('"')).expanduser() for name in (*user, *system) if name.lower() != "none"]
        name = options.get("hostkeyalias") or hostkeys.host_name(link.host, int(link.port))
        return HostKeyCheck(name, hostkeys.read_known_hosts(files), files[0])


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
        options.key_types = tuple(sorted(options.key_types, key=lambda name: _key_type(name) not in known))
        transport.auth_interactive_dumb = _refuse
        return transport

    return build


def _key_type(algorithm: str) -> str:
    return "ssh-rsa" if algorithm.startswith("rsa-sha2-") else algorithm


def _refuse(*asked: object) -> list[str]:
    del asked
    raise paramiko.BadAuthenticationType("a second factor is asked for", ["keyboard-interactive"])
