"""What is said of resources and tasks: the one vocabulary of status files, command line and logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class TaskState(StrEnum):
    """Where a task stands. ``Unknown`` is an answer, not an error: it never leads to an action."""

    WAITING = "Waiting"
    SUBMITTING = "Submitting"
    QUEUED = "Queued"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    UNKNOWN = "Unknown"


TERMINAL = frozenset({TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED})
ACTIVE = frozenset({TaskState.SUBMITTING, TaskState.QUEUED, TaskState.RUNNING, TaskState.UNKNOWN})
"""States in which a run may hold, or may come to hold, an allocation."""


class Truth(StrEnum):
    """Value of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One statement about a resource: ``Ready``, ``Reconciling`` or ``Stalled``."""

    type: str
    status: Truth
    reason: str
    message: str
    changed: str
    """Time of the last change of ``status`` or ``reason``, ISO 8601 in UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStatus:
    """What a person sees of one task. Times are ISO 8601 in UTC."""

    id: str
    state: TaskState
    reason: str = ""
    message: str = ""
    job_id: str | None = None
    account: str = ""
    partition: str = ""
    qos: str = ""
    """Under which account, partition and QOS it ran, or is to run, by the scheduler's own word; "" where not known."""
    attempt: int = 0
    started: str | None = None
    ended: str | None = None
    exit_code: int | None = None
    run_dir: str | None = None
    cluster: str = ""
    """Where its run is, if that is not where its resource says."""
    digest: str = ""
    stderr_tail: str = ""
    results: Mapping[str, str] = field(default_factory=dict)
    """Metrics by name, as text."""
    result_faults: Mapping[str, str] = field(default_factory=dict)
    """Metrics that could not be read, each with ``Reason: message``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceStatus:
    """What a person sees of one resource."""

    kind: str
    name: str
    digest: str
    commit: str
    path: str = ""
    cluster: str = ""
    conditions: tuple[Condition, ...] = ()
    tasks: tuple[TaskStatus, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    """The spec's own words to find it by."""
    details: Mapping[str, str] = field(default_factory=dict)
    """Further facts by name, such as an image's identity or a cluster's scheduler version."""

    @property
    def key(self) -> str:
        """``Kind/name``."""
        return f"{self.kind}/{self.name}"
