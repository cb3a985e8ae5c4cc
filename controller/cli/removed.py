"""What is no longer asked for and still asked about: its last status, from the status branch's own commits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from controller.cli.names import KINDS, spelt, split_kind
from controller.model.conditions import ResourceStatus, TaskStatus
from controller.repository.report import path_of
from controller.repository.statuslog import StatusChange, changes

if TYPE_CHECKING:
    from controller.model.resources import Cluster
    from controller.model.sites import Site
    from controller.reconcile.settings import Settings
    from controller.repository.mirror import Mirror

REMOVED = "removed"
"""Name of the detail that says since when something is no longer asked for."""


def with_removed(mirror: Mirror, branch: str, statuses: Sequence[ResourceStatus], name: str) -> list[ResourceStatus]:
    """Return the statuses, and the last one that spoke of ``name`` (a resource, or one of its tasks) if none does."""
    kind, wanted = split_kind(spelt(name, statuses))
    resource, _, inner = wanted.partition("/")
    if any(kind in ("", each.kind) and each.name == resource and _has(each, wanted, inner) for each in statuses):
        return list(statuses)
    paths = [path_of(each, resource) for each in ((kind,) if kind else KINDS)]
    for change in changes(mirror, mirror.head(branch), paths):
        before, after = change.before, change.after
        if before is None or (after is not None and _has(after, wanted, inner)):
            continue
        meant = split_kind(spelt(name, [before]))[1]
        if _has(before, meant, inner):
            return [*statuses, _dated(before, change)]
    return list(statuses)


def cluster_of(settings: Settings, mirror: Mirror, status: ResourceStatus, task: TaskStatus) -> Cluster | None:
    """Return the cluster where a task's run is: by its spec in the newest commit, or in the one that its status names.

    Its directory is below the work directory of then, and where that was reached by another login host, by that one.
    """
    from controller.model.errors import ControllerError
    from controller.model.sites import host_of, root_of
    from controller.specs.compile import load

    assert task.run_dir is not None
    name, root = task.cluster or status.cluster, root_of(task.run_dir)
    sites = [site for site in _sites(settings, mirror) if site.cluster == name and site.root == root]
    for commit in (mirror.head(settings.branch), status.commit):
        try:
            cluster = load(mirror.tree(commit, settings.path)).clusters.get(name)
        except ControllerError:
            continue
        if cluster is None:
            continue
        if not sites or any(host_of(site.connection) == host_of(cluster.connection) for site in sites):
            return replace(cluster, workdir=root)
        return replace(cluster, workdir=root, connection=sites[0].connection)
    return None


def _sites(settings: Settings, mirror: Mirror) -> Sequence[Site]:
    from controller.model.leases import read_lease
    from controller.repository.statusbranch import RECORD, StatusBranch

    data = StatusBranch(mirror, settings.status_branch).top_file(RECORD)
    try:
        found = read_lease(data).sites if data is not None else None
    except ValueError:
        return ()
    return (*found.in_force, *found.former) if found is not None else ()


def _has(status: ResourceStatus, wanted: str, inner: str) -> bool:
    return not inner or any(task.id == wanted or task.id.startswith(f"{wanted}/") for task in status.tasks)


def _dated(status: ResourceStatus, change: StatusChange) -> ResourceStatus:
    since = f"no longer asked for since {change.time}"
    if change.spec_commit:
        since += f" (commit {change.spec_commit[:12]})"
    return replace(status, details={**status.details, REMOVED: since})
