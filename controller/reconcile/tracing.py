"""The way from a commit to a result, link by link, put together from status, cluster and specs. Pure.

A link that is not known says why. Must not fetch anything and must not know how it is shown.
"""

from __future__ import annotations

import fnmatch
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.clusters.provenance import Provenance
from controller.model.conditions import TaskStatus
from controller.model.images import SifFile
from controller.model.resources import Desired, Job, Task

_IMAGE_NONE = "the job runs in no image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One link. ``value`` None: not known, or not there, and ``note`` says why."""

    name: str
    value: Any
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the links come from: the task as the status has it, what the cluster says of its run, and the specs.

    ``then`` is the desired state of the run's own commit, ``now`` that of the newest one; ``unasked`` is why the
    cluster said nothing, ``lost`` why there is no ``then``.
    """

    job: str
    task: TaskStatus
    seen: Provenance | None
    now: Desired
    then: Desired | None
    unasked: str = ""
    lost: str = ""


def chain(sources: Sources) -> list[Link]:
    """Return the links from the commit to the results, in that order."""
    task, seen = sources.task, sources.seen or Provenance()
    lock: Mapping[str, Any] = seen.lock or {}
    why = sources.unasked or seen.faults.get("lock", "")
    return [
        _from_lock(lock, "commit", why),
        _spec(sources),
        *_image(sources, lock, why),
        *_files(seen, lock, why),
        _from_lock(lock, "command", why),
        _shell(lock, why),
        _from_lock(lock, "env", why),
        Link(name="script_sha256", value=seen.script_sha256, note=sources.unasked or seen.faults.get("script", "")),
        Link(name="job_id", value=task.job_id, note="" if task.job_id else _not_run(task)),
        *_charged(task),
        Link(name="run_dir", value=task.run_dir, note="" if task.run_dir else _not_run(task)),
        *_end(sources, seen),
        _results(sources, seen),
        _agreement(sources, lock, why),
    ]


def _from_lock(lock: Mapping[str, Any], name: str, why: str) -> Link:
    return Link(name=name, value=lock.get(name), note="" if name in lock else why or "the run's lock does not say")


def _charged(task: TaskStatus) -> list[Link]:
    """Under what it ran, by the scheduler's own word."""
    unknown = "the scheduler has not said it" if task.job_id else _not_run(task)
    named = (("account", task.account), ("partition", task.partition), ("qos", task.qos))
    return [Link(name=name, value=value or None, note="" if value else unknown) for name, value in named]


def _shell(lock: Mapping[str, Any], why: str) -> Link:
    if "shell" in lock:
        return Link(name="shell", value=shlex.join(lock["shell"]))
    if "command" in lock:
        return Link(name="shell", value="/bin/sh -e", note="as every run of an earlier version")
    return _from_lock(lock, "shell", why)


def _not_run(task: TaskStatus) -> str:
    said = ": ".join(part for part in (task.reason, task.message) if part)
    return f"it has not run: {task.state}" + (f", {said}" if said else "")


def _spec(sources: Sources) -> Link:
    job = _job(sources.then, sources.job)
    if job is not None:
        return Link(name="spec", value=f"{job.source.path}:{job.source.line}")
    return Link(name="spec", value=None, note=sources.lost or "the run's commit does not hold the job")


def _image(sources: Sources, lock: Mapping[str, Any], why: str) -> list[Link]:
    seen = sources.seen or Provenance()
    if "image" in lock and lock["image"] is None:
        return [Link(name=name, value=None, note=_IMAGE_NONE) for name in ("image", "sif_sha256")]
    job = _job(sources.then, sources.job)
    name = f"image {job.image}" if job is not None and job.image else ""
    identity = Link(name="image", value=lock.get("image"), note=name if "image" in lock else why)
    image = sources.then.images.get(job.image) if sources.then and job is not None and job.image else None
    if image is not None and isinstance(origin := image.origin, SifFile):
        note = f"as the spec has it, of {origin.path}" if origin.sha256 else f"{origin.path}: the spec gives no sha256"
        return [identity, Link(name="sif_sha256", value=origin.sha256, note=note)]
    size = f"{seen.sif_bytes} bytes" if seen.sif_bytes is not None else ""
    fault = sources.unasked or seen.faults.get("sif", "")
    return [identity, Link(name="sif_sha256", value=seen.sif_sha256, note=size if seen.sif_sha256 else fault)]


def _files(seen: Provenance, lock: Mapping[str, Any], why: str) -> list[Link]:
    if "files" in lock and lock["files"] is None:
        return [Link(name="files", value=None, note="the job names no files")]
    note = why if "files" not in lock else "" if seen.tree_present else "no longer on the cluster as it was staged"
    return [Link(name="files", value=lock.get("files"), note=note)]


def _end(sources: Sources, seen: Provenance) -> list[Link]:
    task = sources.task
    code = task.exit_code if seen.exit is None else seen.exit.get("exit_code", task.exit_code)
    note = "" if code is not None else f"the task is {task.state}" + (f" ({task.reason})" if task.reason else "")
    return [
        Link(name="state", value=str(task.state), note=task.reason),
        Link(name="exit_code", value=code, note=note),
        Link(name="host", value=(seen.exit or {}).get("host"), note=sources.unasked or seen.faults.get("exit", "")),
        Link(name="started", value=task.started, note="" if task.started else "not known"),
        Link(name="ended", value=task.ended, note="" if task.ended else "not known"),
    ]


def _results(sources: Sources, seen: Provenance) -> Link:
    job = _job(sources.then, sources.job) or _job(sources.now, sources.job)
    globs = job.results.files if job is not None else ()
    files = {path: size for path, size in seen.outputs.items() if any(fnmatch.fnmatch(path, glob) for glob in globs)}
    value = {"metrics": dict(sources.task.results), "files": files}
    if files or sources.task.results:
        return Link(name="results", value=value)
    named = bool(globs) or bool(job is not None and job.results.metrics)
    note = sources.unasked or ("what the job names is not there" if named else "the job names no results")
    return Link(name="results", value=value, note=note)


def _agreement(sources: Sources, lock: Mapping[str, Any], why: str) -> Link:
    """Whether the newest commit asks for the very thing that ran."""
    name = "up_to_date"
    if not lock:
        return Link(name=name, value=None, note=why or "the run's lock is not known")
    job = _job(sources.now, sources.job)
    begun = (lock.get("job"), lock.get("key"), lock.get("digest"))
    tasks = job.tasks if job is not None else ()
    task = next((each for each in tasks if begun in each.earlier or each.key == lock.get("key")), None)
    if job is None or task is None:
        return Link(name=name, value=False, note="the newest commit does not hold the task any more")
    if task.digest == lock.get("digest"):
        return Link(name=name, value=True, note="the newest commit asks for the same")
    if begun in task.earlier:
        return Link(name=name, value=True, note=f"the newest commit asks for the same; it was begun as {begun[0]}")
    differing = _differing(sources.now, job, task, lock)
    unseen = _unseen_images(sources.now, job)
    if unseen and not differing:
        said = f"made from what lies outside of the commit, which is not asked here: {', '.join(unseen)}"
        return Link(name=name, value=None, note=f"not known: it depends on images {said}")
    parts = ", ".join(differing)
    return Link(
        name=name,
        value=False,
        note=f"the spec has changed since: {parts or 'rerun, or what it needs'}",
    )


def _differing(now: Desired, job: Job, task: Task, lock: Mapping[str, Any]) -> list[str]:
    image = now.images.get(job.image) if job.image else None
    asked: dict[str, Any] = {
        "files": job.files.tree if job.files is not None else None,
    }
    if image is None or image.resolved:
        asked["image"] = image.identity if image is not None else None
    if not task.late:
        # Look-ups of what it needs are filled in when it is submitted: before that there is nothing to compare.
        asked |= {"command": task.command, "env": dict(task.env)}
    cluster = now.clusters.get(job.cluster)
    if cluster is None or job.shell != cluster.shell:
        # A cluster's default is no part of a digest, so that a change of it is no reason.
        asked["shell"] = list(job.shell)
    return sorted(name for name, value in asked.items() if name in lock and lock[name] != value)


def _unseen_images(now: Desired, job: Job) -> list[str]:
    """Return the images, of a job and of all that it needs, whose identity only a pass knows."""
    found: set[str] = set()
    ahead, seen = [job.name], {job.name}
    while ahead:
        each = now.jobs.get(ahead.pop())
        image = now.images.get(each.image) if each is not None and each.image else None
        if image is not None and not image.resolved:
            found.add(image.name)
        new = set(each.needs) - seen if each is not None else set()
        seen |= new
        ahead += new
    return sorted(found)


def _job(desired: Desired | None, name: str) -> Job | None:
    return desired.jobs.get(name) if desired is not None else None
