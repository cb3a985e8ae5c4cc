"""The HTTP port: an address taken before anything else starts, and uvicorn serving it from a thread.

Imports uvicorn, so it is imported only when the port was asked for. What must not be in here: what the pages
say.
"""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import threading

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from controller.model.errors import ConfigurationError

HEADERS_TIMEOUT_S = 10.0
CONNECTION_LIMIT = 100
_STOP_TIMEOUT_S = 2
_ADDRESS = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^\s:\[\]/]*)):(?P<port>[0-9]{1,5})")

_BIND_ERRORS = {
    errno.EADDRINUSE: ("PortInUse", "Stop what uses it, maybe another controller, or choose another port."),
    errno.EACCES: ("PortForbidden", "Choose a port from 1024 upwards, behind a reverse proxy if need be."),
}

log = structlog.get_logger()


def parse_address(text: str) -> tuple[str, int]:
    """Take ``host:port``, ``[ipv6]:port`` or ``:port`` apart. An empty host is every address of the machine.

    Raises:
        ConfigurationError: it is none of these (``ListenAddressInvalid``).
    """
    match = _ADDRESS.fullmatch(text.strip())
    if match is None or int(match["port"]) > 65535:
        raise ConfigurationError(
            "ListenAddressInvalid",
            f"Cannot listen on {text!r}: give host:port, such as 127.0.0.1:8080, [::1]:8080 or :8080.",
        )
    return match["ipv6"] or match["host"] or "", int(match["port"])


def open_port(address: str) -> socket.socket:
    """Bind and listen. Connections wait in the backlog until a ``Listener`` serves them.

    Raises:
        ConfigurationError: the port is taken (``PortInUse``), may not be used (``PortForbidden``), or the
        address is
            not one of this machine's (``ListenAddressInvalid``).
    """
    host, port = parse_address(address)
    try:
        if not host and socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0] if host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason, remedy = _BIND_ERRORS.get(
            error.errno or 0, ("ListenAddressInvalid", "Give an address of this machine.")
        )
        cause = (error.strerror or str(error)).lower()
        raise ConfigurationError(reason, f"Cannot listen on {address}: {cause}. {remedy}") from error


class _ImpatientProtocol(H11Protocol):
    """uvicorn's own, which waits for ever for a request's headers, with a limit to that wait.

    One request a connection (see ``Listener``), so the first one is the only one.
    """

    headers_timeout_s = HEADERS_TIMEOUT_S

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(self.headers_timeout_s, self._close_unless_asked)

    def _close_unless_asked(self) -> None:
        asked: object = self.cycle  # None until a request's headers are complete, whatever its annotation says.
        if asked is None and not self.transport.is_closing():
            self.transport.close()


class Listener:
    """Serves an app on an open port, from ``start`` to ``stop``."""

    def __init__(self, app: ASGIApp, port: socket.socket, *, headers_timeout_s: float = HEADERS_TIMEOUT_S) -> None:
        self._port = port
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                loop="asyncio",
                http=type("Protocol", (_ImpatientProtocol,), {"headers_timeout_s": headers_timeout_s}),
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                # No keep-alive: nobody asks often, and a connection that is closed cannot be held open.
                headers=[("connection", "close")],
                limit_concurrency=CONNECTION_LIMIT,
                timeout_graceful_shutdown=_STOP_TIMEOUT_S,
            )
        )
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        """Where it listens, with the real port where 0 was asked for."""
        host, port = self._port.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def start(self) -> None:
        """Start to serve, in a thread of its own."""
        serve = self._server.run
        self._thread = threading.Thread(target=serve, args=([self._port],), name="http", daemon=True)
        self._thread.start()
        log.info("http_listening", address=self.address)

    def stop(self) -> None:
        """Answer what is being asked, for two seconds at most, and close the port."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout=_STOP_TIMEOUT_S + 3)
        self._port.close()
