"""One cluster's observation into the records of its runs: who is meant by what was seen, then ``settle`` for each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from controller.model.conditions import ACTIVE, TERMINAL, TaskState
from controller.model.digests import short
from controller.model.observed import (
    ENDED,
    NOTHING_CHARGED,
    BatchRecord,
    ClusterObservation,
    EventKind,
    JobRecord,
    Outputs,
    RunEvent,
)
from controller.model.resources import Metric
from controller.model.runs import Owner, Run, RunRecord, batch_prefix, owner_from
from controller.model.sites import cluster_in, instance_in, is_former
from controller.planning.results import extract, unread
from controller.planning.settle import Seen, settle

GRACE_S = 120.0
"""How long a submit of unknown end is looked for before the same batch is submitted again."""


def absorb(
    records: Iterable[RunRecord],
    observation: ClusterObservation,
    *,
    instance: str,
    now: float,
    grace_s: float = GRACE_S,
    metrics: Mapping[str, Mapping[str, Metric]] | None = None,
) -> dict[str, RunRecord]:
    """Return the records of this cluster, or site, by id, brought up to date.

    After a full scan the runs found there are among them, also those that no record was given for. What is known to be
    elsewhere stays there: a work directory may be a copy, or have two names.
    ``metrics`` maps a job's name to the metrics that its spec asks for.
    """
    cluster = observation.cluster
    records = list(records)
    known = {record.id: record for record in records if record.where == cluster}
    elsewhere = {record.id for record in records} - known.keys()
    for found in rebuilt(observation, now=now):
        if found.id not in elsewhere and not instance_in(cluster):
            known.setdefault(found.id, found)
    if not observation.reachable:
        return {key: _unseen(record, observation) for key, record in known.items()}
    queue = _Jobs(observation.queue or (), instance)
    accounting = _Jobs(observation.accounting or (), instance)
    events: dict[str, list[RunEvent]] = defaultdict(list)
    for event in observation.events or ():
        events[event.run].append(event)
    unfit = _unfit_by_run(observation)
    accounting_known = observation.accounting is not None or _keeps_none(observation)
    updated = {}
    for run_id, record in known.items():
        if record.state in TERMINAL:
            updated[run_id] = _with_outputs(record, metrics or {}, observation)
            continue
        holder = _holder(events.get(run_id, ()))
        seen = Seen(
            queue=queue.of(record, holder),
            queue_known=observation.queue is not None,
            accounting=accounting.of(record, holder),
            accounting_known=accounting_known,
            accounting_asked=observation.accounting is not None or "accounting" in observation.faults,
            events=events.get(run_id, ()),
            batch=(observation.batches or {}).get(record.batch),
        )
        if observation.events is None:
            updated[run_id] = replace(
                record,
                state=TaskState.UNKNOWN if record.state in ACTIVE else record.state,
                reason="SpoolUnknown",
                message=observation.faults.get("spool")
                or observation.faults.get("runs", "the spool could not be read"),
            )
            continue
        settled = _charged(settle(record, seen, now=now, grace_s=grace_s), seen.accounting or seen.queue)
        settled = _with_unfit(settled, seen, unfit.get(run_id, ()))
        asked = (metrics or {}).get(record.run.job)
        if asked and settled.state in TERMINAL:
            outputs = next((event.outputs for event in seen.events if event.kind is EventKind.EXITED), {})
            read = extract(asked, Outputs(texts=outputs), whole=False)
            # Of a run that failed nobody expects results.
            faults = read.faults if settled.state is TaskState.SUCCEEDED else {}
            settled = replace(settled, results=read.results, result_faults=faults)
        updated[run_id] = settled
    root = observation.facts.root if observation.facts else None
    return {
        run_id: replace(record, run_dir=f"{root}/{instance}/runs/{run_id}") if root and not record.run_dir else record
        for run_id, record in updated.items()
    }


def _unfit_by_run(observation: ClusterObservation) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for path, said in sorted(observation.unfit.items()):
        place, _, rest = path.partition("/")
        if place == "control":
            found[rest.rpartition("/")[0]].append(f"{path}: {said}")
    return found


def _with_unfit(record: RunRecord, seen: Seen, said: Sequence[str]) -> RunRecord:
    """Say of a run that a file of it does not fit. What the scheduler states counts all the same."""
    alive = seen.queue is not None and seen.queue.state not in ENDED
    if not said or record.state not in ACTIVE or alive:
        return record
    return replace(
        record,
        state=TaskState.UNKNOWN,
        reason="Unreadable",
        message=f"{'; '.join(said)}; once its job is over, take that file away or rerun the task",
    )


def _with_outputs(
    record: RunRecord, metrics: Mapping[str, Mapping[str, Metric]], observation: ClusterObservation
) -> RunRecord:
    """Read the metrics whose files were too large to come with the run's end, once they have been asked for."""
    waiting = unread(record.result_faults)
    asked = metrics.get(record.run.job)
    outputs = observation.outputs.get(record.id)
    if not waiting or asked is None or outputs is None:
        return record
    seen = outputs.texts.keys() | outputs.too_large.keys() | outputs.missing
    due = {name: asked[name] for name in waiting if name in asked and asked[name].file in seen}
    read = extract(due, outputs, whole=True)
    left = {
        name: said
        for name, said in record.result_faults.items()
        if name not in waiting or (name in asked and name not in due)
    }
    return replace(record, results={**record.results, **read.results}, result_faults={**left, **read.faults})


def strangers(observation: ClusterObservation, known: Mapping[str, RunRecord], *, instance: str) -> bool:
    """Whether the observation speaks of runs of ours that no record is known for, so that a full scan is due."""
    batches = {short(record.batch) for record in known.values()}
    tags = {batch_prefix(instance, job.tag) for job in observation.queue or () if job.state not in ENDED}
    if {tag for tag in tags if tag is not None} - batches:
        return True
    # What a full scan does not know either is nobody's: another would find no more.
    return observation.scanned is None and any(event.run not in known for event in observation.events or ())


def acknowledged(observation: ClusterObservation, records: Mapping[str, RunRecord]) -> tuple[str, ...]:
    """Return the spool files whose news is in the records for good. An exit counts once the run is terminal.

    After a full scan that does not know the run either, nothing is left to wait for.
    """
    return tuple(
        event.spool_file
        for event in observation.events or ()
        if event.spool_file
        and (
            (event.kind != "exited" or records[event.run].state in TERMINAL)
            if event.run in records
            else observation.scanned is not None
        )
    )


def unreadable(observation: ClusterObservation) -> tuple[str, ...]:
    """Return the spool files that do not fit, and are to be set aside."""
    return tuple(sorted(path.removeprefix("spool/") for path in observation.unfit if path.startswith("spool/")))


def rebuilt(observation: ClusterObservation, *, now: float) -> list[RunRecord]:
    """Return records for every run that a full scan found: from submissions, and from the runs' own locks."""
    if observation.scanned is None:
        return []
    found: dict[str, RunRecord] = {}
    for batch in (observation.batches or {}).values():
        for index, run_id in enumerate(batch.runs):
            found[run_id] = _at(_record_of(batch, index, run_id, cluster_in(observation.cluster), now), observation)
    for lock in observation.scanned:
        run = Run(
            job=lock.job,
            key=lock.key,
            digest=lock.digest,
            attempt=lock.attempt,
            cluster=cluster_in(observation.cluster),
            commit=lock.commit,
        )
        if lock.run not in found and run.id == lock.run:
            record = RunRecord(run=run, batch=lock.batch, index=lock.index, state=TaskState.SUBMITTING, intended_at=now)
            found[lock.run] = _at(record, observation)
    return list(found.values())


def _at(record: RunRecord, observation: ClusterObservation) -> RunRecord:
    return replace(record, site=observation.cluster) if is_former(observation.cluster) else record


def _record_of(batch: BatchRecord, index: int, run_id: str, cluster: str, now: float) -> RunRecord:
    run = Run(
        # A batch may hold runs that were begun under an earlier name of its job.
        job=run_id.partition("/")[0],
        key=batch.keys[index],
        digest=batch.digests[index],
        attempt=int(run_id.rpartition("/")[2]),
        cluster=cluster,
        commit=batch.commit,
    )
    state = TaskState.QUEUED if batch.job_id else TaskState.SUBMITTING
    return RunRecord(
        run=run,
        batch=batch.batch,
        index=index,
        array=len(batch.runs) > 1,
        state=state,
        reason="Rebuilt",
        job_id=batch.job_id,
        intended_at=now,
    )


class _Jobs:
    """The jobs of this instance, by the place in a batch that they run, or would."""

    def __init__(self, jobs: Iterable[JobRecord], instance: str) -> None:
        self._places: dict[tuple[str, int], list[JobRecord]] = defaultdict(list)
        for job in jobs:
            batch12 = batch_prefix(instance, job.tag)
            if batch12 is not None:
                self._places[(batch12, job.index or 0)].append(job)

    def of(self, record: RunRecord, holder: Owner | None) -> JobRecord | None:
        """Return the job that counts for a run: the holder of its claim, and no other once that is known.

        Until then, of several jobs under one tag, one that is alive, since it may yet take the claim; then the one
        that is known as the run's own; then the newest.
        """
        if holder is not None:
            jobs = self._places.get((holder.batch12, holder.index), ())
            return next((job for job in jobs if job.job_id == holder.job_id), None)
        jobs = self._places.get((short(record.batch), record.index), ())
        return max(
            jobs,
            key=lambda job: (job.state not in ENDED, job.job_id == record.job_id, _number(job.job_id)),
            default=None,
        )


def _holder(events: Iterable[RunEvent]) -> Owner | None:
    """Return who holds a run's claim: whoever speaks for the run does."""
    return next((owner for event in events if (owner := owner_from(event.owner)) is not None), None)


def _number(job_id: str) -> int:
    return int(job_id) if job_id.isdigit() else 0


def _charged(record: RunRecord, job: JobRecord | None) -> RunRecord:
    """Say under what a run goes, as far as its job tells."""
    if job is None or job.charged in (record.charged, NOTHING_CHARGED):
        return record
    return replace(record, charged=job.charged)


def _keeps_none(observation: ClusterObservation) -> bool:
    """Accounting that is switched off has nothing to wait for; accounting that is down has."""
    said = observation.faults.get("accounting", "").lower()
    return "accounting storage is disabled" in said or (
        observation.facts is not None and not observation.facts.accounting
    )


def _unseen(record: RunRecord, observation: ClusterObservation) -> RunRecord:
    if record.state not in ACTIVE:
        return record
    state = record.state if record.state is TaskState.SUBMITTING else TaskState.UNKNOWN
    return replace(record, state=state, reason=observation.error_reason, message=observation.error, needs_person=False)
