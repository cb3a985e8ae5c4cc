"""What is said of the places: clusters and images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from controller.model.conditions import ResourceStatus, Truth
from controller.model.digests import short
from controller.model.files import FileSet
from controller.model.images import Build, Image, RegistryImage, SifFile
from controller.model.observed import ClusterObservation, Observed
from controller.model.resources import Cluster, Desired
from controller.model.sites import cluster_in, is_former
from controller.planning.conversions import CONVERTING
from controller.planning.draft import underway
from controller.planning.history import History
from controller.planning.trials import gate_of, trial_details, trial_of, untested
from controller.planning.verdicts import (
    NEEDS_A_PERSON,
    PROGRESSING,
    SETTLED,
    Verdict,
    Wait,
    conditions,
    time_text,
    with_problem,
)

_OF_THE_IMAGE = frozenset(
    {
        CONVERTING,
        "EngineUnavailable",
        "EngineRefused",
        "BuildFailed",
        "ContainerProgramMissing",
        "ConversionBusy",
        "ConversionFailed",
        "ConversionLost",
        "DiskFull",
        "EnvironmentLost",
        "ImageMissing",
        "ImageNotFound",
        "RegistryUnauthorized",
        "RegistryUnreachable",
        "UploadBusy",
        "UploadFailed",
    }
)
"""Reasons of a task's wait that are the image's as well."""


def cluster_status(desired: Desired, cluster: Cluster, observed: Observed, history: History) -> ResourceStatus:
    """Return what is said of a cluster. One that does not answer keeps what is known of it."""
    seen = observed.clusters.get(cluster.name)
    details: dict[str, str] = {"scheduler": cluster.scheduler}
    if seen is None or not seen.reachable:
        key = f"Cluster/{cluster.name}"
        earlier = history.published.get(key) or history.statuses.get(key)
        details = {**(earlier.details if earlier else {}), **details}
        details["last_seen"] = time_text(history.last_seen.get(cluster.name)) or details.get("last_seen", "")
    if seen is None:
        ready = (Truth.UNKNOWN, "NotObserved", "it was not looked at in this pass")
    elif not seen.reachable:
        ready = (Truth.UNKNOWN, seen.error_reason, seen.error)
    elif seen.faults:
        ready = (Truth.FALSE, "PartlySeen", "; ".join(f"{part}: {said}" for part, said in sorted(seen.faults.items())))
    else:
        ready = (Truth.TRUE, "Reachable", "queue, spool and files can be read")
    if seen is not None and seen.facts is not None:
        facts = seen.facts
        details |= {"workdir": facts.root, "host": facts.host, "user": facts.user}
        details |= {"scheduler_version": facts.scheduler_version, "container_version": facts.container_version or ""}
        if facts.lost:
            ready = (Truth.FALSE, "WorkdirMissing", f"{facts.root} was there before and is gone or not mounted")
    elsewhere = Counter(record.where for record in history.active() if is_former(record.where))
    for place, count in sorted(elsewhere.items()):
        if cluster_in(place) == cluster.name:
            details[f"runs in {place.partition('@')[2]}"] = str(count)
    stalled = (Truth.TRUE, ready[1], ready[2]) if ready[1] in NEEDS_A_PERSON else PROGRESSING
    verdict = Verdict(ready=ready, reconciling=SETTLED, stalled=stalled)
    key = f"Cluster/{cluster.name}"
    if key in desired.stale:
        verdict = with_problem(verdict, desired, key)
    return ResourceStatus(
        kind="Cluster",
        name=cluster.name,
        digest="",
        commit=cluster.source.commit,
        path=cluster.source.path,
        labels=cluster.labels,
        conditions=conditions(verdict),
        details={name: value for name, value in details.items() if value},
    )


def image_status(
    desired: Desired, image: Image, observed: Observed, history: History, waits: Mapping[str, Wait]
) -> ResourceStatus:
    """Return what is said of an image: present wherever a job needs it, or why not."""
    jobs = [job for job in desired.jobs.values() if job.image == image.name]
    clusters = sorted({job.cluster for job in jobs})
    where = {name: _sif_at(observed.clusters.get(name), image) for name in clusters}
    engine = observed.engine
    on_engine = None if engine is None or engine.images is None else image.identity in engine.images
    details = {"identity": image.identity}
    details |= {f"sif.{name}": "present" for name, there in where.items() if there}
    details |= {name: value for name, value in trial_details(image, history).items() if value}
    failed = next((f for key, f in sorted(history.failures.items()) if _concerns(key, image)), None)
    if (log := history.build_logs.get((image.name, short(image.identity)))) is not None:
        details["build_log"] = log
    details |= pins_of(image)
    busy = next((underway(key) for key in sorted(history.underway) if _concerns(key, image)), None)
    waiting = [waits[task.id] for job in jobs for task in job.tasks if task.id in waits]
    blocked = next((wait for wait in waiting if wait.reason in _OF_THE_IMAGE), None)
    if (where and all(where.values())) or (not where and on_engine):
        ready = (Truth.TRUE, "Present", "present wherever a job needs it")
    elif busy is not None:
        ready = (Truth.FALSE, busy.reason, busy.message)
    elif blocked is not None:
        ready = (Truth.FALSE, blocked.reason, blocked.message)
    elif failed is not None:
        ready = (Truth.FALSE, failed.reason, failed.message)
    elif None in where.values() or (not where and on_engine is None):
        ready = (Truth.UNKNOWN, "NotObserved", "the places where it belongs could not all be seen")
    else:
        missing = ", ".join(f"cluster {name}" for name, there in where.items() if not there) or "the Docker Engine"
        ready = (Truth.FALSE, "NotPresent", f"not on {missing}; made when a run needs it")
    stalled = (Truth.TRUE, failed.reason, failed.message) if failed is not None and failed.stalled else None
    if (gate := untested(image, history)) is not None:
        trial = trial_of(image, history)
        held_up = busy or failed or blocked
        if trial is not None and busy is None:
            ready = gate
        elif ready[0] is Truth.TRUE:
            ready = gate if held_up is None else (Truth.FALSE, held_up.reason, held_up.message)
        if trial is not None and trial.settled:
            stalled = (Truth.TRUE, trial.reason, trial.message)
    verdict = Verdict(
        ready=ready,
        reconciling=SETTLED,
        stalled=stalled or PROGRESSING,
    )
    if (key := f"Image/{image.name}") in desired.stale:
        verdict = with_problem(verdict, desired, key)
    return ResourceStatus(
        kind="Image",
        name=image.name,
        digest=image.identity,
        commit=image.source.commit,
        path=image.source.path,
        labels=image.labels,
        conditions=conditions(verdict),
        details=details,
    )


def _concerns(key: str, image: Image) -> bool:
    """Whether an action is one of the image's; a test only while jobs wait for that test."""
    return image.identity in key.split(":") and (not key.startswith("test:") or key == gate_of(image))


def pins_of(image: Image) -> dict[str, str]:
    """Return at which commit or digest an image's source is in force, and what else is to be known of it."""
    match image.origin:
        case Build(context=FileSet(repository=url, commit=commit)) if commit and url:
            pins = {f"commit of {url}": commit}
        case RegistryImage(reference=reference, digest=digest, known_as=known_as):
            pins = {f"digest of {reference}": known_as or digest}
        case _:
            pins = {}
    return {**pins, "source": image.notice} if image.notice else pins


def _sif_at(seen: ClusterObservation | None, image: Image) -> bool | None:
    if isinstance(image.origin, SifFile):
        found = None if seen is None else (seen.sifs or {}).get(image.origin.path)
        return None if found is None else found.readable
    return None if seen is None or seen.images is None else image.identity in seen.images
