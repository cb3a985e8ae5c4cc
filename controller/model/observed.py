"""Observed state: what exists, and, as important, what could not be seen.

Any part that is ``None`` is Unknown: the question failed, timed out or came back garbled. Unknown is not absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class JobState(StrEnum):
    """States of any scheduler's job, told apart as far as the controller acts on the difference."""

    PENDING = "Pending"
    RUNNING = "Running"
    ENDING = "Ending"
    """Neither active nor ended for certain: completing, signalled, requeued, stage-out."""
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    TIMEOUT = "Timeout"
    OUT_OF_MEMORY = "OutOfMemory"
    NODE_FAIL = "NodeFail"
    PREEMPTED = "Preempted"
    DEADLINE = "Deadline"
    BOOT_FAIL = "BootFail"
    UNKNOWN = "Unknown"


ENDED = frozenset(
    {
        JobState.COMPLETED,
        JobState.FAILED,
        JobState.CANCELLED,
        JobState.TIMEOUT,
        JobState.OUT_OF_MEMORY,
        JobState.NODE_FAIL,
        JobState.PREEMPTED,
        JobState.DEADLINE,
        JobState.BOOT_FAIL,
    }
)
REQUEUEABLE = frozenset({JobState.NODE_FAIL, JobState.PREEMPTED, JobState.BOOT_FAIL})
"""Ends after which the scheduler may start the same job again by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charged:
    """Under what a job runs, by the scheduler's own word; "" where it does not say."""

    account: str = ""
    partition: str = ""
    qos: str = ""


NOTHING_CHARGED = Charged()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """One line of the scheduler's queue or of its accounting. ``index`` is None for a job that is no array."""

    job_id: str
    index: int | None
    tag: str
    state: JobState
    word: str
    """The scheduler's own word for the state."""
    reason: str = ""
    """The scheduler's own word for why it waits."""
    message: str = ""
    """That word as a sentence, where it is known; JOBID and TASK stand for this job's own."""
    needs_person: bool = False
    """What it waits for does not come by itself."""
    exit_code: int | None = None
    started: float | None = None
    ended: float | None = None
    charged: Charged = NOTHING_CHARGED


OUTPUT_SENT = 32768
"""Bytes of files that a run sends along with its end (``remote/job.sh``); what is larger is read by its path."""
OUTPUT_READ = 1 << 20
"""Bytes of the largest file that is read by its path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Files of a run that metrics are read from, by path below its directory."""

    texts: Mapping[str, bytes] = field(default_factory=dict)
    too_large: Mapping[str, int] = field(default_factory=dict)
    """Path -> size of a file that was not read because of it."""
    missing: frozenset[str] = frozenset()


class EventKind(StrEnum):
    """What a run says of itself."""

    CLAIMED = "claimed"
    """Some job, the owner, holds the claim; ``cancelled`` as the owner means that the run never starts."""
    STARTED = "started"
    STOPPED = "stopped"
    """A signal asked it to end: the scheduler knows why, and may start it again."""
    EXITED = "exited"
    CANCELLING = "cancelling"
    """The controller has asked it to end; what it is cancelled for is the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent:
    """One line that a run wrote about itself. ``owner`` is the job that holds the claim."""

    run: str
    kind: EventKind
    owner: str
    at: float
    exit_code: int | None = None
    host: str = ""
    phase: str = ""
    """Where it ended, as ``job.sh`` says it: ``files``, ``profile``, ``setup``, ``image-missing``, ``command``, …"""
    reason: str = ""
    """Why it was to end, for ``CANCELLING`` only."""
    stderr_tail: str = ""
    outputs: Mapping[str, bytes] = field(default_factory=dict)
    """The beginning of the files that metrics are read from, by path below the run directory."""
    spool_file: str = ""
    """Name of the spool file, to be taken away once the journal has the event; "" when read elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRecord:
    """A submission as its directory on the cluster tells of it.

    ``present`` False: there is no such directory. ``job_id`` None means that a submit began, ``tries`` times, and its
    end is not written down. ``runs``, ``digests`` and ``keys`` are in the order of the array's indices.
    """

    batch: str
    present: bool
    job_id: str | None = None
    tries: int = 0
    job: str = ""
    commit: str = ""
    runs: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLock:
    """What ``run.lock.json`` says: enough to know a run again without any database."""

    run: str
    job: str
    key: str
    digest: str
    attempt: int
    batch: str
    index: int
    commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """A conversion to SIF that was given to a job, as its directory on the cluster tells of it."""

    identity: str
    instance: str
    """The controller that began it; "" while it has not said so."""
    job_id: str | None
    """None while it is not known whether the submit went through."""
    age_s: float
    """How long nothing has changed in its directory."""
    failure: str = ""
    """Reason and message, once it has failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SifSeen:
    """A path that a spec gives for a SIF. ``path`` is as the cluster resolves it."""

    path: str
    readable: bool
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """The most that one job may get in a partition; 0 where that is not known."""

    memory_mib: int = 0
    """Memory of a node."""
    walltime_s: int = 0
    cpus: int = 0
    """CPUs of a node."""
    nodes: int = 0
    """All of its nodes, whatever state they are in."""
    gpus: Mapping[str, int] | None = None
    """Type -> GPUs of a node, "" for those of any type; None: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFacts:
    """What seldom changes about a cluster."""

    root: str
    """The work directory, absolute."""
    user: str = ""
    host: str = ""
    initialised: bool = False
    """Whether the work directory carries the controller's mark: False where it is new, or not mounted."""
    lost: bool = False
    """The mark was there at an earlier look, and is not now."""
    scheduler_version: str = ""
    container_version: str | None = None
    """None: not asked for yet. "": neither Apptainer nor Singularity is in PATH, after the cluster's setup."""
    container_modules: str = ""
    """Names of modules that may bring one, where there is none."""
    max_array_size: int = 1001
    partitions: Mapping[str, Partition] = field(default_factory=dict)
    """By name; "" is the default."""
    asked: bool = False
    """Whether the versions and limits were asked for in this look, or are remembered."""
    system: str = ""
    """What the scheduler calls its cluster (SLURM's ClusterName)."""
    accounting: bool = True
    """False where the scheduler says that it keeps no accounting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterObservation:
    """One cluster, seen in one round trip.

    ``images`` maps identity to size in bytes of the SIF; ``files`` holds the tree digests that are staged.
    ``scanned`` holds the locks of every run when a full scan was asked for.
    """

    cluster: str
    reachable: bool
    error_reason: str = ""
    error: str = ""
    now: float | None = None
    """The cluster's clock."""
    facts: ClusterFacts | None = None
    find_job: str = ""
    """The command by which a person finds a job; NAME stands for the job's name."""
    images: Mapping[str, int] | None = None
    conversions: Mapping[str, Conversion] | None = None
    """Identity -> a conversion that is in a job's hands."""
    sifs: Mapping[str, SifSeen] | None = None
    """Path as a spec has it -> what is there."""
    files: frozenset[str] | None = None
    queue: tuple[JobRecord, ...] | None = None
    accounting: tuple[JobRecord, ...] | None = None
    events: tuple[RunEvent, ...] | None = None
    batches: Mapping[str, BatchRecord] | None = None
    scanned: tuple[RunLock, ...] | None = None
    gone: frozenset[str] | None = None
    """Directories of runs that were asked for and are not there, or purged; None: none was, or not seen."""
    outputs: Mapping[str, Outputs] = field(default_factory=dict)
    """Run -> those of its files that were asked for."""
    owners: Mapping[str, str] | None = None
    """Instance -> text of its ``owner.json`` in this work directory."""
    unfit: Mapping[str, str] = field(default_factory=dict)
    """Path below the instance's directory of a file that does not fit -> what is wrong with it."""
    faults: Mapping[str, str] = field(default_factory=dict)
    """Part of the observation -> what went wrong with it, for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineObservation:
    """The Docker Engine: identities of the images that carry our label, or None when it could not be asked."""

    images: frozenset[str] | None
    error_reason: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Everything seen in one pass."""

    engine: EngineObservation | None
    """None when no resource needs the engine."""
    clusters: Mapping[str, ClusterObservation] = field(default_factory=dict)
