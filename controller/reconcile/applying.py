"""A plan carried out: what is independent goes on side by side, what fails stops only what needs it."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import assert_never

import structlog

from controller.model.errors import AmbiguousError, ControllerError, StalledError, TransientError, WaitingError
from controller.model.machine import fault_of
from controller.model.observed import Observed
from controller.model.plans import (
    SUBMIT_LIMIT,
    Action,
    BuildImage,
    CancelRun,
    Failure,
    Place,
    Plan,
    PublishImage,
    StageFiles,
    SubmitBatch,
    TestImage,
    limit_key,
)
from controller.planning.draft import LASTING, LASTING_WAIT_S
from controller.reconcile import acting
from controller.reconcile.hands import Hands, Outcomes
from controller.reconcile.publishing import publish
from controller.reconcile.submitting import submit as submit_batches
from controller.reconcile.trials import test_image
from controller.reconcile.workshop import Workshop

log = structlog.get_logger(__name__)

WORKERS = 8
_LASTING = BuildImage | TestImage | PublishImage
"""Actions that may take an hour: they go on in the workshop."""
_FIRST_RETRY_S = 30.0
_LAST_RETRY_S = 1800.0


@dataclass(frozen=True, slots=True)
class _Unit:
    """Actions that go in one round trip, and the keys that have to be done before."""

    actions: tuple[Action, ...]
    needs: frozenset[str]
    run: Callable[[], Outcomes]
    kind: str = ""
    """What at most ``limit`` units may do at once, "" for no such limit."""
    limit: int = WORKERS

    @property
    def lasting(self) -> bool:
        """Whether it may go on after the pass."""
        return all(isinstance(action, _LASTING) for action in self.actions)


def apply(plan: Plan, observed: Observed, hands: Hands, *, stop: Event, workshop: Workshop) -> Outcomes:
    """Carry out a plan; return the outcome of every action that has ended. ``stop`` keeps new ones from starting.

    What takes longer than the workshop's patience goes on there, and is in its ``underway``.
    """
    waiting = _units(plan, observed, hands, stop)
    deadline = workshop.deadline()
    outcomes: Outcomes = {}
    running: dict[Future[Outcomes], _Unit] = {}
    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        while waiting or running:
            ready = [unit for unit in waiting if all(outcomes.get(key, "") is None for key in unit.needs)]
            blocked = [unit for unit in waiting if any(outcomes.get(key) is not None for key in unit.needs)]
            waiting = [unit for unit in waiting if unit not in ready and unit not in blocked]
            if stop.is_set():
                ready, waiting = [], []
            for unit in ready:
                if unit.kind and workshop.busy(unit.kind) >= unit.limit:
                    waiting.append(unit)
                    continue
                # A pool's threads start without the pass's id, which belongs into every line of the log.
                work = partial(copy_context().run, _carry_out, unit, hands)
                keys = [action.key for action in unit.actions]
                running[workshop.begin(keys, work, kind=unit.kind) if unit.lasting else pool.submit(work)] = unit
            if not running:
                break
            left_s = None
            if deadline is not None and all(unit.lasting for unit in running.values()):
                left_s = max(0.0, deadline - time.monotonic())
            done, _ = wait(running, timeout=left_s, return_when=FIRST_COMPLETED)
            if not done:
                break
            for future in done:
                del running[future]
                outcomes |= future.result()
    return outcomes


def _units(plan: Plan, observed: Observed, hands: Hands, stop: Event) -> list[_Unit]:
    units: list[_Unit] = []
    cancels: dict[str, list[CancelRun]] = defaultdict(list)
    stages: dict[str, list[StageFiles]] = defaultdict(list)
    submits: dict[tuple[str, frozenset[str]], list[SubmitBatch]] = defaultdict(list)
    for action in plan.actions:
        needs = frozenset(plan.needs.get(action.key, ()))
        match action:
            case BuildImage():
                units.append(_Unit((action,), needs, partial(acting.build, hands, action), "build", hands.builds))
            case TestImage():
                units.append(_Unit((action,), needs, partial(test_image, hands, action, stop), "test", 1))
            case PublishImage():
                alone = (f"convert on {_login_node(action)}", 1) if action.route.place is Place.LOGIN else ()
                units.append(
                    _Unit((action,), needs, partial(publish, hands, action, _version(observed, action)), *alone)
                )
            case StageFiles():
                stages[action.cluster.name].append(action)
            case SubmitBatch():
                submits[(action.cluster.name, needs)].append(action)
            case CancelRun():
                cancels[action.cluster.name].append(action)
            case _:
                assert_never(action)
    for cancel in cancels.values():
        units.append(_Unit(tuple(cancel), frozenset(), partial(acting.cancel, hands, cancel)))
    for stage in stages.values():
        units.append(_Unit(tuple(stage), frozenset(), partial(acting.stage, hands, stage)))
    for (name, needs), submit in submits.items():
        facts = observed.clusters[name].facts
        assert facts is not None, "the planner submits nothing to a cluster that it has not seen"
        units.append(_Unit(tuple(submit), needs, partial(submit_batches, hands, submit, facts)))
    return units


def _login_node(action: PublishImage) -> str:
    """Return where a conversion would run: two clusters may be behind one login node, which others work on too."""
    connection = action.cluster.connection
    return f"{connection.host}:{connection.port}" if connection else "this machine"


def _version(observed: Observed, action: PublishImage) -> str:
    facts = observed.clusters[action.cluster.name].facts
    return facts.scheduler_version if facts is not None else ""


def _carry_out(unit: _Unit, hands: Hands) -> Outcomes:
    outcomes: Outcomes
    try:
        outcomes = unit.run()
    except ControllerError as error:
        outcomes = {action.key: error for action in unit.actions}
    except Exception as error:  # the one place where a defect in one action must not stop the others
        fault = fault_of(error)
        if fault is None:
            log.exception("action_crashed", actions=[action.key for action in unit.actions])
            fault = TransientError("InternalError", f"{type(error).__name__}: {error}")
        outcomes = {action.key: fault for action in unit.actions}
    _note(unit, outcomes, hands)
    return outcomes


def _note(unit: _Unit, outcomes: Mapping[str, ControllerError | None], hands: Hands) -> None:
    """Log each outcome, and remember failures for their backoff."""
    earlier = hands.journal.failures()
    for action in unit.actions:
        error = outcomes.get(action.key)
        kind = type(action).__name__
        if error is None:
            log.info("action_done", action=action.key, kind=kind)
            hands.say(action.key, "done")
            continue
        waits = isinstance(error, WaitingError)
        event = "action_waits" if waits else "action_failed"
        log.warning(event, action=action.key, kind=kind, reason=error.reason, message=error.message)
        hands.say(action.key, f"{'waits' if waits else 'failed'}: {error.reason}: {error.message}")
        if not isinstance(error, AmbiguousError):
            key = failure_key(action, error)
            hands.journal.save_failure(key, failure_of(error, earlier.get(key), hands.clock()))
    hands.journal.clear_failures(
        a.key for a in unit.actions if outcomes.get(a.key) is None and a.key in earlier and not _goes_on(a)
    )


def _goes_on(action: Action) -> bool:
    """Whether an action that is done has only begun what may fail yet: its failures count until the end is seen."""
    return isinstance(action, PublishImage) and action.route.place is Place.JOB


def failure_key(action: Action, error: ControllerError) -> str:
    """Return under what a failure is remembered: a scheduler's limit is the job's, however its runs are grouped."""
    if isinstance(action, SubmitBatch) and error.reason == SUBMIT_LIMIT:
        return limit_key(action.cluster, action.job)
    return action.key


def failure_of(error: ControllerError, before: Failure | None, now: float) -> Failure:
    """Return when to try again: doubling from 30 s to 30 min, a fifth more or less so that retries do not march.

    What would fail the same again, since the reason lies in what is asked for, is tried once a day.
    """
    count = (before.count if before else 0) + 1
    delay = min(_FIRST_RETRY_S * 2 ** (count - 1), _LAST_RETRY_S) * random.uniform(0.8, 1.2)
    if isinstance(error, WaitingError):
        delay = error.retry_after_s
    if isinstance(error, StalledError):
        delay = LASTING_WAIT_S if error.reason in LASTING else _LAST_RETRY_S
    return Failure(
        reason=error.reason,
        message=error.message,
        count=count,
        next_try=now + delay,
        stalled=isinstance(error, StalledError),
        waiting=isinstance(error, WaitingError),
    )


def failures_in(outcomes: Mapping[str, ControllerError | None]) -> Iterable[tuple[str, ControllerError]]:
    """Return the actions that failed; one that waits for something is no failure."""
    return (
        (key, error) for key, error in outcomes.items() if error is not None and not isinstance(error, WaitingError)
    )
