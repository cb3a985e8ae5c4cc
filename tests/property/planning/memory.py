"""A journal in memory, with places to die before and after each write, and a controller that makes real passes."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from controller.containers.engine import Engine
from controller.model.conditions import TERMINAL, ResourceStatus
from controller.model.plans import Failure, Plan
from controller.model.resources import Desired
from controller.model.runs import RunRecord
from controller.planning.history import History
from controller.planning.plan import make_plan
from controller.planning.rate import recent
from controller.planning.recall import to_keep
from controller.reconcile.applying import apply
from controller.reconcile.hands import Hands
from controller.reconcile.looking import look, remember
from controller.reconcile.submitting import latest_submits, remember_submits
from controller.reconcile.workshop import Workshop
from tests.property.planning.model_cluster import INSTANCE, ModelCluster

GRACE_S = 120.0


@dataclass
class MemoryJournal:
    """What ``Journal`` offers to a pass; each write is whole or not at all."""

    cluster: ModelCluster
    records: dict[str, RunRecord] = field(default_factory=dict)
    failed: dict[str, Failure] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)
    submitted: dict[str, list[float]] = field(default_factory=dict)
    taken_back: list[str] = field(default_factory=list)
    """Ends that were written and then something else."""

    def runs(self) -> dict[str, RunRecord]:
        return dict(self.records)

    def save_runs(self, records: Iterable[RunRecord]) -> None:
        self.cluster.step()
        for record in list(records):
            before = self.records.get(record.id)
            if before is not None and before.state in TERMINAL and before.state is not record.state:
                self.taken_back.append(f"{record.id} was {before.state}, is {record.state}")
            self.records[record.id] = record
        self.cluster.step()

    def forget_runs(self, run_ids: Iterable[str]) -> None:
        self.cluster.step()
        for run_id in list(run_ids):
            self.records.pop(run_id, None)

    def tries(self, batch: str) -> int:
        return self.sent.get(batch, 0)

    def save_tries(self, batch: str, tries: int) -> None:
        self.cluster.step()
        self.sent[batch] = tries

    def failures(self) -> Mapping[str, Failure]:
        return dict(self.failed)

    def save_failure(self, key: str, failure: Failure) -> None:
        self.failed[key] = failure

    def clear_failures(self, keys: Iterable[str]) -> None:
        for key in list(keys):
            self.failed.pop(key, None)

    def submits(self) -> dict[str, tuple[float, ...]]:
        return {name: tuple(times) for name, times in self.submitted.items()}

    def add_submits(self, cluster: str, times: Iterable[float], *, now: float) -> None:
        self.cluster.step()
        self.submitted[cluster] = recent([*self.submitted.get(cluster, ()), *times], now=now)
        self.cluster.step()

    def fact(self, name: str) -> str | None:
        return self.facts.get(name)

    def save_fact(self, name: str, value: str) -> None:
        self.cluster.step()
        self.facts[name] = value


def run_pass(
    wanted: Desired, cluster: ModelCluster, journal: MemoryJournal, published: dict[str, ResourceStatus]
) -> Plan:
    """One pass as the reconciler makes it, with the real looking, planning and acting; returns its plan.

    ``published`` is the status branch: read at the start, written at the end.
    """
    before = journal.runs()
    memory: Any = journal
    sight = look(
        wanted,
        memory,
        lambda name: cast(Any, cluster),
        cast(Engine, None),
        instance=INSTANCE,
        now=cluster.now,
        grace_s=GRACE_S,
        records=before,
    )
    submits = latest_submits(memory, sight.records)
    past = History(
        runs=sight.records,
        failures=journal.failures(),
        submits=submits,
        approved=True,
        published=dict(published),
    )
    plan = make_plan(wanted, sight.observed, past, now=cluster.now)
    remember(sight, memory, before=before, now=cluster.now)
    remember_submits(memory, submits, now=cluster.now)
    journal.save_runs(to_keep(plan.recalled, wanted, sight.observed))
    hands = Hands(
        journal=memory,
        engine=cast(Engine, None),
        client_of=lambda name: cast(Any, cluster),
        tree_of=lambda files: cast(Any, None),
        instance=INSTANCE,
        state_dir=Path("nowhere"),
        clock=lambda: cluster.now,
        say=lambda key, line: None,
    )
    apply(plan, sight.observed, hands, stop=threading.Event(), workshop=Workshop())
    past = replace(past, runs=journal.runs(), failures=journal.failures())
    said = make_plan(wanted, sight.observed, past, now=cluster.now).statuses
    published.clear()
    published.update({status.key: status for status in said})
    return plan
