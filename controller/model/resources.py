"""Desired state: what one commit asks for, after look-ups, with every digest filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from controller.model.digests import digest_of
from controller.model.files import FileSet, Source
from controller.model.images import Image
from controller.model.problems import Problem

DEFAULT_SHELL = ("bash", "-eo", "pipefail")
"""What runs a command where neither its spec nor its cluster names a shell: the script's path is the last argument."""


class OnChange(StrEnum):
    """What happens to an active run whose task has a new digest."""

    REPLACE = "replace"
    FINISH = "finish"


class OnRemove(StrEnum):
    """What happens to an active run whose spec is gone."""

    CANCEL = "cancel"
    KEEP = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How to reach a login node. Fields left None come from the SSH configuration."""

    host: str
    user: str | None = None
    port: int | None = None
    proxy_jump: str | None = None
    identity_file: str | None = None
    known_hosts: str | None = None
    ssh_config: str | None = None
    transport: str = "fabric"
    """``fabric`` or ``openssh``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpus:
    """GPUs of one task."""

    count: int
    type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What one task asks of the scheduler. None leaves it to the cluster's own default."""

    cpus: int | None = None
    memory_mib: int | None = None
    gpus: Gpus | None = None
    nodes: int | None = None
    walltime_s: int | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    extra: tuple[str, ...] = ()
    """Further options for the scheduler's submit command, one argv element each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much the controller may ask of a cluster."""

    max_queued: int = 500
    submit_per_minute: int = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A place where jobs run. ``connection`` None is this machine."""

    name: str
    source: Source
    connection: Connection | None = None
    scheduler: str = "slurm"
    workdir: str = "auto"
    """``auto``, or a path that may hold ``~`` and ``$NAME``, resolved on the cluster."""
    containers: str = "apptainer"
    convert_on: str = "login"
    defaults: Resources = field(default_factory=Resources)
    limits: Limits = field(default_factory=Limits)
    setup: str = ""
    """Shell lines run before every task's command, outside the container."""
    binds: tuple[str, ...] = ()
    """What every container sees beside its run: ``source[:target[:ro]]``; ``~`` and ``$NAME`` in a source are the
    cluster's."""
    labels: Mapping[str, str] = field(default_factory=dict)
    shell: tuple[str, ...] = DEFAULT_SHELL
    """Of jobs that name none."""


RETRY_REASONS = (
    "NodeFail",
    "Preempted",
    "BootFail",
    "OutOfMemory",
    "Timeout",
    "Deadline",
    "ExitCode",
    "SetupFailed",
    "FilesUnavailable",
    "FilesIncomplete",
    "SubmissionGone",
    "ImageMissing",
    "ImageChanged",
    "ShellMissing",
    "Stopped",
)
"""Reasons of a failed run that ``retries.on`` may name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """When a failed run is tried again: at most ``max`` further attempts, for the reasons in ``on`` only.

    The wait before attempt n+1 is ``backoff_s`` doubled n-1 times. ``grow_memory`` and ``grow_time`` multiply what is
    asked for, once for each attempt that failed with OutOfMemory or Timeout.
    """

    max: int = 0
    on: frozenset[str] = frozenset({"NodeFail", "Preempted", "BootFail"})
    backoff_s: int = 30
    grow_memory: float = 1.0
    grow_time: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number (or text) to be read from a JSON file that the run writes: ``path`` is dotted, "" the whole value."""

    file: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What a run leaves behind that people ask for: globs below the run directory, and metrics by name."""

    files: tuple[str, ...] = ()
    metrics: Mapping[str, Metric] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LateValue:
    """A look-up that is known only when what a task needs has succeeded.

    ``text`` is the look-up as it stands in command or env, such as ``${{ needs.prepare.run_dir }}``, with one blank at
    each end whatever the file has; nothing else in them has this text. ``job`` is the job that is meant; ``what`` is
    ``run_dir``, ``results.<metric>`` or ``table``: the path of a CSV file, made in the run's own directory, with a line
    for each task of that job (task, run_dir, its matrix values, its metrics).
    """

    text: str
    job: str
    what: str


class Place(NamedTuple):
    """Under which job, task key and digest runs are known."""

    job: str
    key: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One point of a job's matrix; a job without a matrix has the one task whose key is "".

    ``command`` and ``env`` are after look-ups, but for those in ``late``, which still stand in them as written. The
    digest covers them as they are here, and the digests of what the task needs.
    """

    job: str
    key: str
    """Readable id, for example ``lr=0.1,seed=3``; "" for the only task of a job without a matrix.

    In the file's order of axes; what would be mistaken in a key is percent-encoded (controller/specs/keys.py).
    """
    command: str
    env: Mapping[str, str]
    digest: str
    late: tuple[LateValue, ...] = ()
    point: Mapping[str, str] = field(default_factory=dict)
    """The task's values of the matrix as text, by name."""
    suspended: bool = False
    rerun: str = ""
    """Digest of the word by which a person asks for it again, "" where nobody has."""
    earlier: tuple[Place, ...] = ()
    """Under what else runs of this very task may be known: by an earlier name (``was``), by an earlier recipe."""

    @property
    def id(self) -> str:
        """``train``, ``train/lr=0.1,seed=3`` or ``bands/relax``: what a person types."""
        return task_id_of(self.job, self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work to be done once for each digest of each task.

    A step of a workflow is a job as well: its name is ``<workflow>.<step>`` and ``workflow`` names the workflow.
    """

    name: str
    source: Source
    cluster: str
    tasks: tuple[Task, ...]
    image: str | None = None
    files: FileSet | None = None
    resources: Resources = field(default_factory=Resources)
    """The cluster's defaults with the job's own fields laid over them."""
    on_change: OnChange = OnChange.REPLACE
    on_remove: OnRemove = OnRemove.CANCEL
    suspend: bool = False
    priority: int = 0
    workflow: str | None = None
    needs: tuple[str, ...] = ()
    """Names of the jobs of which every task has to succeed first."""
    retries: Retries = field(default_factory=Retries)
    max_running: int | None = None
    schedule: str | None = None
    """Five fields of cron(5), in UTC; the job then runs once for each time, from the first one after it was seen."""
    results: Results = field(default_factory=Results)
    binds: tuple[str, ...] = ()
    """As the cluster's, for this job's containers."""
    shell: tuple[str, ...] = DEFAULT_SHELL
    """Words of the program that runs the command: the job's own, else the cluster's, else ours."""
    tick: str | None = None
    """With a schedule: the time, ISO 8601 in UTC, that the tasks' digests stand for; None before the first one."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Words to find it by; no part of any digest, as with all kinds."""
    notice: str = ""
    """What a person should know of its files, such as that some of them are not in the commit."""
    was: tuple[str, ...] = ()
    """Names that the job had earlier, as its spec says."""

    @property
    def version(self) -> str:
        """What all of its tasks are now, as one digest."""
        return digest_of([task.digest for task in self.tasks])


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """Steps under one name; each is a job in ``Desired.jobs``."""

    name: str
    source: Source
    steps: tuple[str, ...]
    """Names of the steps' jobs, ``<workflow>.<step>``, in the order of the file."""
    labels: Mapping[str, str] = field(default_factory=dict)


def task_id_of(job: str, key: str) -> str:
    """Return ``train``, ``train/lr=0.1`` or, for a step of a workflow, ``bands/relax`` or ``bands/relax/lr=0.1``."""
    name = job.replace(".", "/")
    return f"{name}/{key}" if key else name


def owner_of(job: str) -> str:
    """Return ``Kind/name`` of what a job's name belongs to: a Job, or the Workflow that it is a step of."""
    workflow, dot, _ = job.partition(".")
    return f"Workflow/{workflow}" if dot else f"Job/{job}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """Everything one commit asks for.

    ``problems`` are the errors of all files, ``warnings`` what a person should know of valid ones. ``broken`` names
    ``Kind/name`` of resources that the commit holds but that could not be read; ``suspects`` those of them that are
    only names found in what could not be read, of which none may be there; ``former`` those that are only what a
    broken document says that it was, perhaps long ago; ``broken_paths`` the files in which a
    document could not even be told apart, so whatever was last seen in them must be left as it is. ``stale`` names
    those taken from an earlier commit because of that.
    """

    commit: str
    clusters: Mapping[str, Cluster] = field(default_factory=dict)
    images: Mapping[str, Image] = field(default_factory=dict)
    jobs: Mapping[str, Job] = field(default_factory=dict)
    """Jobs and the steps of workflows."""
    workflows: Mapping[str, Workflow] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    broken: frozenset[str] = frozenset()
    suspects: frozenset[str] = frozenset()
    former: frozenset[str] = frozenset()
    broken_paths: frozenset[str] = frozenset()
    stale: frozenset[str] = frozenset()
    retired: Mapping[str, Cluster] = field(default_factory=dict)
    """Clusters that the commit no longer holds but on which runs are still active."""
    files_read: int = 0
