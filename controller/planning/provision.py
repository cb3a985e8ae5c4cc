"""What a job's runs need on their cluster before they can be submitted: the image as a SIF, the files."""

from __future__ import annotations

from controller.model.images import Build, Image, SifFile
from controller.model.observed import ClusterObservation
from controller.model.plans import BuildImage, Place, PublishImage, Route, StageFiles, TestImage
from controller.model.resources import Cluster, Job
from controller.planning.conversions import CONVERTING, judged
from controller.planning.draft import Draft, wait_for
from controller.planning.routes import route_of
from controller.planning.trials import gate_of
from controller.planning.verdicts import Wait


def plan_needs(draft: Draft, job: Job, cluster: Cluster) -> tuple[tuple[str, ...], Wait | None]:
    """Plan what is missing; return those actions' keys, or why it cannot be had now."""
    keys: list[str] = []
    seen = draft.observed.clusters[cluster.name]
    image = draft.image(job)
    if image is not None:
        wait = _plan_image(draft, image, cluster, seen, keys)
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
    if any(job.image == image.name for job in draft.desired.jobs.values()) or not isinstance(image.origin, Build):
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
    build: str | None = None
    wait = _no_engine(draft, image)
    if wait is None and isinstance(image.origin, Build):
        build, wait = _plan_build(draft, image, why=why)
    if wait is not None:
        return None, wait
    draft.actions.setdefault(action.key, action)
    if build is not None:
        draft.needs[action.key] = (build,)
    return action.key, None


def _plan_image(draft: Draft, image: Image, cluster: Cluster, seen: ClusterObservation, keys: list[str]) -> Wait | None:
    if isinstance(image.origin, SifFile):
        return _ready_sif(image, image.origin, cluster, seen)
    if seen.images is None:
        return Wait("ClusterUnknown", f"cluster {cluster.name}: its images could not be listed")
    route = route_of(image, cluster) if image.identity not in seen.images else None
    if route is not None and (wait := _no_program(cluster, seen, route)) is not None:
        return wait
    tested, wait = _plan_test(draft, image, why="a job may run in it only once it has passed")
    if wait is not None:
        return wait
    if route is not None:
        return _plan_publish(draft, image, cluster, seen, route, keys, tested)
    keys += [tested] if tested is not None else []
    return None


def _ready_sif(image: Image, origin: SifFile, cluster: Cluster, seen: ClusterObservation) -> Wait | None:
    """A SIF that somebody else has put there: there is nothing to do for it but to see whether it can be read."""
    found = (seen.sifs or {}).get(origin.path)
    if found is None:
        said = seen.faults.get("sifs", "it was not looked at")
        return Wait("ClusterUnknown", f"cluster {cluster.name}: {origin.path} could not be looked at: {said}")
    if not found.readable:
        message = f"image {image.name}: there is no file {found.path} that can be read on cluster {cluster.name}"
        return Wait("ImageMissing", f"{message}; put it there, or correct sif: in {image.source.path}")
    return None


def _no_program(cluster: Cluster, seen: ClusterObservation, route: Route) -> Wait | None:
    """Say so before anything is built or uploaded. Of compute nodes only a job can tell."""
    if route.place is Place.JOB or seen.facts is None or seen.facts.container_version != "":
        return None
    named = seen.facts.container_modules
    remedy = (
        f"these modules are there: {named}. Add 'module load ...' to the cluster's setup"
        if named
        else "no module of such a name was seen either. Install one of them, or set convert_on: job"
    )
    return Wait(
        "ContainerProgramMissing",
        f"cluster {cluster.name}: neither apptainer nor singularity is in PATH on the log-in node; {remedy}",
    )


def _plan_publish(
    draft: Draft,
    image: Image,
    cluster: Cluster,
    seen: ClusterObservation,
    route: Route,
    keys: list[str],
    tested: str | None,
) -> Wait | None:
    over, over_why = "", ""
    if route.place is Place.JOB:
        verdict = judged(image, cluster, seen, grace_s=draft.history.grace_s)
        if verdict is not None and verdict.wait is not None:
            return verdict.wait
        over, over_why = (verdict.over, verdict.why) if verdict is not None else ("", "")
    publish = PublishImage(
        image=image,
        cluster=cluster,
        route=route,
        why=f"cluster {cluster.name} has no SIF of it",
        over=over,
        over_why=over_why,
    )
    failure = draft.recent(publish.key)
    if failure is not None:
        return wait_for(failure)
    by_job = route.place is Place.JOB and publish.key not in draft.actions
    if by_job and (wait := draft.rate_wait(cluster)) is not None:
        return wait
    build: str | None = None
    if isinstance(image.origin, Build):
        build, wait = _plan_build(draft, image, why=publish.why)
        if wait is not None:
            return wait
    if by_job:
        draft.count_submit(cluster)
    draft.actions.setdefault(publish.key, publish)
    first = tuple(key for key in (build, tested) if key is not None)
    if first:
        draft.needs[publish.key] = first
    if route.place is Place.JOB:
        return Wait(CONVERTING, f"image {image.name} is about to be converted by a job on cluster {cluster.name}")
    keys.append(publish.key)
    return None


def _plan_build(draft: Draft, image: Image, *, why: str) -> tuple[str | None, Wait | None]:
    assert isinstance(image.origin, Build), "only what is built goes by the engine"
    if (wait := _no_engine(draft, image)) is not None:
        return None, wait
    engine = draft.observed.engine
    if engine is not None and image.identity in (engine.images or ()):
        return None, None
    build = BuildImage(image=image, build=image.origin, why=f"{why}; the Docker Engine does not have the image")
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
