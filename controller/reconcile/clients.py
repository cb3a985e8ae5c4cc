"""Connections to clusters, kept from one pass to the next for as long as somebody uses them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from controller.clusters.cluster import ClusterClient
from controller.clusters.connect import open_transport
from controller.clusters.transport import Completed, Progress, Transport
from controller.model.resources import Cluster, Connection
from controller.model.sites import instance_in
from controller.schedulers import scheduler_named

IDLE_S = 600.0
"""How long a connection that nobody uses stays open: longer than two passes are apart, as a rule."""


class Clients:
    """Opens a connection on first use; clusters that are reached in the same way share it.

    A connection is never closed under a thread that uses it: a spec that says something else for a while, as when two
    commits take turns, opens another one beside it.
    """

    def __init__(
        self,
        instance: str,
        *,
        ssh_config: Path | None = None,
        connect: Callable[[Connection | None], Transport] = open_transport,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``ssh_config`` is the controller's own setting: a spec must not choose what runs on this machine."""
        self.instance = instance
        self._ssh_config = ssh_config
        self._connect = connect
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[Connection | None, _InUse] = {}

    def of(self, cluster: Cluster) -> ClusterClient:
        """Return the client for a cluster as its spec stands now."""
        with self._lock:
            self._close_idle()
            held = self._open.get(cluster.connection)
            if held is None:
                held = _InUse(self._connect(self._configured(cluster.connection)), self._clock)
                self._open[cluster.connection] = held
            held.used = self._clock()
        instance = instance_in(cluster.name) or self.instance
        return ClusterClient(cluster, held, scheduler_named(cluster.scheduler), instance=instance)

    def _close_idle(self) -> None:
        now = self._clock()
        for connection, held in list(self._open.items()):
            if held.users == 0 and now - held.used > IDLE_S:
                del self._open[connection]
                held.close()

    def _configured(self, connection: Connection | None) -> Connection | None:
        if connection is None or self._ssh_config is None:
            return connection
        return replace(connection, ssh_config=str(self._ssh_config))

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            for held in self._open.values():
                held.close()
            self._open.clear()


class _InUse:
    """A transport that knows how many use it at the moment, and when it was used last."""

    def __init__(self, transport: Transport, clock: Callable[[], float]) -> None:
        self._transport = transport
        self._clock = clock
        self._lock = threading.Lock()
        self.users = 0
        self.used = clock()

    def run(
        self,
        script: str,
        *,
        payload: bytes | BinaryIO = b"",
        timeout_s: float = 60.0,
        progress: Progress | None = None,
    ) -> Completed:
        with self._lock:
            self.users += 1
        try:
            return self._transport.run(script, payload=payload, timeout_s=timeout_s, progress=progress)
        finally:
            with self._lock:
                self.users -= 1
                self.used = self._clock()

    def close(self) -> None:
        self._transport.close()
