"""What a pass says of itself when it has ended: the value that goes to logs, metrics and health.

Counts only. The resources themselves are on the status branch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from controller.model.conditions import TaskState

FAILED_OUTCOME = "failed"
"""The outcome, among those in ``PassSummary.actions``, that makes a pass incomplete."""


class PassResult(StrEnum):
    """How a pass ended, in the words of ``controller reconcile --once``: exit codes 0, 1 and 3."""

    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PassSummary:
    """One pass. ``started_s`` and ``ended_s`` are readings of a monotonic clock."""

    pass_id: str
    commit: str
    started_s: float
    ended_s: float
    actions: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """(kind of action, outcome) to how many."""
    tasks: Mapping[TaskState, int] = field(default_factory=dict)
    invalid_specs: int = 0
    clusters: Mapping[str, bool] = field(default_factory=dict)
    """Cluster name to whether it could be observed in this pass."""
    error_reason: str | None = None
    """PascalCase reason when the pass could not do its work though it did not raise."""
    next_pass_in_s: float | None = None
    """Ask for the next pass sooner than the interval, because something is in progress."""

    @property
    def duration_s(self) -> float:
        """How long the pass took."""
        return max(0.0, self.ended_s - self.started_s)

    @property
    def failed_actions(self) -> int:
        """How many actions failed."""
        return sum(count for (_, outcome), count in self.actions.items() if outcome == FAILED_OUTCOME)

    @property
    def result(self) -> PassResult:
        """How the pass ended."""
        if self.error_reason is not None:
            return PassResult.FAILED
        if self.invalid_specs or self.failed_actions:
            return PassResult.INCOMPLETE
        return PassResult.COMPLETED
