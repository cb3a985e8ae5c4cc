"""Runs and batches: the identity of one attempt at a task, and of one submission.

A run's id is its path below ``runs/`` on the cluster: ``<job>/<task>-<digest12>/<attempt>``. A batch's id is the hash
of its runs' ids, so that the same submission tried again after a crash has the same name. Everything here can be
derived again from the commit and the attempt's number; nothing is drawn at random.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from controller.model.conditions import TaskState
from controller.model.digests import digest_of, short
from controller.model.observed import NOTHING_CHARGED, Charged
from controller.model.resources import OnRemove, Place, Resources, Task, task_id_of

_UNSAFE = re.compile(r"[^A-Za-z0-9_.=,+-]+")
SLUG_LENGTH = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One attempt at one task. ``job``, ``key`` and ``digest`` are those of the task that it counts for now."""

    job: str
    key: str
    digest: str
    attempt: int
    cluster: str
    commit: str
    begun_as: Place | None = None
    """Under what it was begun, where that is another: its task was renamed, or its digest has another recipe."""

    @property
    def place(self) -> Place:
        """Under what the run was begun, for ever: its directory, and all that is written down of it, say so."""
        return self.begun_as or Place(self.job, self.key, self.digest)

    @property
    def id(self) -> str:
        """Path below ``runs/``: known from job, task, digest and attempt alone, as they were when it was begun."""
        return f"{task_directory(*self.place)}/{self.attempt}"

    def counting_for(self, place: Place) -> Run:
        """Return the same run as one of the task at another place."""
        job, key, digest = place
        begun_as = None if place == self.place else self.place
        return replace(self, job=job, key=key, digest=digest, begun_as=begun_as)

    def as_begun(self) -> Run:
        """Return the run under the names that it was begun under."""
        return self.counting_for(self.place)

    @property
    def task_id(self) -> str:
        """Id of the task that the run is an attempt at."""
        return task_id_of(self.job, self.key)


def task_directory(job: str, key: str, digest: str) -> str:
    """Return ``<job>/<task>-<digest12>``, or ``<job>/<digest12>`` for the only task of a job.

    The slug of a long or odd task id may be cut; the digest keeps directories of different tasks apart unless both
    have the same command and files, and then the full key is hashed in.
    """
    if not key:
        return f"{job}/{short(digest)}"
    slug = _UNSAFE.sub("_", key).strip(".")[:SLUG_LENGTH]
    tail = short(digest) if slug == key else short(digest_of([key, digest]))
    return f"{job}/{slug}-{tail}"


def run_of(task: Task, *, attempt: int, cluster: str, commit: str) -> Run:
    """Return the run that is the given attempt (from 1) at a task."""
    return Run(job=task.job, key=task.key, digest=task.digest, attempt=attempt, cluster=cluster, commit=commit)


def batch_of(run_ids: Iterable[str]) -> str:
    """Return the id (64 hex digits) of a batch: the hash of its runs in their order of index."""
    return digest_of(list(run_ids))


def tag_of(instance: str, batch: str) -> str:
    """Return the name that a batch's job carries in the scheduler: ``<instance>-<batch12>``, lower case."""
    return f"{instance}-{short(batch)}"


def conversion_tag(instance: str, identity: str) -> str:
    """Return the name of a job that converts an image: one that no batch can have."""
    return f"{instance}-sif{short(identity)}"


def batch_prefix(instance: str, tag: str) -> str | None:
    """Return the batch's first 12 digits from a tag of this instance; None for any other job's name."""
    head, _, tail = tag.lower().rpartition("-")
    return tail if head == instance and re.fullmatch(r"[0-9a-f]{12}", tail) else None


def is_place(run_dir: str | None) -> bool:
    """Return whether a run's directory is one that ``place_of`` can read."""
    return run_dir is not None and run_dir.startswith("/") and run_dir.count("/") > 5


def place_of(run_dir: str) -> tuple[str, str]:
    """Return instance and run id from a run's directory, ``<workdir>/<instance>/runs/<job>/<task>/<attempt>``.

    Whoever reads a status knows the directory; by which address the controller knows the repository, and so what its
    instance is called, need not be known there.
    """
    *_, instance, _runs, job, task, attempt = run_dir.split("/")
    return instance, f"{job}/{task}/{attempt}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The job that holds a run's claim: its id, its index, the first 12 digits of its batch."""

    job_id: str
    index: int
    batch12: str


def owner_from(text: str) -> Owner | None:
    """Read ``<job id>_<index>@<batch12>.<try>`` as the job script writes it; None for anything else."""
    match = re.fullmatch(r"(\S+)_(\d+)@([0-9a-f]{12})\.\d+", text)
    return Owner(job_id=match[1], index=int(match[2]), batch12=match[3]) if match else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What the controller knows of one run; kept in the journal, rebuilt from the cluster when that is lost.

    Times are seconds since the epoch by the controller's clock, except ``started`` and ``ended``, which are the
    cluster's. ``missing_since`` is when an active run was first seen nowhere. ``tries`` counts submits of the batch
    that are known not to have gone through. ``on_remove`` is None while no spec has said it (after a lost journal).
    """

    run: Run
    batch: str
    index: int
    """Place in the batch's array."""
    site: str = ""
    """Name of the site where it is (model/sites.py); "" for where its cluster's spec says, as in earlier versions."""
    array: bool = False
    """Whether the batch is an array to the scheduler, so that the index is part of the job's name there."""
    state: TaskState
    reason: str = ""
    message: str = ""
    job_id: str | None = None
    charged: Charged = NOTHING_CHARGED
    run_dir: str | None = None
    """Absolute path on the cluster."""
    intended_at: float = 0.0
    submitted_at: float | None = None
    started: float | None = None
    ended: float | None = None
    exit_code: int | None = None
    cancel_requested_at: float | None = None
    cancel_reason: str = ""
    missing_since: float | None = None
    stopped_at: float | None = None
    """When a signal asked the run to end, by its own word."""
    tries: int = 0
    unanswered_since: float | None = None
    """Since when it is not known whether the batch was submitted, over all its tries; None where it is known."""
    submit_said: str = ""
    """What the submit said of which that is not known."""
    asked: Resources | None = None
    """What was asked of the scheduler; None where only the cluster could tell (a lost journal)."""
    needs_person: bool = False
    """By the scheduler's word it waits for something that does not come by itself; the message says for what."""
    lapsed: bool = False
    """The submit of its batch is known not to have gone through: the same batch may be submitted again."""
    on_remove: OnRemove | None = None
    given: str = ""
    """Instance that follows it from now on: a split of the repository; it is not ours to cancel any more."""
    stderr_tail: str = ""
    results: Mapping[str, str] = field(default_factory=dict)
    """Metrics by name, as text."""
    result_faults: Mapping[str, str] = field(default_factory=dict)
    """Metrics that could not be read, each with ``Reason: message``."""

    @property
    def id(self) -> str:
        """The run's id."""
        return self.run.id

    @property
    def where(self) -> str:
        """The name under which it is looked for: a site's, or its cluster's."""
        return self.site or self.run.cluster
