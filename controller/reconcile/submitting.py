"""Batches submitted: the intent written down, one round trip, what came of each written down.

A crash between any two lines leaves the journal saying what was about to happen, and the cluster saying whether it
did; the next look puts the two together. A batch that a scheduler's limit has no room for is cut in half and sent
again until its parts fit, since an array is refused as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from controller.clusters.cluster import ClusterClient, SubmitEnd, Submitted
from controller.model.conditions import TaskState
from controller.model.digests import short
from controller.model.errors import AmbiguousError, ControllerError, WaitingError
from controller.model.failpoints import failpoint
from controller.model.observed import ClusterFacts
from controller.model.plans import IMAGE_GONE, SUBMIT_LIMIT, PlannedRun, SubmitBatch
from controller.model.resources import Cluster
from controller.model.runs import RunRecord, batch_of
from controller.planning.rate import free_at, times_of
from controller.reconcile.hands import Hands, Outcomes
from controller.store.journal import Journal


def latest_submits(journal: Journal, records: Mapping[str, RunRecord]) -> dict[str, Sequence[float]]:
    """Return when each cluster's latest submissions were; with a new journal, as far as the runs' records tell."""
    return {**times_of(records.values()), **journal.submits()}


def remember_submits(journal: Journal, submits: Mapping[str, Sequence[float]], *, now: float) -> None:
    """Write down what only the records told so far: the next pass would count the new ones alone."""
    known = journal.submits()
    for cluster, times in submits.items():
        if cluster not in known:
            journal.add_submits(cluster, times, now=now)


def submit(hands: Hands, actions: Sequence[SubmitBatch], facts: ClusterFacts) -> Outcomes:
    """Submit batches to one cluster; see the protocol in ``docs/architecture.md``."""
    client = hands.client_of(actions[0].cluster.name)
    ends = _send(hands, client, actions, facts)
    outcomes: Outcomes = {}
    for action in actions:
        end = ends[action.batch]
        if _is_full(end) and len(action.runs) > 1:
            end = _send_in_parts(hands, client, action, facts, end)
        outcomes[action.key] = end.error
    failpoint("submit.recorded")
    return outcomes


def _send(
    hands: Hands, client: ClusterClient, actions: Sequence[SubmitBatch], facts: ClusterFacts
) -> dict[str, Submitted]:
    """Send batches and write down what came of each; return it by batch."""
    journal, now = hands.journal, hands.clock()
    intents = {action.batch: _intents(action, facts, hands.instance, now) for action in actions}
    failpoint("submit.intent.before")
    journal.add_submits(actions[0].cluster.name, [now] * len(actions), now=now)
    journal.save_runs(record for records in intents.values() for record in records)
    failpoint("submit.intent.after")
    tries = {action.batch: max(action.tries, journal.tries(action.batch)) for action in actions}
    try:
        answers: Mapping[str, Submitted] = client.submit([(action, tries[action.batch]) for action in actions], facts)
    except AmbiguousError as error:
        journal.save_runs(_unanswered(record, error) for records in intents.values() for record in records)
        return {action.batch: Submitted(end=SubmitEnd.FAILED, error=error) for action in actions}
    except ControllerError as error:
        # Nothing was begun.
        for action in actions:
            _take_back(journal, action, intents[action.batch])
        return {action.batch: Submitted(end=SubmitEnd.FAILED, error=error) for action in actions}
    failpoint("submit.sent")
    ends = {}
    for action in actions:
        end = answers.get(action.batch) or Submitted(end=SubmitEnd.BUSY)
        if end.end is SubmitEnd.BUSY:
            message = f"batch {short(action.batch)} was begun before, by someone who has not said how it ended"
            end = replace(end, error=AmbiguousError("SubmitUnanswered", message))
        _write_down(journal, action, intents[action.batch], end, tries[action.batch], hands.clock())
        ends[action.batch] = end
    return ends


def _send_in_parts(
    hands: Hands, client: ClusterClient, action: SubmitBatch, facts: ClusterFacts, end: Submitted
) -> Submitted:
    """Send what fits of a batch that is too large for a limit; return the end of the last part sent."""
    pending, size = list(action.runs), len(action.runs)
    while pending:
        if _is_full(end):
            size //= 2
        if size == 0 or (end.error is not None and not _is_full(end)) or _is_too_soon(hands, action.cluster):
            break
        part = tuple(pending[:size])
        batch = _part_of(action, part)
        end = _send(hands, client, [batch], facts)[batch.batch]
        if end.error is None:
            pending = pending[size:]
    return end


def _is_too_soon(hands: Hands, cluster: Cluster) -> bool:
    """Whether the cluster has had as many submissions in a minute as it may get; the rest is for a later pass."""
    times = hands.journal.submits().get(cluster.name, ())
    return free_at(times, cluster.limits.submit_per_minute, now=hands.clock()) is not None


def _part_of(action: SubmitBatch, part: tuple[PlannedRun, ...]) -> SubmitBatch:
    return replace(action, runs=part, batch=batch_of(planned.run.id for planned in part), tries=0)


def _is_full(end: Submitted) -> bool:
    return isinstance(end.error, WaitingError) and end.error.reason == SUBMIT_LIMIT


def _intents(action: SubmitBatch, facts: ClusterFacts, instance: str, now: float) -> list[RunRecord]:
    return [
        RunRecord(
            run=planned.run,
            batch=action.batch,
            index=index,
            array=len(action.runs) > 1,
            state=TaskState.SUBMITTING,
            reason="Submitting",
            intended_at=now,
            tries=action.tries,
            unanswered_since=action.unanswered_since,
            asked=action.resources,
            on_remove=action.job.on_remove,
            run_dir=f"{facts.root}/{instance}/runs/{planned.run.id}",
        )
        for index, planned in enumerate(action.runs)
    ]


def _write_down(
    journal: Journal, action: SubmitBatch, intents: Sequence[RunRecord], end: Submitted, tries: int, now: float
) -> None:
    if end.job_id is not None:
        journal.save_runs(
            replace(
                record,
                state=TaskState.QUEUED,
                reason="Submitted",
                job_id=end.job_id,
                submitted_at=now,
                unanswered_since=None,
            )
            for record in intents
        )
    elif isinstance(end.error, AmbiguousError):
        journal.save_runs(_unanswered(record, end.error) for record in intents)
    else:
        # A try that could not be written down on the cluster was taken back there; one that was refused counts.
        written = end.error is None or end.error.reason not in ("UploadFailed", IMAGE_GONE)
        journal.save_tries(action.batch, tries + written)
        _take_back(journal, action, intents)


def _unanswered(record: RunRecord, error: ControllerError) -> RunRecord:
    since = record.unanswered_since if record.unanswered_since is not None else record.intended_at
    return replace(record, reason="SubmitUnanswered", unanswered_since=since, submit_said=error.message)


def _take_back(journal: Journal, action: SubmitBatch, intents: Iterable[RunRecord]) -> None:
    """The runs are known not to have been submitted. Of a first try nothing is left, so that runs may be grouped anew.

    Of a batch that was sent before and might still turn up, the records stay, ready to be sent again as they are.
    """
    if action.tries == 0:
        journal.forget_runs(record.id for record in intents)
    else:
        journal.save_runs(replace(record, state=TaskState.WAITING, lapsed=True) for record in intents)
