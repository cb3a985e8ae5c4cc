"""What a job's runs need on their cluster before they can be submitted: the image as a SIF, the files."""

from __future__ import annotations

from controller.model.images import Build, Image
from controller.model.plans import BuildImage, PublishImage, StageFiles
from controller.model.resources import Cluster, Job
from controller.planning.draft import Draft, wait_for
from controller.planning.verdicts import Wait

NO_ROUTE = "RouteMissing"
"""Reason of an image that there is no way to bring to a cluster."""


def plan_needs(draft: Draft, job: Job, cluster: Cluster) -> tuple[tuple[str, ...], Wait | None]:
    """Plan what is missing; return those actions' keys, or why it cannot be had now."""
    keys: list[str] = []
    seen = draft.observed.clusters[cluster.name]
    image = draft.image(job)
    if image is not None:
        if seen.images is None:
            return (), Wait("ClusterUnknown", f"cluster {cluster.name}: its images could not be listed")
        if image.identity not in seen.images:
            wait = _plan_publish(draft, image, cluster, keys)
            if wait is not None:
                return (), wait
    if job.files is not None:
        if seen.files is None:
            return (), Wait("ClusterUnknown", f"cluster {cluster.name}: its files could not be listed")
        if job.files.tree not in seen.files:
            stage = StageFiles(cluster=cluster, files=job.files, why=f"job {job.name} names them")
            failure = draft.recent(stage.key)
            if failure is not None:
                return (), wait_for(failure)
            draft.actions.setdefault(stage.key, stage)
            keys.append(stage.key)
    return tuple(keys), None


def plan_unused_image(draft: Draft, image: Image) -> None:
    """An image that no job names is built all the same: it is asked for."""
    if any(job.image == image.name for job in draft.desired.jobs.values()):
        return
    if draft.observed.engine is not None and draft.observed.engine.images is not None:
        _plan_build(draft, image, why="no job names it yet")


def _plan_publish(draft: Draft, image: Image, cluster: Cluster, keys: list[str]) -> Wait | None:
    publish = PublishImage(image=image, cluster=cluster, why=f"cluster {cluster.name} has no SIF of it")
    failure = draft.recent(publish.key)
    if failure is not None:
        return wait_for(failure)
    build, wait = _plan_build(draft, image, why=publish.why)
    if wait is not None:
        return wait
    draft.actions.setdefault(publish.key, publish)
    if build is not None:
        draft.needs[publish.key] = (build,)
    keys.append(publish.key)
    return None


def _plan_build(draft: Draft, image: Image, *, why: str) -> tuple[str | None, Wait | None]:
    if not isinstance(image.origin, Build):
        return None, Wait(NO_ROUTE, f"image {image.name}: this version cannot use from: or sif:; build it instead")
    engine = draft.observed.engine
    if engine is None or engine.images is None:
        error = engine.error if engine else "the Docker Engine was not asked"
        return None, Wait(engine.error_reason if engine else "EngineUnknown", f"image {image.name}: {error}")
    if image.identity in engine.images:
        return None, None
    build = BuildImage(image=image, build=image.origin, why=f"{why}, nor has the Docker Engine the image")
    failure = draft.recent(build.key)
    if failure is not None:
        return None, wait_for(failure)
    draft.actions.setdefault(build.key, build)
    return build.key, None
