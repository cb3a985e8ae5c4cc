"""The choice of a transport: the one place that knows them all."""

from __future__ import annotations

from controller.clusters.local import LocalTransport
from controller.clusters.openssh import OpenSshTransport
from controller.clusters.transport import Transport
from controller.model.errors import ConfigurationError
from controller.model.resources import Connection


def open_transport(connection: Connection | None, *, connect_timeout_s: int = 15) -> Transport:
    """Return the way to a cluster; None is this machine. Nothing is connected before the first ``run``.

    ``connect_timeout_s`` holds for every hop: the TCP connection, the banner, the log-in and a channel each.

    Raises:
        ConfigurationError: there is no such transport, or a host name is none.
    """
    if connection is None:
        return LocalTransport()
    for name in (connection.host, *(connection.proxy_jump or "").split(",")):
        if name.strip().startswith("-") or any(char.isspace() for char in name.strip()):
            raise ConfigurationError("ConnectionInvalid", f"{name!r} is not the name of a host")
    match connection.transport:
        case "fabric":
            # Imported here: fabric and paramiko take half a second, which only those who use them should wait for.
            from controller.clusters.fabric import FabricTransport

            return FabricTransport(connection, connect_timeout_s=connect_timeout_s)
        case "openssh":
            return OpenSshTransport(connection, connect_timeout_s=connect_timeout_s)
        case other:
            message = f"there is no transport {other!r}; set `transport: fabric` or `transport: openssh`"
            raise ConfigurationError("ConnectionInvalid", message)
