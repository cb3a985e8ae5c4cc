"""What ledger and status branch say where this pass knows less: runs as they were published, laid over the records.

A pass may know less than the one before: the journal is new, a cluster does not answer, a scan failed. It must not
unsay what is known. A published end counts until a record of this controller says an end as well, and success for good;
a published run that was under way counts as Unknown until the cluster was seen whole. Must not plan or judge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from controller.model.conditions import ACTIVE, TERMINAL, ResourceStatus, TaskState, TaskStatus
from controller.model.ledger import End, end_of
from controller.model.observed import Charged, Observed
from controller.model.resources import Desired, owner_of
from controller.model.runs import Run, RunRecord, is_place, place_of
from controller.model.sites import cluster_in, instance_in, root_of
from controller.planning.carried import Carried, place_in, run_in
from controller.planning.history import History, latest_by_task
from controller.planning.readiness import cluster_fault
from controller.planning.settle import CANCELLED_OUTSIDE
from controller.planning.verdicts import Verdict, Wait, seconds_of, time_text

_NOT_LOOKED_AT = Wait("NotObserved", "its cluster was not looked at in this pass")


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One task as the branch has it, and which run that is. ``fault`` None: its cluster was seen whole."""

    run: Run
    entry: TaskStatus
    fault: Wait | None
    site: str = ""


def recalled(desired: Desired, observed: Observed, history: History) -> dict[str, RunRecord]:
    """Return by id the runs of which the branch or the ledger knows more than the records: those to lay over them.

    Ends count for the digests that are asked for, and successes for runs that seem to be under way. What is published
    as under way counts for every digest, as it holds an allocation.
    The ledger is for good; a status, which has one attempt of each task, tells more of that.
    """
    latest = latest_by_task(history.runs.values())
    found: dict[str, RunRecord] = {}
    for told in (*_ended(desired, observed, history), *_published(desired, observed, history)):
        run = told.run
        own = history.runs.get(run_in(told.entry.run_dir)) or latest.get((run.job, run.key, run.digest))
        if own is None or own.run.attempt < run.attempt:
            record = _anew(told)
        elif own.run.attempt == run.attempt:
            record = _with_results(own, told) if _counts(own, told) else _laid_over(own, told)
        else:
            record = None
        if record is not None and _outranks(record, found.get(run.id)):
            found[record.id] = record
    return found


def _counts(own: RunRecord, told: Published) -> bool:
    """Whether an end of our own counts: not another one than success where success was published."""
    return own.state is TaskState.SUCCEEDED or (own.state in TERMINAL and told.entry.state is not TaskState.SUCCEEDED)


def _outranks(record: RunRecord, before: RunRecord | None) -> bool:
    if before is None or before.state is record.state:
        return True
    return before.state not in TERMINAL or record.state is TaskState.SUCCEEDED


def published_ends(published: Mapping[str, ResourceStatus]) -> list[End]:
    """Return the ends that statuses tell of, whatever their digest; the instance is "" where no directory names it."""
    found = []
    for status in published.values():
        for entry in status.tasks:
            if entry.state not in TERMINAL or not entry.digest or entry.attempt < 1:
                continue
            job, key = place_in(status, entry.id)
            run = Run(
                job=job,
                key=key,
                digest=entry.digest,
                attempt=entry.attempt,
                cluster=entry.cluster or status.cluster,
                commit=status.commit,
            )
            told = Published(run=run, entry=entry, fault=None)
            record = _as_published(RunRecord(run=run, batch="", index=0, state=entry.state), told)
            if (end := end_of(record, instance="")) is not None:
                found.append(end)
    return found


def to_keep(recalled: Mapping[str, RunRecord], desired: Desired, observed: Observed) -> list[RunRecord]:
    """Return the ends that only the branch tells of, though the cluster was seen whole: the journal keeps them."""
    return [
        record
        for record in recalled.values()
        if record.state in TERMINAL and _fault_of(record.where, desired, observed) is None
    ]


def under_way(published: Mapping[str, ResourceStatus]) -> Iterator[tuple[str, str]]:
    """Yield cluster and directory of each run that statuses tell of as under way, where they name both."""
    for status in published.values():
        for entry in status.tasks:
            cluster = entry.cluster or status.cluster
            if entry.state in ACTIVE and cluster and is_place(entry.run_dir):
                yield cluster, str(entry.run_dir)


def _published(desired: Desired, observed: Observed, history: History) -> Iterator[Published]:
    carried = Carried(desired)
    digests = {(job.name, task.key): task.digest for job in desired.jobs.values() for task in job.tasks}
    there = {owner_of(name) for name in desired.jobs}
    for key, status in sorted(history.published.items()):
        # Of a spec that nobody can read it is not known which digests it asks for: any may be.
        unreadable = key in desired.broken and key not in there
        for entry in status.tasks:
            job, name = place_in(status, entry.id)
            run = carried.run(
                Run(job=job, key=name, digest=entry.digest, attempt=entry.attempt, cluster="", commit=status.commit)
            )
            wanted = unreadable or digests.get((run.job, run.key)) == run.digest
            if not entry.digest or entry.attempt < 1 or not (entry.state in ACTIVE or wanted):
                continue
            cluster = entry.cluster or _cluster_of(run.job, status, desired)
            run = replace(run, cluster=cluster)
            fault = _fault_of(cluster, desired, observed)
            if entry.state in ACTIVE and is_place(entry.run_dir):
                fault = _fault_at(str(entry.run_dir), cluster, desired, observed, history.instance)
            yield Published(run=run, entry=entry, fault=fault)


def _cluster_of(job: str, status: ResourceStatus, desired: Desired) -> str:
    """Return where a task was whose entry does not say it: where its resource was.

    Only of a workflow whose first step is still there, the step's own cluster: earlier versions published the first
    step's alone.
    """
    first = next((each for name, each in desired.jobs.items() if owner_of(name) == status.key), None)
    if status.kind == "Workflow" and job in desired.jobs and first is not None and first.cluster == status.cluster:
        return desired.jobs[job].cluster
    return status.cluster or (desired.jobs[job].cluster if job in desired.jobs else "")


def _ended(desired: Desired, observed: Observed, history: History) -> Iterator[Published]:
    """Yield the ends of this instance's runs at digests that are asked for, and successes of what seems under way."""
    wanted = {(task.job, task.key, task.digest) for job in desired.jobs.values() for task in job.tasks}
    active = {(each.run.job, each.run.key, each.run.digest) for each in history.runs.values() if each.state in ACTIVE}
    carried = Carried(desired)
    for end in history.ends:
        run = carried.run(end.run)
        place = (run.job, run.key, run.digest)
        counts = place in wanted or (end.state is TaskState.SUCCEEDED and place in active)
        if end.instance != history.instance or not counts:
            continue
        entry = TaskStatus(
            id=run.task_id,
            state=end.state,
            reason=end.reason,
            message=end.message,
            job_id=end.job_id,
            attempt=run.attempt,
            started=time_text(end.started),
            ended=time_text(end.ended),
            exit_code=end.exit_code,
            run_dir=end.run_dir,
            digest=run.digest,
            results=end.results,
            result_faults=end.result_faults,
        )
        fault = _fault_of(end.site or run.cluster, desired, observed)
        yield Published(run=run, entry=entry, fault=fault, site=end.site)


def _fault_of(name: str, desired: Desired, observed: Observed) -> Wait | None:
    cluster = desired.clusters.get(name) or desired.retired.get(name)
    return _NOT_LOOKED_AT if cluster is None else cluster_fault(cluster, observed.clusters.get(name))


def _fault_at(run_dir: str, cluster: str, desired: Desired, observed: Observed, instance: str) -> Wait | None:
    """Return why the directory of a run on a cluster was not seen whole. Elsewhere on it tells nothing of the run."""
    whose, _ = place_of(run_dir)
    root = root_of(run_dir)
    for name, seen in observed.clusters.items():
        there = seen.facts is not None and (seen.facts.root, instance_in(name) or instance) == (root, whose)
        if there and cluster_in(name) == cluster:
            if seen.facts is not None and not seen.facts.initialised:
                return Wait("WorkdirMissing", f"cluster {cluster}: nothing of ours is in {root}: gone, or not mounted")
            return _fault_of(name, desired, observed)
    message = f"cluster {cluster}: {root}, where it is, was not looked at, or could not be"
    return _fault_of(cluster, desired, observed) or Wait("NotObserved", message)


def _anew(told: Published) -> RunRecord | None:
    """Return a record of a run that no record is known of; None for one that a whole look did not find under way."""
    if told.entry.state in TERMINAL or (told.entry.state in ACTIVE and told.fault is not None):
        return _as_published(RunRecord(run=told.run, batch="", index=0, site=told.site, state=told.entry.state), told)
    return None


def _laid_over(own: RunRecord, told: Published) -> RunRecord | None:
    """Return a record of which this pass saw no end with what is published; None where this pass knows better."""
    state = told.entry.state
    if state in TERMINAL:
        return _as_published(own, told)
    if own.lapsed:
        return None
    if state in ACTIVE and told.fault is not None:
        return _as_published(own, told)
    filled = _filled(own, told.entry)
    return filled if own.state is TaskState.UNKNOWN and filled != own else None


def _filled(record: RunRecord, entry: TaskStatus) -> RunRecord:
    return replace(
        record,
        job_id=record.job_id or entry.job_id,
        run_dir=record.run_dir or entry.run_dir,
        started=record.started or seconds_of(entry.started),
        charged=Charged(
            account=record.charged.account or entry.account,
            partition=record.charged.partition or entry.partition,
            qos=record.charged.qos or entry.qos,
        ),
    )


def _with_results(own: RunRecord, told: Published) -> RunRecord | None:
    """Return an end with results that are published and that it lacks: its spec could not be read when it was seen."""
    if own.state is not told.entry.state:
        return None
    if own.state is TaskState.CANCELLED and told.entry.reason != own.reason == CANCELLED_OUTSIDE:
        # Who had it cancelled was known when that was published; the scheduler alone does not tell.
        return _as_published(own, told)
    results = {**told.entry.results, **own.results}
    faults = {**told.entry.result_faults, **own.result_faults}
    faults = {name: said for name, said in faults.items() if name not in results}
    known = (results, faults) == (own.results, own.result_faults)
    return None if known else replace(own, results=results, result_faults=faults)


def _as_published(record: RunRecord, told: Published) -> RunRecord:
    entry, known_job = told.entry, record.job_id is not None
    record = _filled(record, entry)
    if entry.state in TERMINAL:
        return replace(
            record,
            state=entry.state,
            reason=entry.reason,
            message=entry.message,
            job_id=entry.job_id,
            run_dir=entry.run_dir,
            started=seconds_of(entry.started),
            ended=seconds_of(entry.ended),
            exit_code=entry.exit_code,
            stderr_tail=entry.stderr_tail,
            results=entry.results,
            result_faults=entry.result_faults,
            lapsed=False,
            missing_since=None,
        )
    if known_job or (record.batch and entry.job_id is None):
        return record
    fault = told.fault or _NOT_LOOKED_AT
    return replace(record, state=TaskState.UNKNOWN, reason=fault.reason, message=fault.message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sightings:
    """Which clusters did not answer, when they last did, and which runs are shown as published because of that."""

    observed: Observed
    last_seen: Mapping[str, float]
    recalled: frozenset[str]

    def noted(self, verdict: Verdict, records: Iterable[RunRecord]) -> Verdict:
        """Add to ``Ready`` when the clusters of runs that could not be looked at were last seen."""
        unseen = {
            record.where
            for record in records
            if (record.state is TaskState.UNKNOWN or record.id in self.recalled) and self._silent(record.where)
        }
        if not unseen:
            return verdict
        status, reason, message = verdict.ready
        notes = "; ".join(self.words(name) for name in sorted(unseen))
        return replace(verdict, ready=(status, reason, f"{message}; {notes}"))

    def words(self, cluster: str) -> str:
        """Return when a cluster was last seen. The time stays the same for as long as the cluster does not answer."""
        at = time_text(self.last_seen.get(cluster))
        return f"cluster {cluster} does not answer" + (f" and was last seen at {at}" if at else "")

    def _silent(self, cluster: str) -> bool:
        seen = self.observed.clusters.get(cluster)
        return seen is None or not seen.reachable
