"""The last step before acting: on each cluster in use it is written down whose directory it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from controller.clusters.cluster import ClusterClient
from controller.model.plans import cluster_of
from controller.model.sites import instance_in, is_former
from controller.planning.plan import make_plan
from controller.reconcile.passes import Prospect


def own_clusters(ahead: Prospect, client_of: Callable[[str], ClusterClient], *, now: float) -> Prospect:
    """Write ``owner.json`` where it is missing or outdated; plan anew without the clusters that turn out to be held."""
    in_use = {cluster_of(action) for action in ahead.plan.actions}
    in_use |= {record.where for record in ahead.sight.records.values()}
    before = ahead.sight.observed.clusters
    after = {
        # Where only another instance's runs are, or none any more, the record stays as it is.
        name: seen
        if is_former(name) and (instance_in(name) or name not in in_use)
        else ahead.leasing.own(client_of(name), seen, in_use=name in in_use)
        for name, seen in before.items()
    }
    if all(seen.reachable or not before[name].reachable for name, seen in after.items()):
        return ahead
    sight = replace(ahead.sight, observed=replace(ahead.sight.observed, clusters=after))
    plan = make_plan(ahead.desired, sight.observed, ahead.history, now=now)
    return replace(ahead, sight=sight, plan=plan)
