"""What a job's runs need on their cluster before they can be submitted: the image as a SIF, the files."""

from __future__ import annotations

from controller.model.images import Build, Image
from controller.model.plans import BuildImage, PublishImage, StageFiles, TestImage
from controller.model.resources import Cluster, Job
from controller.planning.draft import Draft, wait_for
from controller.planning.trials import gate_of
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
        tested, wait = _plan_test(draft, image, why=f"job {job.name} may run in it only once it has passed")
        if wait is None and image.identity not in seen.images:
            wait = _plan_publish(draft, image, cluster, keys, tested)
        elif tested is not None:
            keys.append(tested)
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
        _plan_test(draft, image, why="no job names it yet, and it is required")


def _plan_test(draft: Draft, image: Image, *, why: str) -> tuple[str | None, Wait | None]:
    """Plan the test that jobs have to wait for, unless it has passed; return its key, or why it cannot be had now."""
    if image.test is None or gate_of(image) is None:
        return None, None
    action = TestImage(image=image, test=image.test, why=why)
    trial = draft.history.trials.get(action.key)
    if trial is not None and trial.passed:
        return None, None
    if trial is not None and trial.settled:
        return None, Wait(trial.reason, trial.message, stalled=True, failed=True)
    failure = draft.recent(action.key)
    if failure is not None:
        return None, wait_for(failure)
    build, wait = (
        _plan_build(draft, image, why=why) if isinstance(image.origin, Build) else (None, _no_engine(draft, image))
    )
    if wait is not None:
        return None, wait
    draft.actions.setdefault(action.key, action)
    if build is not None:
        draft.needs[action.key] = (build,)
    return action.key, None


def _plan_publish(
    draft: Draft, image: Image, cluster: Cluster, keys: list[str], tested: str | None = None
) -> Wait | None:
    publish = PublishImage(image=image, cluster=cluster, why=f"cluster {cluster.name} has no SIF of it")
    failure = draft.recent(publish.key)
    if failure is not None:
        return wait_for(failure)
    build, wait = _plan_build(draft, image, why=publish.why)
    if wait is not None:
        return wait
    draft.actions.setdefault(publish.key, publish)
    first = tuple(key for key in (build, tested) if key is not None)
    if first:
        draft.needs[publish.key] = first
    keys.append(publish.key)
    return None


def _plan_build(draft: Draft, image: Image, *, why: str) -> tuple[str | None, Wait | None]:
    if not isinstance(image.origin, Build):
        return None, Wait(NO_ROUTE, f"image {image.name}: this version cannot use from: or sif:; build it instead")
    if (wait := _no_engine(draft, image)) is not None:
        return None, wait
    engine = draft.observed.engine
    if engine is not None and image.identity in (engine.images or ()):
        return None, None
    build = BuildImage(image=image, build=image.origin, why=f"{why}, nor has the Docker Engine the image")
    failure = draft.recent(build.key)
    if failure is not None:
        return None, wait_for(failure)
    draft.actions.setdefault(build.key, build)
    return build.key, None


def _no_engine(draft: Draft, image: Image) -> Wait | None:
    engine = draft.observed.engine
    if engine is not None and engine.images is not None:
        return None
    error = engine.error if engine else "the Docker Engine was not asked"
    return Wait(engine.error_reason if engine else "EngineUnknown", f"image {image.name}: {error}")
