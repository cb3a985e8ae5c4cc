"""Words that the planner's parts share: why a task waits, and what is to be said of a resource."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from controller.model.conditions import Condition, Truth
from controller.model.resources import Desired

Saying = tuple[Truth, str, str]
"""A condition's status, reason and message."""
SETTLED: Saying = (Truth.FALSE, "Settled", "")
NEEDS_A_PERSON = frozenset(
    {
        "AccountChanged",
        "AuthenticationFailed",
        "BranchLeased",
        "ClusterChanged",
        "HostKeyRejected",
        "LeaseTooNew",
        "InstanceTaken",
        "WorkdirMissing",
        "WorkdirMoved",
        "WorkdirUnset",
        "WorkdirUnwritable",
    }
)
"""Reasons of a cluster's that no other try will mend."""
PROGRESSING: Saying = (Truth.FALSE, "Progressing", "")


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a task does not run yet. ``stalled``: a person is needed. ``failed``: something went wrong for it."""

    reason: str
    message: str
    stalled: bool = False
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The three conditions of a resource."""

    ready: Saying
    reconciling: Saying
    stalled: Saying


def with_problem(verdict: Verdict, desired: Desired, key: str) -> Verdict:
    """Lay over a verdict that the resource's own spec is invalid, or names what cannot be had now."""
    problem = next((problem for problem in desired.problems if problem.resource == key), None)
    message = problem.headline() if problem else "its file cannot be read"
    if key in desired.stale:
        message += "; the last good version stays in force"
    if problem and problem.passing:
        return replace(verdict, reconciling=(Truth.TRUE, "SourceUnavailable", message))
    return replace(verdict, stalled=(Truth.TRUE, "SpecInvalid", message))


def conditions(verdict: Verdict) -> tuple[Condition, ...]:
    """Return a verdict as conditions, their times still to be filled in."""
    rows = (("Ready", verdict.ready), ("Reconciling", verdict.reconciling), ("Stalled", verdict.stalled))
    return tuple(
        Condition(type=name, status=status, reason=reason or "Unknown", message=message, changed="")
        for name, (status, reason, message) in rows
    )


def seconds_of(text: str | None) -> float | None:
    """Return what ``time_text`` was made of; None for anything else."""
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def time_text(seconds: float | None) -> str | None:
    """Return seconds since the epoch as ISO 8601 in UTC, whole seconds."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
