"""A cluster in memory that keeps to the run protocol and breaks whatever else can break.

It plays SLURM, the shared file system, the remote scripts and the job script, as ``controller/clusters/remote`` has
them, and counts what the runs' commands really did. Faults are drawn from outside and hold for one call.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from controller.clusters.cluster import Look, SubmitEnd, Submitted
from controller.model.digests import short
from controller.model.errors import AmbiguousError, StalledError, TransientError, WaitingError
from controller.model.observed import (
    ENDED,
    BatchRecord,
    ClusterFacts,
    ClusterObservation,
    EventKind,
    JobRecord,
    JobState,
    RunEvent,
    RunLock,
)
from controller.model.plans import SubmitBatch
from controller.model.runs import RunRecord, tag_of
from controller.planning.settle import SETTLE_S

INSTANCE = "inst"
MIN_JOB_AGE_S = 300.0
STALE_S = 15.0
QUEUE_FAULTS = ("queue", "accounting", "spool", "runs", "everything", "stale", "unreachable")
SUBMIT_FAULTS = (
    "unreachable",
    "lost before",
    "lost after",
    "late",
    "begun",
    "swallowed",
    "unrecorded",
    "refused",
    "wait",
)
CANCEL_FAULTS = ("unreachable", "lost before", "lost after", "late", "scancel fails")


class Crash(BaseException):
    """The controller's process is gone, here and now."""


@dataclass
class ModelJob:
    """One element of a scheduler's job."""

    job_id: str
    batch: str
    index: int
    state: JobState = JobState.PENDING
    started: float | None = None
    ended: float | None = None
    exit_code: int | None = None
    requeue_at: float | None = None

    @property
    def owner(self) -> str:
        """What it writes into claims."""
        return f"{self.job_id}_{self.index}@{short(self.batch)}.1"


@dataclass
class RunDirectory:
    """What lies in one run's directory."""

    claim: str | None = None
    events: dict[EventKind, RunEvent] = field(default_factory=dict)


@dataclass
class ModelCluster:
    """The cluster and the truth about it."""

    now: float = 1_000_000.0
    jobs: list[ModelJob] = field(default_factory=list)
    batches: dict[str, BatchRecord] = field(default_factory=dict)
    runs: dict[str, RunDirectory] = field(default_factory=lambda: defaultdict(RunDirectory))
    locks: dict[str, RunLock] = field(default_factory=dict)
    spool: dict[str, RunEvent] = field(default_factory=dict)
    executed_by: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Run -> the jobs in which its command was ever started."""
    look_faults: frozenset[str] = frozenset()
    submit_fault: str | None = None
    cancel_fault: str | None = None
    later: list[Callable[[], object]] = field(default_factory=list)
    """Remote scripts that go on although nobody waits for them any more."""
    crash_in: int | None = None
    submitted: list[str] = field(default_factory=list)
    """Runs whose submission was asked for since this was last emptied."""
    asked: list[tuple[float, str]] = field(default_factory=list)
    """When each batch was to be submitted, once for each try."""
    cancelled: list[str] = field(default_factory=list)
    _next_job: int = 100
    _queue_before: list[tuple[float, tuple[JobRecord, ...]]] = field(default_factory=list)

    # what the controller calls, as it calls a ClusterClient

    def observe_with(self, look: Look, others: Sequence[object]) -> tuple[ClusterObservation, ...]:
        assert not others
        return (self.observe(look),)

    def observe(self, look: Look) -> ClusterObservation:
        self.step()
        if "unreachable" in self.look_faults:
            return ClusterObservation(
                cluster="hpc", reachable=False, error_reason="Unreachable", error="no route to login"
            )
        for name in look.acknowledged:
            self.spool.pop(name, None)
        faults = {part: "Socket timed out" for part in ("queue", "accounting") if part in self.look_faults}
        spool: tuple[RunEvent, ...] | None = tuple(replace(e, spool_file=name) for name, e in self.spool.items())
        if {"spool", "runs"} & self.look_faults:
            spool = None
            faults["spool"] = "Input/output error"
        batches = {batch: self._batch(batch) for batch in look.batches}
        scanned: tuple[RunLock, ...] | None = None
        events = tuple(event for run in look.runs for event in self._own_words(run))
        if look.full_scan and "everything" in self.look_faults:
            faults["everything"] = "Input/output error"
        elif look.full_scan:
            scanned = tuple(self.locks.values())
            batches = {batch: self._batch(batch) for batch in self.batches} | batches
            events = tuple(event for run in list(self.runs) for event in self._own_words(run)) + events
        return ClusterObservation(
            cluster="hpc",
            reachable=True,
            now=self.now,
            facts=ClusterFacts(root="/scratch", initialised=True, max_array_size=4),
            images={},
            files=frozenset(),
            queue=None if "queue" in self.look_faults else self._queue("stale" in self.look_faults),
            accounting=self._accounting() if look.accounting_s and "accounting" not in self.look_faults else None,
            events=None if spool is None else (*events, *spool),
            batches=batches,
            scanned=scanned,
            faults=faults,
        )

    def submit(self, batches: Sequence[tuple[SubmitBatch, int]], facts: ClusterFacts) -> Mapping[str, Submitted]:
        self.step()
        self.submitted += [planned.run.id for batch, _ in batches for planned in batch.runs]
        self.asked += [(self.now, batch.batch) for batch, _ in batches]
        fault = self.submit_fault
        if fault == "unreachable":
            raise TransientError("Unreachable", "no route to login")
        if fault == "lost before":
            raise AmbiguousError("ConnectionLost", "the connection was lost")
        if fault == "late":
            self.later.append(lambda: [self._sbatch(batch, tries, None) for batch, tries in batches])
            raise AmbiguousError("TimedOut", "no answer within 300 s")
        ends = {batch.batch: self._sbatch(batch, tries, fault) for batch, tries in batches}
        if fault in ("lost after", "begun", "unrecorded"):
            raise AmbiguousError("ConnectionLost", "the connection was lost")
        self.step()
        return ends

    def cancel(self, records: Sequence[RunRecord]) -> Mapping[str, str]:
        self.step()
        self.cancelled += [record.id for record in records]
        match self.cancel_fault:
            case "unreachable":
                raise TransientError("Unreachable", "no route to login")
            case "lost before":
                raise AmbiguousError("ConnectionLost", "the connection was lost")
            case "late":
                self.later.append(lambda: [self._scancel(record, works=True) for record in records])
                raise AmbiguousError("TimedOut", "no answer within 300 s")
        works = self.cancel_fault != "scancel fails"
        owners = {record.id: self._scancel(record, works=works) for record in records}
        if not works:
            raise TransientError("CancelFailed", "scancel: error: Unable to contact slurm controller")
        if self.cancel_fault == "lost after":
            raise AmbiguousError("ConnectionLost", "the connection was lost")
        self.step()
        return owners

    # what happens on the cluster by itself

    def step(self) -> None:
        """One more place where the controller may die."""
        if self.crash_in is not None:
            self.crash_in -= 1
            if self.crash_in < 0:
                self.crash_in = None
                raise Crash

    def pass_time(self, seconds: float) -> None:
        self._queue_before.append((self.now, self._queue(False)))
        self.now += seconds
        self._queue_before = [(at, queue) for at, queue in self._queue_before if at >= self.now - STALE_S]
        for job in self.jobs:
            if job.requeue_at is not None and job.requeue_at <= self.now:
                job.state, job.requeue_at, job.ended, job.exit_code = JobState.PENDING, None, None, None

    def run_late_scripts(self) -> None:
        later, self.later = self.later, []
        for script in later:
            script()

    def start(self, job: ModelJob) -> None:
        """The job script up to the command."""
        owner, run = job.owner, self.run_of(job)
        place = self.runs[run]
        job.state, job.started = JobState.RUNNING, self.now
        place.claim = place.claim or owner
        if place.claim != owner:
            self._end(job, JobState.FAILED, 75)
        elif EventKind.EXITED in place.events:
            code = place.events[EventKind.EXITED].exit_code or 0
            self._end(job, JobState.FAILED if code else JobState.COMPLETED, code)
        else:
            self.executed_by[run].add(owner)
            self._say(job, EventKind.STARTED)
            batch = self.batches[job.batch]
            self.locks[run] = RunLock(
                run=run,
                job=batch.runs[job.index].partition("/")[0],
                key=batch.keys[job.index],
                digest=batch.digests[job.index],
                attempt=int(run.rpartition("/")[2]),
                batch=job.batch,
                index=job.index,
                commit=batch.commit,
            )

    def finish(self, job: ModelJob, code: int) -> None:
        self._say(job, EventKind.EXITED, code)
        self._end(job, JobState.FAILED if code else JobState.COMPLETED, code)

    def lose_node(self, job: ModelJob, *, requeued: bool) -> None:
        """The node dies without a last act; the scheduler may start the job again a little later."""
        self._end(job, JobState.NODE_FAIL, 1)
        if requeued:
            job.requeue_at = self.now + SETTLE_S / 2

    def requeue_ended(self, job: ModelJob) -> None:
        """The scheduler starts a job again that has ended: by hand, or for a failed Epilog (expedited, since 25.11)."""
        job.state, job.started, job.ended, job.exit_code = JobState.PENDING, None, None, None

    def preempt(self, job: ModelJob) -> None:
        """Stopped by a signal and put back into the queue."""
        self._say(job, EventKind.STOPPED)
        job.state, job.started = JobState.PENDING, None

    def scancel_by_hand(self, job: ModelJob) -> None:
        if job.state is JobState.RUNNING:
            self._say(job, EventKind.STOPPED)
        self._end(job, JobState.CANCELLED, 0)

    def submit_by_hand(self, batch: str, *, but: set[str]) -> None:
        """Somebody, or an earlier sbatch that nobody heard the answer of, made another job of the same batch."""
        job_id = self._new_jobs(self.batches[batch])
        self.jobs = [job for job in self.jobs if job.job_id != job_id or self.run_of(job) not in but]

    def run_of(self, job: ModelJob) -> str:
        return self.batches[job.batch].runs[job.index]

    def alive(self) -> list[ModelJob]:
        return [job for job in self.jobs if job.state not in ENDED]

    def executing(self) -> list[ModelJob]:
        return [job for job in self.jobs if job.state is JobState.RUNNING]

    # the scripts

    def _sbatch(self, batch: SubmitBatch, tries: int, fault: str | None) -> Submitted:
        known = self.batches.get(batch.batch)
        if known is not None and known.job_id is not None:
            return Submitted(end=SubmitEnd.ADOPTED, job_id=known.job_id)
        if known is not None and known.tries > tries:
            return Submitted(end=SubmitEnd.BUSY)
        made = BatchRecord(
            batch=batch.batch,
            present=True,
            tries=max(tries + 1, known.tries if known else 0),
            job=batch.job.name,
            commit=batch.runs[0].run.commit,
            runs=tuple(planned.run.id for planned in batch.runs),
            digests=tuple(planned.run.place.digest for planned in batch.runs),
            keys=tuple(planned.run.place.key for planned in batch.runs),
        )
        self.batches[batch.batch] = made
        match fault:
            case "refused":
                return Submitted(end=SubmitEnd.FAILED, error=StalledError("AccountRejected", "no such account"))
            case "wait":
                return Submitted(end=SubmitEnd.FAILED, error=WaitingError("SubmitLimit", "the limit is reached"))
            case "begun":
                return Submitted(end=SubmitEnd.BUSY)
        job_id = self._new_jobs(made)
        if fault == "swallowed":
            return Submitted(end=SubmitEnd.FAILED, error=AmbiguousError("SubmitUnanswered", "Socket timed out"))
        if fault == "unrecorded":
            return Submitted(end=SubmitEnd.BUSY)
        self.batches[batch.batch] = replace(made, job_id=job_id)
        return Submitted(end=SubmitEnd.SUBMITTED, job_id=job_id)

    def _new_jobs(self, batch: BatchRecord) -> str:
        self._next_job += 1
        self.jobs += [ModelJob(str(self._next_job), batch.batch, index) for index in range(len(batch.runs))]
        return str(self._next_job)

    def _scancel(self, record: RunRecord, *, works: bool) -> str:
        place = self.runs[record.id]
        place.claim = place.claim or "cancelled"
        for job in self.alive():
            if works and (job.job_id, job.index) == (record.job_id, record.index):
                self.scancel_by_hand(job)
        return place.claim

    def _say(self, job: ModelJob, kind: EventKind, code: int | None = None) -> None:
        run = self.run_of(job)
        event = RunEvent(run=run, kind=kind, owner=job.owner, at=self.now, exit_code=code, phase="command")
        self.runs[run].events[kind] = event
        self.spool[f"{run}.{kind}"] = event

    def _end(self, job: ModelJob, state: JobState, code: int) -> None:
        job.state, job.ended, job.exit_code = state, self.now, code

    def _own_words(self, run: str) -> list[RunEvent]:
        place = self.runs[run] if run in self.runs else RunDirectory()
        claimed = (
            [RunEvent(run=run, kind=EventKind.CLAIMED, owner=place.claim, at=0.0)] if place.claim is not None else []
        )
        return [*claimed, *place.events.values()]

    def _batch(self, batch: str) -> BatchRecord:
        return self.batches.get(batch) or BatchRecord(batch=batch, present=False)

    def _queue(self, stale: bool) -> tuple[JobRecord, ...]:
        if stale and self._queue_before:
            return self._queue_before[0][1]
        recent = [j for j in self.jobs if j.ended is None or j.ended > self.now - MIN_JOB_AGE_S]
        return tuple(replace(self._line(job), exit_code=None) for job in recent)

    def _accounting(self) -> tuple[JobRecord, ...]:
        return tuple(self._line(job) for job in self.jobs)

    def _line(self, job: ModelJob) -> JobRecord:
        return JobRecord(
            job_id=job.job_id,
            index=job.index if len(self.batches[job.batch].runs) > 1 else None,
            tag=tag_of(INSTANCE, job.batch),
            state=job.state,
            word=job.state.name,
            exit_code=job.exit_code,
            started=job.started,
            ended=job.ended,
        )
