"""Connections that are shared, and never closed under a thread that uses them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from controller.clusters.transport import Completed
from controller.model.resources import Cluster, Connection
from controller.reconcile.clients import IDLE_S, Clients
from tests.unit.planning import values

DONE = Completed(exit_code=0, stdout=b"", stderr=b"")


class Line:
    """A transport whose scripts end when they are let go, and that knows whether it was closed under one."""

    def __init__(self, go: threading.Event) -> None:
        self.go = go
        self.running = 0
        self.closed = 0
        self.closed_in_use = False

    def run(self, script: str, **_: Any) -> Completed:
        self.running += 1
        self.go.wait(20)
        self.running -= 1
        return DONE

    def close(self) -> None:
        self.closed += 1
        self.closed_in_use = self.closed_in_use or self.running > 0


def cluster(name: str, host: str) -> Cluster:
    return replace(values.cluster(), name=name, connection=Connection(host=host))


def test_specs_that_take_turns_close_nothing_in_use() -> None:
    """A, B, A, B: whoever works over A's connection goes on, and A is opened once."""
    go, now = threading.Event(), [0.0]
    opened: list[tuple[str, Line]] = []

    def connect(connection: Connection | None) -> Line:
        assert connection is not None
        opened.append((connection.host, Line(go)))
        return opened[-1][1]

    clients = Clients("i", connect=connect, clock=lambda: now[0])
    with ThreadPoolExecutor(4) as pool:
        lasting = []
        for number in range(4):
            now[0] += 2 * IDLE_S
            transport = clients.of(cluster("hpc", "AB"[number % 2]))._transport
            lasting.append(pool.submit(transport.run, "upload"))
            while sum(line.running for _, line in opened) <= number:
                pass
        go.set()
        assert [each.result() for each in lasting] == [DONE] * 4
    assert [host for host, _ in opened] == ["A", "B"]
    assert not any(line.closed for _, line in opened)

    now[0] += 2 * IDLE_S
    clients.of(cluster("hpc", "A"))
    assert [line.closed for _, line in opened] == [1, 1, 0]
    clients.close()
    assert [host for host, _ in opened] == ["A", "B", "A"]
    assert not any(line.closed_in_use for _, line in opened)


def test_clusters_that_are_reached_alike_share_a_connection() -> None:
    """Two partitions of one machine, as two Clusters, are one login."""
    opened: list[Line] = []

    def connect(connection: Connection | None) -> Line:
        opened.append(Line(threading.Event()))
        return opened[-1]

    clients = Clients("i", connect=connect)
    for name in ("cpu", "gpu", "cpu"):
        clients.of(cluster(name, "login"))
    assert len(opened) == 1
