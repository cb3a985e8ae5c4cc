"""Where each resource stands is remembered; what is removed is marked, and in the end forgotten."""

from __future__ import annotations

from controller.model.conditions import ACTIVE
from controller.model.resources import owner_of
from controller.reconcile.passes import Prospect
from controller.reconcile.source import standings_of
from controller.store.journal import Journal


def remember_before_acting(ahead: Prospect, journal: Journal) -> None:
    """Remember where each resource stands, and mark what is removed.

    What a pass begins and does not live to report needs its last good spec; what it cancels must not come back.
    """
    journal.save_resources(standings_of(ahead.desired), removed=_removed(ahead))


def remember_specs(ahead: Prospect, journal: Journal) -> None:
    """After a pass has acted: forget what is removed and has nothing active left."""
    desired, history = ahead.desired, ahead.history
    active = [*history.active(), *(r for r in ahead.plan.recalled.values() if r.state in ACTIVE)]
    in_use = {owner_of(record.run.job) for record in active}
    in_use |= {f"Cluster/{record.run.cluster}" for record in active}
    journal.save_resources(standings_of(desired), forget=_removed(ahead) - in_use)
    if not ahead.plan.holds:
        journal.save_fact("commit", desired.commit)


def _removed(ahead: Prospect) -> set[str]:
    """Return what is known as removed, and what this commit neither holds nor hides in what cannot be read."""
    desired, paths = ahead.desired, ahead.history.paths
    gone = paths.keys() - standings_of(desired).keys()
    broken = desired.broken | desired.stale
    return {key for key in gone if not paths[key] or (key not in broken and paths[key] not in desired.broken_paths)}
