"""The look of a pass: repeated until it is made in the right name, and at all places where runs are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial

from controller.clusters.cluster import ClusterClient
from controller.containers.engine import Engine
from controller.model.conditions import ACTIVE
from controller.model.observed import ClusterObservation
from controller.model.resources import Desired
from controller.model.runs import RunRecord
from controller.model.sites import cluster_in, is_former, root_of
from controller.planning.carried import Carried, told_in
from controller.planning.history import History
from controller.planning.recall import under_way
from controller.planning.results import unread as unread_metrics
from controller.reconcile.clients import Clients
from controller.reconcile.leases import Leasing
from controller.reconcile.looking import Seen, Sight, look
from controller.reconcile.outputs import directories_of
from controller.reconcile.sites import Sites
from controller.store.journal import Journal


def clusters_in_use(records: Mapping[str, RunRecord], desired: Desired) -> set[str]:
    """Return the clusters on which runs are active, or have results that are still to be read and asked for."""
    return {
        record.where
        for record in records.values()
        if not is_former(record.where)
        and (record.state in ACTIVE or (record.run.job in desired.jobs and unread_metrics(record.result_faults)))
    }


def survey(
    desired: Desired,
    leasing: Leasing,
    sites: Sites,
    *,
    journal: Journal,
    clients: Clients,
    client_of: Callable[[Desired], Callable[[str], ClusterClient]],
    engine: Engine,
    records: Mapping[str, RunRecord],
    known: History,
    now: float,
    grace_s: float,
) -> tuple[Desired, Sight]:
    """Look at everything; return what is desired with all the places that were looked at, and what was seen.

    ``known`` is what status branch and ledger say, where this controller may know less.
    """
    carried = Carried(desired, told_in(known.published))
    records = carried.records(records)
    whole: frozenset[str] = frozenset()
    places = list(under_way(known.published))
    used = {(cluster, root_of(run_dir)) for cluster, run_dir in places}
    while True:
        clients.instance = leasing.instance
        sites.told(places)
        records = sites.placed(records, desired)
        desired = sites.reaching(desired, records)

        vet = partial(_vetted, leasing, sites, desired, records, used)
        sight = look(
            desired,
            journal,
            client_of(desired),
            engine,
            instance=leasing.instance,
            now=now,
            grace_s=grace_s,
            records=records,
            vet=vet,
            anew=sites.reached_anew(desired),
            whole=whole,
            carried=carried,
            directories=partial(_directories, desired, known),
        )
        if leasing.settled() and sites.settled():
            unread = _with_unknown_runs(sight) - whole
            if not unread:
                return desired, sight
            whole |= unread


def _lost_if_used(seen: ClusterObservation, used: Collection[tuple[str, str]]) -> ClusterObservation:
    """Return a work directory as lost that has no mark, and in which runs are: the journal that knew it is new."""
    facts = seen.facts
    if facts is None or facts.initialised or (cluster_in(seen.cluster), facts.root) not in used:
        return seen
    return replace(seen, facts=replace(facts, lost=True))


def _with_unknown_runs(sight: Sight) -> frozenset[str]:
    """Return the clusters with runs that another controller began, or this one before an old backup was put back.

    What they count for has to be known before anything is planned: under another name, recipe or root than theirs no
    claim would keep the same work from being begun again.
    """
    return frozenset(name for name in sight.strangers if sight.observed.clusters[name].scanned is None)


def _directories(desired: Desired, known: History, records: Mapping[str, RunRecord]) -> Mapping[str, tuple[str, ...]]:
    return directories_of(desired, replace(known, runs=records))


def _vetted(
    leasing: Leasing,
    sites: Sites,
    desired: Desired,
    records: Mapping[str, RunRecord],
    used: Collection[tuple[str, str]],
    seen: Seen,
) -> tuple[Seen, Mapping[str, RunRecord]]:
    """Return what may be concluded from, and where each run is by that.

    ``used`` are the work directories, with their clusters, in which runs are under way by what is published.
    """
    owned = {name: _lost_if_used(leasing.vet(each), used) for name, each in seen.items()}
    found = sites.judged(owned, desired, records)
    return found, sites.placed(records, desired)
