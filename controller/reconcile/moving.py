"""``controller move``: what has moved since the last pass, and how it is written down that it did.

The same look as a pass, and no action: it changes the records of where things are, and never a job. Done again after a
crash it does what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from controller.model.conditions import ACTIVE
from controller.model.errors import ConfigurationError, StalledError
from controller.model.failpoints import failpoint
from controller.model.leases import read_lease
from controller.model.runs import RunRecord
from controller.model.sites import cluster_in, instance_in, is_former, root_of
from controller.reconcile.leases import Leasing
from controller.reconcile.passes import Prospect
from controller.reconcile.settings import Settings
from controller.reconcile.sites import Sites
from controller.repository.identity import same_repository
from controller.repository.mirror import Mirror
from controller.repository.statusbranch import RECORD, StatusBranch
from controller.specs.nearest import nearest
from controller.store.journal import Journal


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that is another than before. ``how``: "" where it is done with the rest, else what is missing."""

    what: str
    """``address``, ``path``, ``branch``, ``account``, ``work directory``, ``cluster`` or ``runs``."""
    was: str
    now: str
    cluster: str = ""
    runs: int = 0
    """How many runs are known that it concerns."""
    how: str = ""


def steps_of(ahead: Prospect, *, carry: Collection[str], leave: Collection[str]) -> list[Step]:
    """Return what is another than before. ``carry`` and ``leave`` name clusters of which it is said what it means."""
    steps = [*_of_the_lease(ahead)]
    for name, offer in ahead.sites.offered.items():
        runs = len(list(_runs_at(ahead.sight.records, name)))
        how = "" if name in {*carry, *leave} else ahead.sites.doubts[name].message
        steps.append(Step(what="cluster", cluster=name, was=f"{offer.before}", now=f"{offer.here}", runs=runs, how=how))
    for name in carry:
        if name in ahead.sites.offered or name not in ahead.sites.in_force:
            continue
        for key in _lost_places(ahead, name):
            runs = sum(record.site == key for record in ahead.sight.records.values())
            was, now = ahead.sites.former[key].root, ahead.sites.in_force[name].root
            steps.append(Step(what="runs", cluster=name, was=was, now=now, runs=runs))
    return steps


def require_possible(ahead: Prospect, *, carry: Collection[str], leave: Collection[str]) -> None:
    """See that what was said of clusters can be so.

    Raises:
        ConfigurationError: there is no such cluster.
        StalledError: a cluster was not seen (``ClusterUnknown``), or nothing of ours is in the new directory.
    """
    for name in [*carry, *leave]:
        offer, seen = ahead.sites.offered.get(name), ahead.sight.observed.clusters.get(name)
        if offer is None and seen is None:
            near = nearest(name, ahead.desired.clusters)
            hint = f'; did you mean "{near}"?' if near else ""
            raise ConfigurationError("NoSuchCluster", f"no spec names a cluster {name}{hint}")
        if offer is None and seen is not None and not seen.reachable:
            raise StalledError("ClusterUnknown", f"cluster {name} could not be seen: {seen.error_reason}: {seen.error}")
        if offer is not None and name in carry and not offer.ours:
            raise StalledError(
                "NothingCarried",
                f"cluster {name}: nothing of ours is in {offer.here}, so it holds nothing that was in {offer.before}. "
                f"Copy it there first, with its instance's directory, or: controller move --leave {name}",
            )


def unseen_places(ahead: Prospect) -> list[str]:
    """Return ``Reason: message`` for each cluster of the specs that did not answer, so that nobody knows what moved."""
    observed = {name: ahead.sight.observed.clusters.get(name) for name in sorted(ahead.desired.clusters)}
    return [
        f"{seen.error_reason}: cluster {name}: {seen.error}"
        for name, seen in observed.items()
        if seen is not None and not seen.reachable and name not in ahead.sites.offered
    ]


def write_sites(ahead: Prospect, journal: Journal, *, carry: Collection[str], leave: Collection[str]) -> None:
    """Write down where runs are by what was said of clusters."""
    sites, records = ahead.sites, dict(ahead.sight.records)
    changed: dict[str, RunRecord] = {}
    for name in [*carry, *leave]:
        offer = sites.offered.get(name)
        if offer is not None and name in leave:
            sites.former[offer.before.key] = offer.before
            changed |= {r.id: replace(r, site=offer.before.key) for r in _runs_at(records, name)}
        elif offer is not None:
            old, new = offer.before.root, offer.here.root
            changed |= {r.id: _carried(r, old, new) for r in _runs_at(records, name)}
        else:
            for key in _lost_places(ahead, name):
                old, new = sites.former[key].root, sites.in_force[name].root
                changed |= {r.id: _carried(r, old, new) for r in records.values() if r.site == key}
        if offer is not None:
            sites.in_force[name] = offer.here
    failpoint("move.before")
    # Records before sites: in between, the cluster is held as it was before.
    journal.save_runs(changed.values())
    failpoint("move.recorded")
    sites.save(sites.whereabouts({**records, **changed}.values()))


def take_runs(
    sites: Sites,
    ours: Journal,
    theirs: Journal,
    jobs: Collection[str],
    *,
    instance: str,
    other: str,
    give: Callable[[Mapping[str, str]], None],
) -> None:
    """Follow from now on the runs that another instance has of these jobs.

    ``theirs`` is the journal of ``other``; its runs stay in that instance's directories, and it never cancels them.
    ``give`` writes that on its status branch (run -> instance), before anybody else follows them.
    """
    known = ours.runs()
    there = Sites(theirs, sites.whereabouts(()), other)
    taken, given = [], []
    for record in there.records_of(jobs):
        if record.given not in ("", instance):
            continue
        site = there.former.get(record.site) or there.in_force.get(record.run.cluster)
        if site is None or record.run_dir is None:
            raise StalledError("PlaceUnknown", f"where {record.id} is, is not known: run a pass of {other} first")
        site = replace(site, root=root_of(record.run_dir), instance=site.instance or other)
        sites.former[site.key] = site
        if record.id not in known:
            taken.append(replace(record, site=site.key, given=""))
        given.append(replace(record, given=instance))
    failpoint("move.before")
    if active := {record.id: record.given for record in given if record.state in ACTIVE}:
        give(active)
    failpoint("move.given")
    sites.save(sites.whereabouts([*known.values(), *taken]))
    ours.save_runs(taken)
    failpoint("move.taken")
    theirs.save_runs(given)


def leasing_of(settings: Settings, mirror: Mirror, journal: Journal, other: str) -> Leasing:
    """Return the lease of another instance by its own status branch, which its mirror knows; it is fetched anew."""
    branch = _status_branch_of(mirror, other) or settings.status_branch
    mirror.fetch(branch)
    return Leasing(settings, mirror, journal, StatusBranch(mirror, branch))


def _status_branch_of(mirror: Mirror, instance: str) -> str | None:
    heads = "refs/heads/"
    with mirror.reading() as repo:
        names = [name.removeprefix(heads) for name in repo.references if name.startswith(heads)]
    for name in names:
        try:
            text = StatusBranch(mirror, name).top_file(RECORD)
            if text is not None and read_lease(text).instance == instance:
                return name
        except ValueError:
            continue
    return None


def _of_the_lease(ahead: Prospect) -> Iterator[Step]:
    before, after = ahead.leasing.held_before, ahead.leasing.ruling.lease
    if before is None:
        return
    was, now = before.spot, after.spot
    if was is not None and now is not None:
        if not same_repository(was.address, now.address):
            yield Step(what="address", was=was.address, now=now.address)
        if was.path != now.path:
            yield Step(what="path", was=was.path or ".", now=now.path or ".")
        if was.branch and now.branch and was.branch != now.branch:
            yield Step(what="branch", was=was.branch, now=now.branch)
    for name, seen in ahead.sight.observed.clusters.items():
        account = seen.facts.user if seen.facts is not None and not is_former(name) else ""
        if account and before.accounts.get(name, account) != account:
            yield Step(what="account", cluster=name, was=before.accounts[name], now=account)


def _runs_at(records: Mapping[str, RunRecord], name: str) -> Iterator[RunRecord]:
    return (record for record in records.values() if record.where == name)


def _lost_places(ahead: Prospect, name: str) -> list[str]:
    """Return the earlier places of a cluster where runs are known to be, and that could not be seen."""
    used = {record.site for record in ahead.sight.records.values()}
    seen = ahead.sight.observed.clusters
    return [
        key
        for key in ahead.sites.former
        if key in used
        and cluster_in(key) == name
        and not instance_in(key)
        and not (key in seen and seen[key].reachable)
    ]


def _carried(record: RunRecord, old: str, new: str) -> RunRecord:
    run_dir = record.run_dir
    if run_dir is not None and root_of(run_dir) == old:
        run_dir = new + run_dir.removeprefix(old)
    return replace(record, site="", run_dir=run_dir)
