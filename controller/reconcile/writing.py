"""What a pass writes down: what it saw, before anything is done; and what has ended, before that is reported.

In this order, so that a pass that is killed has forgotten nothing that it acts on. Must not look or act.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace

from controller.model.conditions import TERMINAL, ResourceStatus
from controller.model.documents import to_document
from controller.model.failpoints import failpoint
from controller.planning.recall import to_keep
from controller.reconcile.earlier import remember_let_go
from controller.reconcile.ledger import add_ends, keep
from controller.reconcile.looking import remember
from controller.reconcile.passes import Prospect
from controller.reconcile.pins import PINS
from controller.reconcile.standings import remember_before_acting
from controller.reconcile.submitting import remember_submits
from controller.store.journal import Journal


def write_seen(ahead: Prospect, journal: Journal, *, pins: str, now: float) -> None:
    """Write what was read and seen, and what is to be remembered of it."""
    failpoint("look.remember.before")
    remember(ahead.sight, journal, before=ahead.before, now=now)
    ahead.sites.save(ahead.leasing.ruling.lease.sites)
    journal.save_runs(to_keep(ahead.plan.recalled, ahead.desired, ahead.sight.observed))
    keep(ahead.ledger, journal)
    remember_let_go(journal, ahead.plan.let_go)
    times = {name: asdict(clockwork) for name, clockwork in ahead.clockworks.items()}
    journal.save_fact("clockworks", json.dumps(times))
    journal.save_fact(PINS, pins)
    remember_submits(journal, ahead.history.submits, now=now)
    remember_before_acting(ahead, journal)
    failpoint("look.remember.after")


def write_ends(ahead: Prospect, journal: Journal, statuses: Sequence[ResourceStatus], *, instance: str) -> None:
    """Write the statuses, and enter what has ended into the ledger."""
    # The tasks are in the runs: of what was said before, only the conditions' times are asked for.
    conditions = {status.key: replace(status, tasks=()) for status in statuses}
    if conditions != ahead.history.statuses:
        journal.save_statuses({key: json.dumps(to_document(each)) for key, each in conditions.items()})
    # Those that ended in this pass are missing there; these may tell more than their entries.
    seen, before = ahead.sight.records.values(), ahead.before
    changed = [each for each in seen if each.state in TERMINAL and before.get(each.id) != each]
    add_ends(journal, changed, ahead.memory.statuses, instance=instance)
