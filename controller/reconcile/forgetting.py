"""Where resources stand, remembered at the end of a pass; those that are gone for good are forgotten."""

from __future__ import annotations

from controller.model.conditions import ACTIVE
from controller.model.resources import owner_of
from controller.reconcile.passes import Prospect
from controller.reconcile.source import standings_of
from controller.store.journal import Journal


def remember_specs(ahead: Prospect, journal: Journal) -> None:
    """Remember where each resource stands; forget those that are gone and have nothing active left."""
    desired, history = ahead.desired, ahead.history
    standings = standings_of(desired)
    active = [*history.active(), *(r for r in ahead.plan.recalled.values() if r.state in ACTIVE)]
    in_use = {owner_of(record.run.job) for record in active}
    in_use |= {f"Cluster/{record.run.cluster}" for record in active}
    gone = set(history.paths) - set(standings) - desired.broken - desired.stale - in_use
    hidden = {key for key in gone if history.paths[key] in desired.broken_paths}
    journal.save_resources(standings, forget=gone - hidden)
    if not ahead.plan.holds:
        journal.save_fact("commit", desired.commit)
