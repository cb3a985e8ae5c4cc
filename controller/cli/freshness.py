"""As of when a status is, by whom it was written, and which commits it does not speak of yet.

From the heartbeat beside the status branch. Belongs here: the words and the document. Does not belong here: statuses.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from controller.planning.verdicts import seconds_of

if TYPE_CHECKING:
    from controller.reconcile.settings import Settings
    from controller.repository.heartbeat import Heartbeat
    from controller.repository.mirror import Mirror

LATE_S = 600.0
"""Beyond the interval: after so long without a heartbeat the controller may have stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """``beat`` None: there is no heartbeat. ``newer`` None: the commit applied is not behind the newest one."""

    beat: Heartbeat | None
    now: float
    heartbeat_branch: str
    spec_branch: str
    newest: str
    subject: str
    newer: int | None

    @property
    def age_s(self) -> float | None:
        """How long ago the last pass was."""
        at = seconds_of(self.beat.at) if self.beat else None
        return None if at is None else max(0.0, self.now - at)

    @property
    def overdue(self) -> bool:
        """Whether a pass should have been heard of."""
        return self.beat is not None and (self.age_s is None or self.age_s > self.beat.interval_s + LATE_S)


def read_freshness(settings: Settings, mirror: Mirror, *, now: float) -> Freshness:
    """Return the freshness as of the mirror's last fetch of the heartbeat's and the specs' branch."""
    from controller.model.errors import ControllerError
    from controller.repository.heartbeat import branch_of, read_heartbeat

    branch = branch_of(settings.status_branch)
    beat, newest = read_heartbeat(mirror, branch), mirror.tip(settings.branch)
    try:
        name = settings.branch or mirror.default_branch()
    except ControllerError:
        name = "HEAD"
    return Freshness(
        beat=beat,
        now=now,
        heartbeat_branch=branch,
        spec_branch=name,
        newest=newest or "",
        subject=mirror.commit_info(newest).subject if newest else "",
        newer=mirror.count_after(beat.spec_commit, newest) if beat and beat.spec_commit and newest else None,
    )


def sentence(fresh: Freshness) -> str:
    """Return the freshness in one line."""
    beat = fresh.beat
    if beat is None:
        there = f"there is no branch {fresh.heartbeat_branch}; README.md of the status branch may say why"
        return f"It is not known when a pass last ended: {there}"
    age = f"{_clock(beat.at, fresh.now)} ({_ago(fresh.age_s)})"
    if fresh.overdue:
        line = f"No pass since {age} by {beat.host}: the controller may have stopped"
    elif beat.result == "failed":
        since = f" since {_clock(beat.passed, fresh.now)}" if beat.passed else ""
        line = f"No pass could be completed{since}, last tried at {age} by {beat.host}: {beat.reason}"
    else:
        line = f"As of {age} by {beat.host}"
    return line + _not_applied(fresh)


def document_of(fresh: Freshness) -> dict[str, Any]:
    """Return the freshness for programs. What is not known is None."""
    beat = fresh.beat
    return {
        "at": beat.at if beat else None,
        "age_s": None if fresh.age_s is None else round(fresh.age_s),
        "overdue": fresh.overdue if beat else None,
        "status_at": (beat.passed or None) if beat else None,
        "result": beat.result if beat else None,
        "reason": beat.reason if beat else "",
        "interval_s": beat.interval_s if beat else None,
        "controller": {"host": beat.host, "instance": beat.instance, "version": beat.version} if beat else None,
        "specs": {
            "branch": fresh.spec_branch,
            "applied": (beat.spec_commit or None) if beat else None,
            "newest": fresh.newest or None,
            "subject": fresh.subject,
            "not_applied": fresh.newer,
        },
    }


def _not_applied(fresh: Freshness) -> str:
    beat = fresh.beat
    if beat is None or not fresh.newest or fresh.newest == beat.spec_commit:
        return ""
    newest = f"{fresh.newest[:12]} {_short(fresh.subject)}".rstrip()
    if not fresh.newer:
        return f"; {fresh.spec_branch} is at {newest}, which is not applied yet"
    commits = "1 newer commit" if fresh.newer == 1 else f"{fresh.newer} newer commits"
    return f"; {fresh.spec_branch} has {commits} not applied yet ({newest})"


def _short(text: str, longest: int = 60) -> str:
    flat = "".join(char if char.isprintable() else " " for char in text)
    return flat if len(flat) <= longest else flat[: longest - 1] + "…"


def _clock(text: str, now: float) -> str:
    """Return a time by the reader's own clock, with the day unless that is today."""
    at = seconds_of(text)
    if at is None:
        return "an unknown time"
    local = datetime.fromtimestamp(at)
    return local.strftime("%H:%M" if local.date() == datetime.fromtimestamp(now).date() else "%Y-%m-%d %H:%M")


def _ago(age_s: float | None) -> str:
    if age_s is None:
        return "unknown"
    for unit, seconds in (("d", 86400), ("h", 3600), ("min", 60)):
        if age_s >= seconds:
            return f"{age_s // seconds:.0f} {unit} ago"
    return f"{age_s:.0f} s ago"
