"""What Prometheus sees, in a registry of its own so that two services in one process (tests) do not share it.

Imports prometheus_client, so it is imported only when the HTTP port was asked for. The names are an
interface: people build alerts on them. They are listed in docs/service.md.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from controller.model.conditions import TaskState
from controller.service.summary import PassResult, PassSummary
from controller.service.webhook import Verdict

CONTENT_TYPE = CONTENT_TYPE_LATEST
_DURATION_BUCKETS_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)


class Metrics:
    """Counts passes and webhooks. A ``PassObserver``; safe to use from several threads."""

    def __init__(self, *, version: str, wall_clock: Callable[[], float] = time.time) -> None:
        self._wall_clock = wall_clock
        self._clusters: set[str] = set()
        self.registry = registry = CollectorRegistry()
        self._passes = Counter("controller_passes", "Passes by how they ended.", ["result"], registry=registry)
        self._duration = Histogram(
            "controller_pass_duration_seconds",
            "How long passes took.",
            buckets=_DURATION_BUCKETS_S,
            registry=registry,
        )
        self._last_pass = Gauge(
            "controller_last_pass_timestamp_seconds",
            "Unix time at which the latest pass that ran ended.",
            registry=registry,
        )
        self._actions = Counter(
            "controller_actions", "Actions by kind and outcome.", ["kind", "outcome"], registry=registry
        )
        self._tasks = Gauge("controller_tasks", "Tasks by state, as of the latest pass.", ["state"], registry=registry)
        self._reachable = Gauge(
            "controller_cluster_reachable",
            "1 when the latest pass could observe the cluster, else 0.",
            ["cluster"],
            registry=registry,
        )
        self._invalid = Gauge(
            "controller_invalid_specs", "Specs with errors in the latest pass's commit.", registry=registry
        )
        self._webhooks = Counter(
            "controller_webhooks", "Webhook requests by what became of them.", ["result"], registry=registry
        )
        build = Gauge("controller_build_info", "Always 1.", ["version", "python"], registry=registry)
        build.labels(version=version, python=platform.python_version()).set(1)
        # Every label is there from the start: an alert on a rate needs the zero before the first one.
        for result in PassResult:
            self._passes.labels(result=result.value)
        for verdict in Verdict:
            self._webhooks.labels(result=verdict.value)
        for state in TaskState:
            self._tasks.labels(state=state.value)
        ProcessCollector(registry=registry)

    def pass_ended(self, summary: PassSummary) -> None:
        """Take over what the pass counted."""
        self._passes.labels(result=summary.result.value).inc()
        self._duration.observe(summary.duration_s)
        self._last_pass.set(self._wall_clock())
        for (kind, outcome), count in summary.actions.items():
            self._actions.labels(kind=kind, outcome=outcome).inc(count)
        if summary.result is PassResult.FAILED:
            return  # What it counted is not the whole; the last whole picture stands.
        for state in TaskState:
            self._tasks.labels(state=state.value).set(summary.tasks.get(state, 0))
        self._invalid.set(summary.invalid_specs)
        for gone in self._clusters - summary.clusters.keys():
            self._reachable.remove(gone)
        for cluster, reachable in summary.clusters.items():
            self._reachable.labels(cluster=cluster).set(1 if reachable else 0)
        self._clusters = set(summary.clusters)

    def pass_failed(self, reason: str, duration_s: float) -> None:
        """Count a pass that could not run. Its reason is in the log; labels must not grow."""
        self._passes.labels(result=PassResult.FAILED.value).inc()
        self._duration.observe(duration_s)

    def webhook(self, verdict: Verdict) -> None:
        """Count a webhook request."""
        self._webhooks.labels(result=verdict.value).inc()

    def exposition(self) -> bytes:
        """The page that Prometheus reads, of type ``CONTENT_TYPE``."""
        return generate_latest(self.registry)
