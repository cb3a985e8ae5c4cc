"""What is true of a run: the run's own word, accounting and queue merged by fixed rules.

In this order: the run's own exit beats everything; a job that the queue shows alive is alive; an end that queue or
accounting states counts once the queue no longer shows the job alive; gone from the queue alone proves nothing.
A part that could not be seen makes the answer Unknown, never an end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from controller.model.conditions import TERMINAL, TaskState
from controller.model.digests import short
from controller.model.exits import exit_words
from controller.model.observed import (
    ENDED,
    REQUEUEABLE,
    BatchRecord,
    EventKind,
    JobRecord,
    JobState,
    RunEvent,
)
from controller.model.runs import RunRecord, owner_from
from controller.model.texts import tail
from controller.planning.lacking import LACKING, without_table

SETTLE_S = 20.0
"""How long a run has to be gone from the queue before a state that the scheduler may still undo counts as its end."""
CANCELLED_OWNER = "cancelled"
CANCELLED_OUTSIDE = "CancelledOutside"
"""Reason of a cancellation of which nothing here tells who asked for it."""
_SKEW_S = 60.0
"""How much the clocks of cluster and controller may differ: a stop well before the request was not for it."""
_CLAIM_LOST = 75
_NOT_RECORDED = 74
_NO_SUBMISSION = 76
_KILLED = 137


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one look says about one run. ``queue_known`` and ``accounting_known`` tell "nothing" from "not seen".

    ``accounting_known`` is True as well where the cluster keeps none: there is nothing to wait for then.
    """

    queue: JobRecord | None = None
    queue_known: bool = False
    accounting: JobRecord | None = None
    accounting_known: bool = False
    accounting_asked: bool = True
    """False where this look had no question for it: the next one has, about what is gone from the queue."""
    events: Sequence[RunEvent] = ()
    batch: BatchRecord | None = None


def settle(record: RunRecord, seen: Seen, *, now: float, grace_s: float) -> RunRecord:
    """Return the record as it is after a look. A terminal record never changes again."""
    if record.state in TERMINAL:
        return record
    record = _hear(_not_ahead(record, now), seen.events)
    exit_event = next((event for event in seen.events if event.kind is EventKind.EXITED), None)
    if exit_event is not None:
        return _exited(record, exit_event, seen, now)
    if any(event.owner == CANCELLED_OWNER for event in seen.events):
        return _never_started(record, now)
    if record.job_id is None:
        record = _adopt(record, seen)
        if record.job_id is None:
            return _unsubmitted(record, seen, now=now, grace_s=grace_s)
    if not seen.queue_known:
        return _without_queue(record, seen, now)
    if seen.queue is not None and seen.queue.state not in ENDED:
        return _alive(record, seen.queue)
    ended = _with_exit_code(seen)
    if ended is not None and ended.state in ENDED:
        if ended.state not in REQUEUEABLE and not _claim_read(record, seen):
            return _ending(record, ended, now)
        if _lost_its_table(ended, seen):
            return without_table(record, ended, now)
        return _ended(record, ended, now)
    return _missing(record, seen, now=now, grace_s=grace_s)


def _not_ahead(record: RunRecord, now: float) -> RunRecord:
    """Count from now what a clock that was ahead wrote down, lest nothing happens until it is that late."""
    missing, since = record.missing_since, record.unanswered_since
    return replace(
        record,
        intended_at=min(record.intended_at, now),
        missing_since=None if missing is None else min(missing, now),
        unanswered_since=None if since is None else min(since, now),
        needs_person=False,
    )


def _hear(record: RunRecord, events: Sequence[RunEvent]) -> RunRecord:
    """Take over what the run says of itself short of its end."""
    for event in sorted(events, key=lambda event: event.at):
        if event.kind in (EventKind.CLAIMED, EventKind.STARTED):
            record = _owned(record, event)
        if event.kind is EventKind.STARTED:
            record = replace(record, started=event.at, stopped_at=None)
        elif event.kind is EventKind.STOPPED and event.at > (record.started or 0):
            record = replace(record, stopped_at=event.at, stderr_tail=tail(event.stderr_tail))
        elif event.kind is EventKind.CANCELLING and record.cancel_requested_at is None:
            record = replace(record, cancel_requested_at=event.at, cancel_reason=event.reason)
    return record


def _owned(record: RunRecord, event: RunEvent) -> RunRecord:
    """Follow the claim: the job that holds it is the run's job, also when another batch was the first to start it."""
    owner = owner_from(event.owner)
    if owner is None:
        return record
    batch = record.batch if short(record.batch) == owner.batch12 else owner.batch12
    state = TaskState.QUEUED if record.job_id is None else record.state
    return replace(
        record,
        job_id=owner.job_id,
        batch=batch,
        index=owner.index,
        state=state,
        lapsed=False,
        unanswered_since=None,
        submit_said="",
    )


def _exited(record: RunRecord, event: RunEvent, seen: Seen, now: float) -> RunRecord:
    code = event.exit_code if event.exit_code is not None else _NOT_RECORDED
    record = replace(
        _owned(record, event),
        exit_code=code,
        ended=event.at,
        missing_since=None,
        stderr_tail=tail(event.stderr_tail),
    )
    if code == 0:
        return replace(record, state=TaskState.SUCCEEDED, reason="Completed", message="", stderr_tail="")
    stated = {job.state for job in (seen.queue, seen.accounting) if job is not None}
    for state in (JobState.OUT_OF_MEMORY, JobState.TIMEOUT, JobState.PREEMPTED, JobState.NODE_FAIL):
        if state in stated:
            return replace(record, state=TaskState.FAILED, reason=state.value, message=_why(state, code))
    alive = seen.queue is not None and seen.queue.state not in ENDED
    if code == _KILLED and (alive or not seen.queue_known) and now - event.at < 60:
        # Killed by signal 9: the scheduler is about to say whether memory was the reason.
        return replace(record, state=TaskState.RUNNING, reason="Ending", message="the run was killed; waiting for why")
    reason, message = "ExitCode", f"the command ended {exit_words(code)}"
    if event.phase == "setup":
        reason, message = "SetupFailed", f"the cluster's setup ended {exit_words(code)}"
    elif event.phase == "setup-left":
        reason = "SetupFailed"
        message = "the cluster's setup ended its shell before the command, with exit code 0: take `exit` out of it"
    elif event.phase == "profile":
        reason = "SetupFailed"
        message = (
            f"the login shell ended {exit_words(code)} in its start-up files, before the cluster's setup and the "
            "command. Look at ~/.bash_profile, ~/.profile and /etc/profile on the cluster"
        )
    elif event.phase == "files":
        reason, message = "FilesUnavailable", "the job's files could not be copied into the run directory"
    elif event.phase in LACKING:
        reason, message = LACKING[event.phase]
    return replace(record, state=TaskState.FAILED, reason=reason, message=message)


def _adopt(record: RunRecord, seen: Seen) -> RunRecord:
    """Find the job that a submit of unknown end became."""
    # What sbatch refuses ("BadConstraints") leaves an entry that failed without a start: no job of ours.
    job = next((job for job in (seen.queue, seen.accounting) if job is not None and not _was_refused(job)), None)
    job_id = seen.batch.job_id if seen.batch is not None and seen.batch.job_id else job.job_id if job else None
    if job_id is None:
        return record
    return replace(
        record,
        job_id=job_id,
        state=TaskState.QUEUED,
        reason="Submitted",
        message="",
        lapsed=False,
        unanswered_since=None,
        submit_said="",
    )


def _was_refused(job: JobRecord) -> bool:
    return job.state is JobState.FAILED and job.started is None


def _unsubmitted(record: RunRecord, seen: Seen, *, now: float, grace_s: float) -> RunRecord:
    """A submit whose end is not known, and no job in sight."""
    batch = seen.batch
    if not record.lapsed and record.unanswered_since is None:
        record = replace(record, unanswered_since=record.intended_at)
    if record.lapsed or batch is None or not seen.queue_known:
        return record
    if not batch.present and record.tries == 0:
        return replace(record, lapsed=True, state=TaskState.WAITING, tries=0, unanswered_since=None)
    waited = now - record.intended_at
    if seen.accounting_known and waited >= grace_s:
        return replace(record, lapsed=True, state=TaskState.WAITING, tries=batch.tries)
    return replace(
        record,
        reason="SubmitUnanswered",
        message="not known whether the job was submitted"
        f"{f' ({record.submit_said})' if record.submit_said else ''}; looked for during {grace_s:.0f} s before another "
        "try",
    )


def _without_queue(record: RunRecord, seen: Seen, now: float) -> RunRecord:
    job = seen.accounting
    if job is not None and job.state in ENDED - REQUEUEABLE and job.exit_code not in (_CLAIM_LOST,):
        return _ended(record, job, job.ended or now) if _claim_read(record, seen) else _ending(record, job, now)
    return replace(record, state=TaskState.UNKNOWN, reason="QueueUnknown", message="the queue could not be read")


def _alive(record: RunRecord, job: JobRecord) -> RunRecord:
    # A second job of the same run may still be waiting when the one that runs it has ended: that one stays its own.
    job_id = record.job_id if record.started is not None else job.job_id
    record = replace(record, missing_since=None, job_id=job_id, array=job.index is not None)
    match job.state:
        case JobState.PENDING:
            # Sentences about a job in general become ones about this job.
            message = job.message.replace("JOBID", job.job_id).replace("TASK", record.run.task_id)
            return replace(
                record,
                state=TaskState.QUEUED,
                reason=job.reason or "Pending",
                message=message,
                needs_person=job.needs_person,
            )
        case JobState.RUNNING:
            started = record.started or job.started
            return replace(record, state=TaskState.RUNNING, reason="Running", message="", started=started)
        case JobState.ENDING:
            return replace(record, state=TaskState.RUNNING, reason="Ending", message="")
        case _:
            message = f"the scheduler says {job.word!r}, which is not known here"
            return replace(record, state=TaskState.UNKNOWN, reason="StateUnknown", message=message)


def _ended(record: RunRecord, job: JobRecord, now: float) -> RunRecord:
    if job.exit_code == _CLAIM_LOST and job.state is JobState.FAILED:
        # Another job holds the claim: its own word is in the run's directory, which the next look reads.
        message = "another job of the same run holds its claim"
        return replace(_mark_missing(record, now), state=TaskState.UNKNOWN, reason="ClaimHeld", message=message)
    if job.state in REQUEUEABLE:
        record = _mark_missing(record, now)
        if now - (record.missing_since or now) < SETTLE_S:
            message = f"{job.word}: waiting to see whether the scheduler starts it again"
            return replace(record, state=TaskState.UNKNOWN, reason=job.state.value, message=message)
    record = replace(record, ended=job.ended or now, started=record.started or job.started, exit_code=job.exit_code)
    if job.state is JobState.COMPLETED:
        return replace(record, state=TaskState.SUCCEEDED, reason="Completed", message="", exit_code=0)
    if job.state is JobState.CANCELLED:
        return _cancelled(record, now, job.word)
    if record.cancel_requested_at is not None and (record.stopped_at or 0) + _SKEW_S >= record.cancel_requested_at:
        return _cancelled(record, now)
    message = _why(job.state, job.exit_code)
    if job.exit_code == _NOT_RECORDED:
        message = "the run could not write to its work directory (disk or quota full?)"
    return replace(record, state=TaskState.FAILED, reason=_reason(job), message=message)


def _lost_its_table(job: JobRecord, seen: Seen) -> bool:
    """Whether a job has ended since its submission's files were gone: it claims no run then."""
    return (job.state, job.exit_code) == (JobState.FAILED, _NO_SUBMISSION) and not any(
        event.kind in (EventKind.CLAIMED, EventKind.STARTED) for event in seen.events
    )


def _with_exit_code(seen: Seen) -> JobRecord | None:
    """Return the end that is stated. The queue knows no exit codes; accounting may, of the same job."""
    queue, accounting = seen.queue, seen.accounting
    if queue is None or accounting is None:
        return queue or accounting
    same = (queue.job_id, queue.state) == (accounting.job_id, accounting.state)
    return accounting if same and queue.exit_code is None else queue


def _ending(record: RunRecord, job: JobRecord, now: float) -> RunRecord:
    """A stated end before the run itself was asked: the next look asks it.

    It may be a second job that found the claim taken, one that died between writing its end down and telling the
    spool, or one whose word in the spool is late: what it measured stands in there.
    """
    message = f"job {job.job_id} has ended; the run's own word about it is not read yet"
    return replace(_mark_missing(record, now), state=TaskState.UNKNOWN, reason="Ending", message=message)


def _claim_read(record: RunRecord, seen: Seen) -> bool:
    """Whether this look has asked for the run's claim: it does from the look after the run was first missed."""
    return record.missing_since is not None or any(event.kind is EventKind.CLAIMED for event in seen.events)


def _missing(record: RunRecord, seen: Seen, *, now: float, grace_s: float) -> RunRecord:
    """Nowhere to be seen."""
    if record.cancel_requested_at is not None and (record.stopped_at or 0) >= record.cancel_requested_at:
        # It was asked to end, and said afterwards that it was stopped: no scheduler starts such a job again.
        return _cancelled(replace(record, ended=record.stopped_at), now)
    record = _mark_missing(record, now)
    gone_s = now - (record.missing_since or now)
    if record.cancel_requested_at is not None and gone_s >= SETTLE_S and seen.accounting_known:
        return _cancelled(record, now)
    if record.stopped_at is not None and gone_s >= grace_s and seen.accounting_known:
        message = "a signal ended it (time limit, scancel or preemption); the scheduler no longer says which"
        return replace(record, state=TaskState.FAILED, reason="Stopped", message=message, ended=record.stopped_at)
    what = "the queue"
    if not seen.accounting_known:
        unread = "accounting cannot be read" if seen.accounting_asked else "accounting is asked in the next pass"
        what = f"the queue ({unread})"
    message = (
        f"job {record.job_id} is no longer in {what}, and the run has said nothing of its end. "
        "Look at its directory; to run it again, change the job's 'rerun' field"
    )
    return replace(record, state=TaskState.UNKNOWN, reason="NotSeen", message=message)


def _mark_missing(record: RunRecord, now: float) -> RunRecord:
    return record if record.missing_since is not None else replace(record, missing_since=now)


def _cancelled(record: RunRecord, now: float, word: str = "") -> RunRecord:
    ours = record.cancel_requested_at is not None
    reason = record.cancel_reason if ours else CANCELLED_OUTSIDE
    message = "" if ours else f"cancelled by someone else, not by the controller ({word or 'no word on by whom'})"
    # Its exit code is nobody's: accounting has 0 for it, the queue none.
    return replace(
        record,
        state=TaskState.CANCELLED,
        reason=reason,
        message=message,
        ended=record.ended or now,
        missing_since=None,
        exit_code=None,
    )


def _never_started(record: RunRecord, now: float) -> RunRecord:
    """Nobody but the controller takes a claim away, and it can never be given back: its job, if any, ends at once.

    Whatever the reason was, it lets a task that is wanted again run again.
    """
    asked = record if record.cancel_requested_at is not None else replace(record, cancel_requested_at=now)
    return replace(_cancelled(asked, now), lapsed=False, reason=record.cancel_reason or "SpecRemoved")


def _reason(job: JobRecord) -> str:
    return "ExitCode" if job.state is JobState.FAILED else job.state.value


def _why(state: JobState, exit_code: int | None) -> str:
    sentences: Mapping[JobState, str] = {
        JobState.OUT_OF_MEMORY: "it used more memory than it had asked for: raise resources.memory",
        JobState.TIMEOUT: "it ran into its time limit: raise resources.time",
        JobState.NODE_FAIL: "the node it ran on failed",
        JobState.PREEMPTED: "it was preempted and not started again",
        JobState.DEADLINE: "its deadline passed",
        JobState.BOOT_FAIL: "the node could not be started",
    }
    return sentences.get(state, f"it ended {exit_words(exit_code)}" if exit_code is not None else "it failed")
