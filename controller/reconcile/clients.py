"""Connections to clusters, kept from one pass to the next while a cluster's spec stays as it is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from controller.clusters.cluster import ClusterClient
from controller.clusters.connect import open_transport
from controller.clusters.transport import Transport
from controller.model.resources import Cluster, Connection
from controller.model.sites import cluster_in, instance_in
from controller.schedulers import scheduler_named


class Clients:
    """Opens a client for a cluster on first use."""

    def __init__(
        self,
        instance: str,
        *,
        ssh_config: Path | None = None,
        connect: Callable[[Connection | None], Transport] = open_transport,
    ) -> None:
        """``ssh_config`` is the controller's own setting: a spec must not choose what runs on this machine."""
        self.instance = instance
        self._ssh_config = ssh_config
        self._connect = connect
        self._lock = threading.Lock()
        self._open: dict[str, tuple[Connection | None, Transport]] = {}

    def of(self, cluster: Cluster) -> ClusterClient:
        """Return the client for a cluster as its spec stands now."""
        with self._lock:
            # A site that is reached as its cluster is shares the connection.
            name = cluster_in(cluster.name)
            if name not in self._open or self._open[name][0] != cluster.connection:
                name = cluster.name
            connection, transport = self._open.get(name, (None, None))
            if transport is None or connection != cluster.connection:
                if transport is not None:
                    transport.close()
                transport = self._connect(self._configured(cluster.connection))
                self._open[name] = (cluster.connection, transport)
        instance = instance_in(cluster.name) or self.instance
        return ClusterClient(cluster, transport, scheduler_named(cluster.scheduler), instance=instance)

    def _configured(self, connection: Connection | None) -> Connection | None:
        if connection is None or self._ssh_config is None:
            return connection
        return replace(connection, ssh_config=str(self._ssh_config))

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            for _, transport in self._open.values():
                transport.close()
            self._open.clear()
