"""How long to wait: backoff after passes that could not run, and when silence means that the loop is stuck.

Pure: readings of the clock are arguments. The loop and the health page ask here, so that they cannot
disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.model.errors import ConfigurationError, ControllerError, WaitingError

BACKOFF_START_S = 60.0
BACKOFF_LIMIT_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The times that drive the loop, all in seconds.

    Raises:
        ConfigurationError: a time is out of range (``IntervalInvalid``).
    """

    interval_s: float = 60.0
    """From one tick to the next."""
    jitter_s: float = 0.0
    """Each tick comes later by up to this much, so that many controllers do not ask one Git host at once."""
    min_gap_s: float = 2.0
    """From the start of a pass to the start of the next, at least: what a storm of webhooks is reduced to."""
    stuck_after_s: float = 3 * 3600.0
    """A pass that has been running for longer is unhealthy. Building an image takes a while."""

    def __post_init__(self) -> None:
        for name, value, least in (
            ("interval", self.interval_s, 1.0),
            ("jitter", self.jitter_s, 0.0),
            ("minimum gap", self.min_gap_s, 0.0),
            ("limit of a pass", self.stuck_after_s, 1.0),
        ):
            if not least <= value < 366 * 86400:
                raise ConfigurationError("IntervalInvalid", f"The {name} is {value:g} s; give {least:g} s or more.")

    def backoff_s(self, failures: int, error: ControllerError | None = None) -> float:
        """Time from the end of the ``failures``-th failed pass in a row to the tick that tries again.

        Starts at the interval, or a minute where the interval is longer, and doubles up to ten minutes. An
        error that says itself when to come back is taken at its word, up to the same limit.
        """
        start = min(self.interval_s, BACKOFF_START_S)
        doubled = min(BACKOFF_LIMIT_S, start * 2.0 ** min(failures - 1, 16))
        if isinstance(error, WaitingError):
            return min(BACKOFF_LIMIT_S, max(self.min_gap_s, error.retry_after_s))
        return doubled

    def overdue_after_s(self, backoff_s: float) -> float:
        """Time since a pass began, with none running, after which the loop counts as stuck.

        Three intervals, and never less than a running backoff leaves room for: a restart would only defeat
        it.
        """
        return max(3 * self.interval_s, backoff_s + self.interval_s) + self.jitter_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What the loop knows of its own passes at one moment. Times are readings of its monotonic clock."""

    started_s: float
    """When the service started."""
    began_s: float | None = None
    """When the latest pass began."""
    running: bool = False
    requested: bool = False
    """Somebody asked for a pass that has not begun."""
    stopping: bool = False
    completed: int = 0
    """Passes that ran, whatever they found."""
    failures: int = 0
    """Passes in a row that could not run."""
    failure: str = ""
    """Reason of the latest of them."""
    backoff_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The answer of the health page."""

    healthy: bool
    reason: str
    """PascalCase; ``Alive`` when there is nothing to report."""
    message: str
    details: Mapping[str, str | int | float | bool] = field(default_factory=dict)


def health(progress: Progress, pace: Pace, now_s: float) -> Health:
    """Say whether the loop is alive. Passes that cannot run are no reason to restart it; it tries again."""
    began_s = progress.began_s if progress.began_s is not None else progress.started_s
    age_s = max(0.0, now_s - began_s)
    details: dict[str, str | int | float | bool] = {
        "running": progress.running,
        "requested": progress.requested,
        "passes_completed": progress.completed,
        "failures_in_a_row": progress.failures,
        "seconds_since_pass_began": round(age_s, 1),
    }
    if progress.stopping:
        return Health(healthy=False, reason="Stopping", message="The service is stopping.", details=details)
    if progress.running and age_s > pace.stuck_after_s:
        message = f"A pass has been running for {age_s:.0f} s; {pace.stuck_after_s:.0f} s is the limit."
        return Health(healthy=False, reason="PassStuck", message=message, details=details)
    overdue_s = pace.overdue_after_s(progress.backoff_s)
    if not progress.running and age_s > overdue_s:
        message = f"No pass has begun for {age_s:.0f} s; one was due within {overdue_s:.0f} s."
        return Health(healthy=False, reason="PassOverdue", message=message, details=details)
    if progress.failures:
        message = f"The last {progress.failures} passes could not run: {progress.failure}. Trying again."
        return Health(healthy=True, reason=progress.failure, message=message, details=details)
    return Health(healthy=True, reason="Alive", message="Passes begin on time.", details=details)
