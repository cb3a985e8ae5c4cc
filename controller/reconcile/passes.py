"""A pass as a value: up to the point where it would act, and when it has ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controller.model.conditions import ResourceStatus, Truth
from controller.model.errors import ControllerError, WaitingError
from controller.model.observed import Observed
from controller.model.plans import Plan
from controller.model.resources import Desired
from controller.model.runs import RunRecord
from controller.planning.history import History
from controller.reconcile.hands import Outcomes
from controller.reconcile.leases import Leasing
from controller.reconcile.ledger import Ledger
from controller.reconcile.looking import Sight
from controller.reconcile.memory import Memory
from controller.reconcile.schedules import Clockwork
from controller.reconcile.sites import Sites


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """A pass up to the point where it would act: what ``controller plan`` shows."""

    desired: Desired
    sight: Sight
    history: History
    plan: Plan
    before: Mapping[str, RunRecord]
    clockworks: Mapping[str, Clockwork]
    memory: Memory
    ledger: Ledger
    """What was read of the ledger of ends, to be kept."""
    leasing: Leasing
    """Under which instance, and whether a pass may begin."""
    sites: Sites
    """Where runs are."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the instance and of the places where its runs are."""
        return (*self.leasing.ruling.notes, *self.sites.notes, *self.plan.hints)


@dataclass(frozen=True, slots=True, kw_only=True)
class PassResult:
    """A pass that has ended. ``status_commit`` None: there was nothing new to report."""

    pass_id: str
    desired: Desired
    observed: Observed
    plan: Plan
    outcomes: Outcomes
    underway: frozenset[str]
    """Keys of lasting actions, of this pass or of earlier ones, that go on."""
    statuses: tuple[ResourceStatus, ...]
    resume_at: float | None = None
    """When what a limit keeps waiting may go on, in seconds since the epoch; None where nothing waits for that."""
    status_commit: str | None = None
    report_error: ControllerError | None = None
    heartbeat_error: ControllerError | None = None
    """Why the heartbeat could not be written; no fault of the pass."""
    notes: tuple[str, ...] = ()
    """What a person should know of the instance: that the repository moved, or the branch was renamed."""

    @property
    def complete(self) -> bool:
        """Whether every spec could be read and no action failed."""
        failed = any(error is not None and not isinstance(error, WaitingError) for error in self.outcomes.values())
        return not self.desired.problems and not failed

    @property
    def in_progress(self) -> bool:
        """Whether something is under way that needs no person, beside whatever has failed or is Stalled."""
        return any(
            status.tasks and _is(status, "Reconciling") and not (self.plan.holds and _is(status, "Stalled"))
            for status in self.statuses
        )


def _is(status: ResourceStatus, condition: str) -> bool:
    return any(c.type == condition and c.status is Truth.TRUE for c in status.conditions)
