"""What is wanted: the newest commit's specs, with the last good version of each spec that it broke."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from controller.model.images import Image
from controller.model.resources import Cluster, Desired, Job, Workflow, owner_of
from controller.specs.compile import load
from controller.specs.outside import Resolve
from controller.specs.tree import Tree
from controller.store.journal import Standing

Resource = Cluster | Image | Job | Workflow


def with_last_good(
    desired: Desired,
    standings: Mapping[str, Standing],
    tree_at: Callable[[str], Tree | None],
    resolve: Resolve,
    *,
    active: Iterable[str],
    older: Mapping[str, Standing] | None = None,
) -> Desired:
    """Put the last good version of every broken resource in its place; one that was removed before has none.

    ``older`` says where to look for one that does not stand where ``standings`` says. ``active`` names the clusters
    with active runs: those that the commit no longer holds come back as ``retired``. A version whose commit is gone (a
    rewritten branch) cannot be had; its runs are left alone all the same.
    """
    old = _Old(tree_at, resolve, older or {})
    hidden = {key for key, standing in standings.items() if standing.path in desired.broken_paths}
    missing = {key for key in desired.broken | hidden if _find(desired, key) is None}
    kept: dict[str, Resource] = {}
    for key in sorted(missing):
        if key not in standings or standings[key].is_removed:
            continue
        resource = old.find(key, standings[key])
        if resource is not None:
            kept[key] = resource
        if isinstance(resource, Workflow):
            there = Standing(path=resource.source.path, commit=resource.source.commit)
            kept |= {step: job for step in resource.steps if (job := old.find(f"Job/{step}", there)) is not None}
    desired = _with(desired, kept)
    retired = {}
    for name in set(active) - set(desired.clusters):
        cluster = old.find(f"Cluster/{name}", standings.get(f"Cluster/{name}"))
        if isinstance(cluster, Cluster):
            retired[name] = cluster
    return replace(
        desired, stale=frozenset(kept) & _keys(desired), broken=desired.broken | hidden & missing, retired=retired
    )


@dataclass(slots=True)
class _Old:
    """Earlier commits, each read once."""

    tree_at: Callable[[str], Tree | None]
    resolve: Resolve
    older: Mapping[str, Standing]
    read: dict[str, Desired] = field(default_factory=dict)

    def find(self, key: str, standing: Standing | None) -> Resource | None:
        """Return a resource as it stood."""
        for place in (standing, self.older.get(key)):
            found = _find(self._at(place.commit), key) if place is not None and place.commit else None
            if found is not None:
                return found
        return None

    def _at(self, commit: str) -> Desired:
        if commit not in self.read:
            tree = self.tree_at(commit)
            self.read[commit] = load(tree, resolve=self.resolve) if tree is not None else Desired(commit=commit)
        return self.read[commit]


def _find(desired: Desired, key: str) -> Resource | None:
    kind, _, name = key.partition("/")
    match kind:
        case "Cluster":
            return desired.clusters.get(name)
        case "Image":
            return desired.images.get(name)
        case "Workflow":
            return desired.workflows.get(name)
        case _:
            return desired.jobs.get(name)


def _keys(desired: Desired) -> set[str]:
    return (
        {f"Cluster/{name}" for name in desired.clusters}
        | {f"Image/{name}" for name in desired.images}
        | {owner_of(name) for name in desired.jobs}
    )


def _with(desired: Desired, kept: Mapping[str, Resource]) -> Desired:
    """Add resources of earlier commits; a job comes back only if what it names is there."""
    clusters, images, jobs = dict(desired.clusters), dict(desired.images), dict(desired.jobs)
    workflows = dict(desired.workflows)
    for resource in kept.values():
        match resource:
            case Cluster():
                clusters[resource.name] = resource
            case Image():
                images[resource.name] = resource
            case Job():
                jobs[resource.name] = resource
            case Workflow():
                workflows[resource.name] = resource
    complete = {
        name: job
        for name, job in jobs.items()
        if job.cluster in clusters and (job.image is None or job.image in images)
    }
    return replace(desired, clusters=clusters, images=images, jobs=complete, workflows=workflows)


def standings_of(desired: Desired) -> dict[str, Standing]:
    """Return where every resource stands: in this very commit, or in the earlier one that it was taken from."""
    resources: list[tuple[str, Resource]] = [
        *((f"Cluster/{name}", cluster) for name, cluster in desired.clusters.items()),
        *((f"Image/{name}", image) for name, image in desired.images.items()),
        *((f"Job/{name}", job) for name, job in desired.jobs.items() if job.workflow is None),
        *((f"Workflow/{name}", workflow) for name, workflow in desired.workflows.items()),
    ]
    return {
        key: Standing(
            path=resource.source.path,
            commit=resource.source.commit if key in desired.stale else desired.commit,
        )
        for key, resource in resources
    }
