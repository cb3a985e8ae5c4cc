"""The plan: for each task what is missing for it, for each run that nobody wants any more its cancellation.

Read top to bottom it is the data path: cancels, then for each job its due runs with what they need, then what to say
of everything. Nothing is planned on a cluster, image or spec that could not be seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from controller.model.observed import Observed
from controller.model.plans import Plan, PlannedRun, SubmitBatch
from controller.model.resources import Desired, Job
from controller.model.runs import run_of
from controller.planning.batching import resubmit, submit
from controller.planning.brakes import hold_back, hold_unremembered
from controller.planning.draft import Draft
from controller.planning.history import History
from controller.planning.latevalues import filled
from controller.planning.provision import plan_unused_image
from controller.planning.readiness import standing_of
from controller.planning.recall import recalled
from controller.planning.renames import hints
from controller.planning.reruns import hold_reruns
from controller.planning.statuses import statuses_of
from controller.planning.verdicts import Wait
from controller.planning.wanted import (
    cancels_in,
    kept_for,
    left_behind,
    replaced_in,
    waiting_cancels,
    withdrawals_in,
)


def make_plan(desired: Desired, observed: Observed, history: History, *, now: float) -> Plan:
    """Return what one pass is to do. Runs in ``history`` must have been brought up to date with ``observed``."""
    known = recalled(desired, observed, history)
    if known:
        history = replace(history, runs={**history.runs, **known})
    draft = Draft(desired=desired, observed=observed, history=history, now=now)
    replaced = replaced_in(draft)
    brake = hold_reruns(draft, replaced)
    unremembered = hold_unremembered(draft)
    kept = kept_for(draft, replaced)
    due = [cancel for cancel in cancels_in(draft) if cancel.record.id not in kept]
    cancels, holds = hold_back(due, desired, history)
    holds += (*unremembered, *brake.holds)
    for cancel in [*cancels, *withdrawals_in(draft)]:
        draft.actions[cancel.key] = cancel
        draft.cancelled.add(cancel.record.id)
    for job in sorted(desired.jobs.values(), key=lambda job: (-job.priority, job.name)):
        _plan_job(draft, job)
    for image in desired.images.values():
        plan_unused_image(draft, image)
    return Plan(
        commit=desired.commit,
        actions=tuple(draft.actions.values()),
        needs=draft.needs,
        statuses=statuses_of(
            desired,
            observed,
            history,
            waits=draft.waits,
            holds=holds,
            recalled=known.keys(),
            cancels={**waiting_cancels(draft), **kept},
            now=now,
        ),
        holds=holds,
        let_go=brake.let_go or {},
        unread=brake.unread,
        resume_at=draft.resume_at,
        hints=hints(desired, history.runs.values(), history.published, _begun_by(draft)),
        recalled=known,
    )


def _begun_by(draft: Draft) -> Iterator[tuple[str, str]]:
    """Yield job and digest of each task that is submitted, or that a brake keeps from that."""
    for action in draft.actions.values():
        if isinstance(action, SubmitBatch):
            yield from ((planned.run.job, planned.run.digest) for planned in action.runs)
    yield from ((task.job, task.digest) for task in draft.tasks.values() if task.id in draft.held)


def _plan_job(draft: Draft, job: Job) -> None:
    cluster = draft.desired.clusters[job.cluster]
    due: list[PlannedRun] = []
    lapsed: dict[str, None] = {}
    for task in job.tasks:
        records = draft.runs_of(task)
        if records and records[-1].lapsed:
            if records[-1].where != cluster.name:
                draft.waits[task.id] = left_behind(records[-1])
            else:
                lapsed[records[-1].batch] = None
            continue
        standing = standing_of(draft, job, cluster, task)
        if standing.done:
            continue
        found = standing.wait
        if found is None:
            run = run_of(task, attempt=standing.attempt, cluster=cluster.name, commit=job.source.commit)
            planned = filled(draft, run, task)
            if isinstance(planned, Wait):
                found = planned
            else:
                due.append(planned)
        if found is not None:
            draft.waits[task.id] = found
    submit(draft, job, cluster, due)
    for batch in lapsed:
        resubmit(draft, job, cluster, batch)
