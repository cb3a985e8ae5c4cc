"""When a heartbeat is due: at most every five minutes while nothing else changes. It never fails a pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from controller.model.errors import ControllerError
from controller.planning.verdicts import time_text
from controller.reconcile.passes import PassResult
from controller.reconcile.settings import Settings
from controller.repository.heartbeat import (
    Heartbeat,
    branch_of,
    heartbeat_from,
    heartbeat_text,
    write_heartbeat,
)
from controller.repository.mirror import Mirror
from controller.store.journal import Journal

log = structlog.get_logger(__name__)

EVERY_S = 300.0
_FACT = "heartbeat"
_FAILS_WITH_A_REPOSITORY = frozenset({"BranchNotFound", "SubdirectoryNotFound"})
"""Reasons of a pass that could not run though the repository can be written to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Last:
    """The last heartbeat, when it was pushed or tried to, and why that failed; "" when it did not."""

    beat: Heartbeat | None = None
    tried: float = 0.0
    fault: str = ""


class Heartbeats:
    """Writes one controller's heartbeat."""

    def __init__(
        self,
        settings: Settings,
        *,
        mirror: Mirror,
        journal: Journal,
        clock: Callable[[], float],
        host: str,
        version: str,
    ) -> None:
        self._settings = settings
        self._mirror = mirror
        self._journal = journal
        self._clock = clock
        self._host = host
        self._version = version
        self.branch = branch_of(settings.status_branch)

    @property
    def fault(self) -> str:
        """Why the last heartbeat could not be written, "" where it could."""
        return self._last().fault

    def ended(self, result: PassResult, *, instance: str) -> ControllerError | None:
        """Tell of a pass of ``instance`` that has run; return why that could not be told, if it was due."""
        if result.report_error is not None:
            return self._beat(instance, "failed", f"the status could not be written: {_words(result.report_error)}")
        passed = time_text(self._clock()) or ""
        word = "completed" if result.complete else "incomplete"
        return self._beat(instance, word, passed=passed, spec_commit=result.desired.commit)

    def failed(self, error: ControllerError) -> None:
        """Tell of a pass that could not run.

        Only where one has run before with this state directory: before that, nobody knows whether the branch is ours.
        """
        beat = self._last().beat
        if error.reason in _FAILS_WITH_A_REPOSITORY and beat is not None:
            self._beat(beat.instance, "failed", _words(error))

    def _beat(self, instance: str, result: str, reason: str = "", **new: str) -> ControllerError | None:
        now, last = self._clock(), self._last()
        beat = Heartbeat(
            at=time_text(now) or "",
            passed=new.get("passed", last.beat.passed if last.beat else ""),
            result=result,
            reason=reason,
            spec_commit=new.get("spec_commit", last.beat.spec_commit if last.beat else ""),
            host=self._host,
            instance=instance,
            version=self._version,
            interval_s=self._settings.interval_s,
        )
        if not _is_due(last, beat, now):
            return None
        error: ControllerError | None = None
        try:
            write_heartbeat(self._mirror, self.branch, beat, now=now)
        except ControllerError as raised:
            log.warning("heartbeat_failed", branch=self.branch, reason=raised.reason, message=raised.message)
            error = raised
        fault = "" if error is None else _words(error)
        self._save(_Last(beat=beat, tried=now, fault=fault))
        return error

    def _last(self) -> _Last:
        text = self._journal.fact(_FACT)
        if text is None:
            return _Last()
        known = json.loads(text)
        return _Last(beat=heartbeat_from(known["beat"]), tried=known["tried"], fault=known["fault"])

    def _save(self, last: _Last) -> None:
        beat = None if last.beat is None else heartbeat_text(last.beat)
        self._journal.save_fact(_FACT, json.dumps({"beat": beat, "tried": last.tried, "fault": last.fault}))


def _is_due(last: _Last, beat: Heartbeat, now: float) -> bool:
    """Whether something but the time has changed, or five minutes have gone by; by a clock set back, too."""
    if last.beat is None or not 0 <= now - last.tried < EVERY_S:
        return True
    timeless = replace(last.beat, at=beat.at, passed=beat.passed)
    return timeless != beat


def _words(error: ControllerError) -> str:
    return f"{error.reason}: {error.message}".splitlines()[0]
