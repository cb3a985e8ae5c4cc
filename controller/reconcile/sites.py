"""Where runs are: the sites in force, those that specs no longer name, and what is held while that is in doubt.

After each look what was seen of a cluster is compared with where it was. The same directory by another name is no
change. Another directory on the same machine is followed: new work goes there, and runs stay where they are. All else
is held until a person says what it means (``controller move``). Must not write anywhere but into the journal.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from controller.model.conditions import ACTIVE, TaskState
from controller.model.errors import ControllerError, StalledError
from controller.model.files import Source
from controller.model.observed import ClusterObservation
from controller.model.resources import Cluster, Desired
from controller.model.runs import RunRecord, place_of
from controller.model.sites import (
    Site,
    Whereabouts,
    cluster_in,
    host_of,
    instance_in,
    is_former,
    read_whereabouts,
    root_of,
    whereabouts_document,
)
from controller.planning.results import unread
from controller.reconcile.ownership import held
from controller.store.journal import Journal

FACT = "sites"
"""The record in the journal."""
WORKDIR_GONE = "WorkdirGone"
"""Reason of a look at a site whose directory is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A cluster that is not where it was. ``ours``: the new directory holds this instance's."""

    before: Site
    here: Site
    ours: bool


class Sites:
    """For one pass: the sites that are known, and what the look says of them."""

    def __init__(self, journal: Journal, published: Whereabouts, instance: str) -> None:
        """``published`` counts while the journal knows of none."""
        self._journal = journal
        self._instance = instance
        text = journal.fact(FACT)
        known = published if text is None else read_whereabouts(json.loads(text))
        self.in_force = {site.cluster: site for site in known.in_force}
        self.former = {site.key: site for site in known.former}
        self.notes: dict[str, None] = {}
        self.doubts: dict[str, ControllerError] = {}
        """Cluster -> why it is held."""
        self.offered: dict[str, Offer] = {}
        """Cluster -> where it was and where it is now, for those in doubt."""
        self._compared: set[str] = set()
        self._renamed: dict[str, str] = {}
        self._again = False

    # ---- before the look ----

    def told(self, places: Iterable[tuple[str, str]]) -> None:
        """Look as well where runs are by what is published of them: cluster and directory each."""
        for cluster, run_dir in places:
            here, root = self.in_force.get(cluster), root_of(run_dir)
            if here is not None and root != here.root and place_of(run_dir)[0] == self._instance:
                site = replace(here, root=root)
                self.former.setdefault(site.key, site)
                self._compared.add(site.key)

    def reaching(self, desired: Desired, records: Mapping[str, RunRecord]) -> Desired:
        """Return what is desired with every place as ``retired`` that is to be looked at beside its clusters."""
        retired = {name: cluster for name, cluster in desired.retired.items() if not is_former(name)}
        wanted = self._compared | self._needed(desired, records)
        scanned = {key for key in self.former if self._journal.fact(f"scanned:{key}") is not None}
        wanted |= {key for key in self.former if key not in scanned and not instance_in(key)}
        for name in sorted(wanted):
            site = self.former.get(name) or self.in_force.get(name)
            if site is not None and name not in desired.clusters and name not in retired:
                retired[name] = _cluster_at(site, name, desired)
        return replace(desired, retired=retired)

    def reached_anew(self, desired: Desired) -> set[str]:
        """Return the clusters whose login host is another than before: what the scheduler is called is asked anew."""
        return {
            name
            for name, cluster in desired.clusters.items()
            if name in self.in_force and host_of(self.in_force[name].connection) != host_of(cluster.connection)
        }

    def _needed(self, desired: Desired, records: Mapping[str, RunRecord]) -> set[str]:
        """Return where runs are active, have results that are to be read, or have files that others still need."""
        found, kept = set[str](), dict[str, set[str]]()
        for record in records.values():
            results = record.run.job in desired.jobs and unread(record.result_faults)
            if record.state in ACTIVE or record.lapsed or results:
                found.add(record.where)
            elif record.site and record.state is TaskState.SUCCEEDED:
                kept.setdefault(record.run.job, set()).add(record.where)
        if kept:
            done = {(r.run.job, r.run.key, r.run.digest) for r in records.values() if r.state is TaskState.SUCCEEDED}
            for job in desired.jobs.values():
                if any((task.job, task.key, task.digest) not in done for task in job.tasks):
                    found |= {where for name in job.needs for where in kept.get(name, ())}
        return found

    # ---- after the look ----

    def judged(
        self, seen: Mapping[str, ClusterObservation], desired: Desired, records: Mapping[str, RunRecord]
    ) -> dict[str, ClusterObservation]:
        """Return what was seen, with each cluster held of which it is in doubt whether it is where it was."""
        found, used = dict(seen), {record.where for record in records.values()}
        self.doubts.clear()
        self.offered.clear()
        for name, observation in seen.items():
            cluster = desired.clusters.get(name)
            if cluster is None or not observation.reachable or observation.facts is None:
                continue
            before = self.in_force.get(name) or self._from_facts(cluster)
            here = Site(
                cluster=name,
                root=observation.facts.root,
                connection=cluster.connection,
                scheduler=cluster.scheduler,
                account=observation.facts.user,
                system=observation.facts.system or (before.system if before is not None else ""),
            )
            unused = name not in used and self._journal.fact(f"scanned:{name}") is not None
            if before is None or unused or before.is_at(here):
                self.in_force[name] = here
                continue
            error = self._compare(before, here, observation, seen)
            if error is not None:
                found[name] = held(observation, error)
                self.doubts[name] = error
                self.offered[name] = Offer(before=before, here=here, ours=self._instance in (observation.owners or {}))
        return found

    def _from_facts(self, cluster: Cluster) -> Site | None:
        """Return where a cluster was by the facts of an earlier version, which knew of no sites."""
        root = json.loads(self._journal.fact(f"facts:{cluster.name}") or "{}").get("root")
        if not root:
            return None
        return Site(cluster=cluster.name, root=root, connection=cluster.connection, scheduler=cluster.scheduler)

    def _compare(
        self, before: Site, here: Site, observation: ClusterObservation, seen: Mapping[str, ClusterObservation]
    ) -> ControllerError | None:
        """Take over where a cluster is now; return why not."""
        name, moved = here.cluster, host_of(before.connection) != host_of(here.connection)
        if moved and before.system and here.system and before.system != here.system:
            return _another_cluster(before, here, f"the scheduler is that of {here.system}, not of {before.system}")
        twin = next((each for each in self.in_force.values() if each.cluster != name and each.is_at(here)), None)
        if moved and twin is not None:
            return _another_cluster(before, here, f"that is where cluster {twin.cluster} is")
        if before.root == here.root:
            if self._instance not in (observation.owners or {}):
                return _another_cluster(before, here, f"nothing of ours is in {here.root} there")
            self._take_over(before, here)
            return None
        # Whatever the new directory holds, the old one tells whether the runs are still where they were.
        old = replace(before, connection=here.connection)
        there = seen.get(old.key)
        if there is None:
            self.former[old.key] = old
            self._compared.add(old.key)
            self._again = True
            return _in_doubt(before, here)
        if not there.reachable:
            if there.error_reason != WORKDIR_GONE:
                return _in_doubt(before, here, there.error)
            if moved:
                return _another_cluster(before, here, f"{before.root} is not there")
            return _directory_gone(before, here)
        if moved and self._instance not in (there.owners or {}):
            return _another_cluster(before, here, f"nothing of ours is in {before.root} there")
        if moved:
            self._take_over(before, old)
        self.notes[f"cluster {name}: new work goes to {here.root}; what is in {before.root} is followed there"] = None
        self.in_force[name] = here
        return None

    def _take_over(self, before: Site, here: Site) -> None:
        """Go by another login host to where everything is, also to what is in earlier directories there."""
        for key, site in list(self.former.items()):
            if site.cluster == before.cluster and host_of(site.connection) == host_of(before.connection):
                renamed = replace(site, connection=here.connection)
                self.former[renamed.key] = renamed
                self._renamed[key] = renamed.key
        self.in_force[here.cluster] = here
        was, now = host_of(before.connection) or "this machine", host_of(here.connection) or "this machine"
        self.notes[f"cluster {here.cluster} is reached by {now}, which has the work directory that {was} had"] = None

    def settled(self) -> bool:
        """Whether the look was at all places that it takes; False: look again."""
        again, self._again = self._again, False
        return not again

    def placed(self, records: Mapping[str, RunRecord], desired: Desired) -> dict[str, RunRecord]:
        """Return the records with where each run is, by its directory and where the clusters are."""
        keys = {site.key: name for name, site in self.in_force.items()}
        found = dict(records)
        for key, record in records.items():
            site = self._site_of(record, keys, desired)
            if site != record.site:
                found[key] = replace(record, site=site)
        return found

    def _site_of(self, record: RunRecord, keys: Mapping[str, str], desired: Desired) -> str:
        name = record.run.cluster
        site = self._renamed.get(record.site, record.site)
        if site:
            now = keys.get(site, site)
            return "" if now == name else now
        here = self.in_force.get(name)
        if here is None:
            return ""
        if record.run_dir and record.run_dir.startswith("/") and (root := root_of(record.run_dir)) != here.root:
            other = replace(here, root=root)
            self.former.setdefault(other.key, other)
            return other.key
        if name not in desired.clusters:
            # The same directory under another name: the cluster was renamed.
            names = (each for each in desired.clusters if each in self.in_force)
            return next((each for each in names if self.in_force[each].is_at(here)), "")
        return ""

    # ---- what is kept ----

    def records_of(self, jobs: Collection[str]) -> list[RunRecord]:
        """Return the runs of some jobs that the journal knows."""
        return [record for _, record in sorted(self._journal.runs().items()) if record.run.job in jobs]

    def whereabouts(self, records: Iterable[RunRecord]) -> Whereabouts:
        """Return the sites that are to be remembered: earlier ones as long as a run is known to be there."""
        used = {record.site for record in records}
        kept = [site for key, site in self.former.items() if key in used]
        return Whereabouts(in_force=tuple(self.in_force.values()), former=tuple(kept))

    def save(self, found: Whereabouts) -> None:
        """Write them into the journal."""
        text = json.dumps(whereabouts_document(found))
        if self._journal.fact(FACT) != text:
            self._journal.save_fact(FACT, text)


def _cluster_at(site: Site, name: str, desired: Desired) -> Cluster:
    """Return a site as a cluster: the same login as its cluster's, where that is the same host."""
    own = desired.clusters.get(cluster_in(name))
    base = own or Cluster(name=name, source=Source(path="", line=0, commit=desired.commit))
    same = own is not None and own.connection is not None and host_of(own.connection) == host_of(site.connection)
    connection = own.connection if own is not None and same else site.connection
    return replace(base, name=name, connection=connection, scheduler=site.scheduler, workdir=site.root)


_WAYS = "controller move shows what can be done, and does it"


def _in_doubt(before: Site, here: Site, why: str = "") -> ControllerError:
    said = f" ({why})" if why else ""
    return StalledError("WorkdirUnknown", f"cluster {here.cluster} was {before} and is {here}: not looked at yet{said}")


def _another_cluster(before: Site, here: Site, why: str) -> ControllerError:
    return StalledError(
        "ClusterChanged",
        f"cluster {here.cluster} was {before} and is now {here}: {why}. Nothing was done there. If it is another "
        "cluster, give it a name of its own in its spec; or let new work go there while runs are followed where they "
        f"are: controller move --leave {here.cluster}. {_WAYS}",
    )


def _directory_gone(before: Site, here: Site) -> ControllerError:
    return StalledError(
        "WorkdirMoved",
        f"cluster {here.cluster}: runs are in {before.root}, which is gone or not mounted, and workdir is now "
        f"{here.root}. Nothing was done there. If its content is in {here.root} now: controller move --carry "
        f"{here.cluster}; if it is away for good, or for a while: controller move --leave {here.cluster}. {_WAYS}",
    )
