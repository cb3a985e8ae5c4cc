"""What is true of a run, for every combination of what can be said of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import pytest

from controller.model.conditions import TERMINAL, TaskState
from controller.model.observed import ENDED, REQUEUEABLE, BatchRecord, EventKind, JobRecord, JobState, RunEvent
from controller.model.runs import RunRecord
from controller.planning.settle import SETTLE_S, Seen, settle
from tests.unit.planning.values import NOW, event, exited, owner, queued, record

GRACE_S = 120.0
EXITS = (None, 0, 3, 137)
PARTS: tuple[JobState | str, ...] = ("unknown", "absent", *JobState)
CLAIMS = ("none", "own", "other", "cancelled")
ALIVE = frozenset(JobState) - ENDED


@cache
def known(cancelled: bool, missing_s: float | None, job_id: str | None) -> RunRecord:
    """The record before the look."""
    asked = {"cancel_requested_at": NOW - 90, "cancel_reason": "SpecRemoved"} if cancelled else {}
    since = None if missing_s is None else NOW - missing_s
    state = TaskState.RUNNING if job_id else TaskState.SUBMITTING
    return record(state=state, job_id=job_id, missing_since=since, **asked)


@dataclass(frozen=True)
class Case:
    """One combination. ``queue`` and ``accounting`` are "unknown" (not seen), "absent" (no such job) or a state."""

    exit_code: int | None
    queue: JobState | str
    accounting: JobState | str
    claim: str
    cancelled: bool
    missing_s: float | None
    job_id: str | None

    def record(self) -> RunRecord:
        """What was known before."""
        return known(self.cancelled, self.missing_s, self.job_id)

    def seen(self) -> Seen:
        """What one look says."""
        return Seen(
            queue=self._job(self.queue),
            queue_known=self.queue != "unknown",
            accounting=self._job(self.accounting),
            accounting_known=self.accounting != "unknown",
            events=tuple(self._events()),
            batch=None if self.job_id else BatchRecord(batch=self.record().batch, present=True, tries=1),
        )

    def _job(self, state: JobState | str) -> JobRecord | None:
        if not isinstance(state, JobState):
            return None
        return queued(self.record(), state, ended=NOW - 5 if state in ENDED else None)

    def _events(self) -> Iterator[RunEvent]:
        mine = self.record()
        holder = {"own": owner(mine), "other": owner(mine, "9"), "cancelled": "cancelled"}.get(self.claim)
        if holder is not None:
            yield event(mine, EventKind.CLAIMED, owner=holder, at=0.0)
        if self.exit_code is not None:
            yield exited(mine, self.exit_code, owner=holder or owner(mine))

    @property
    def states(self) -> set[JobState | str]:
        """What queue and accounting say."""
        return {self.queue, self.accounting}


CASES = [
    Case(*combination)
    for combination in itertools.product(EXITS, PARTS, PARTS, CLAIMS, (False, True), (None, 600.0), (None, "7"))
    # A run whose claim was taken away before it started has no end of its own; one with an end is not missing.
    if combination[0] is None or (combination[3] != "cancelled" and combination[5] is None)
]


def outcome(case: Case, now: float = NOW) -> RunRecord:
    return settle(case.record(), case.seen(), now=now, grace_s=GRACE_S)


@cache
def table() -> dict[Case, RunRecord]:
    """Every combination with what becomes of it."""
    return {case: outcome(case) for case in CASES}


def check(cases: list[Case], holds: object) -> None:
    """Fail with the first few cases for which a predicate of (case, record) does not hold."""
    assert callable(holds)
    assert cases, "the table does not hold a single such case"
    broken = [(case, result) for case in cases if not holds(case, result := table()[case])]
    assert not broken, f"{len(broken)} of {len(cases)}, such as: " + "\n".join(map(str, broken[:3]))


def test_nothing_said_is_never_an_end() -> None:
    """Without an exit, a stated end or a claim taken away, only a cancellation that was asked for ends a run."""
    silent = [c for c in CASES if c.exit_code is None and not c.states & ENDED and c.claim != "cancelled"]
    check(silent, lambda case, result: result.state not in TERMINAL or (case.cancelled and case.queue == "absent"))


def test_a_queue_that_was_not_read_ends_nothing_that_may_come_back() -> None:
    """Queue not seen: an end only by the run's own word, by its claim, or by an end that no scheduler takes back."""
    blind = [c for c in CASES if c.exit_code is None and c.queue == "unknown" and c.claim != "cancelled"]
    check(blind, lambda case, result: result.state not in TERMINAL or case.accounting in ENDED - REQUEUEABLE)


def test_neither_part_seen_changes_no_fate() -> None:
    """Neither queue nor accounting seen, nothing heard: still under way, or Unknown."""
    blind = [c for c in CASES if c.exit_code is None and c.states == {"unknown"} and c.claim != "cancelled"]
    allowed = {TaskState.SUBMITTING, TaskState.UNKNOWN}
    check(blind, lambda case, result: result.state in allowed and result.ended is None)


def test_succeeded_only_from_exit_0_or_completed() -> None:
    """Nothing but the run's exit 0 or the scheduler's COMPLETED makes a run Succeeded."""

    def earned(case: Case, result: RunRecord) -> bool:
        if result.state is not TaskState.SUCCEEDED:
            return True
        return case.exit_code == 0 or (case.exit_code is None and JobState.COMPLETED in case.states)

    check(CASES, earned)


def test_exit_0_is_success_whatever_anyone_else_says() -> None:
    """The run's own exit 0 beats queue, accounting, silence and a cancellation."""
    check(
        [c for c in CASES if c.exit_code == 0],
        lambda case, result: (
            result.state is TaskState.SUCCEEDED and result.exit_code == 0 and result.reason == "Completed"
        ),
    )


def test_an_exit_code_is_failure_whatever_anyone_else_says() -> None:
    """The run's own exit 3 is Failed with that code, whatever the scheduler says of the job."""
    check(
        [c for c in CASES if c.exit_code == 3],
        lambda case, result: result.state is TaskState.FAILED and result.exit_code == 3,
    )


def test_a_kill_waits_for_the_schedulers_word_only_while_that_can_come() -> None:
    """Exit 137 is Failed, except shortly after it while the queue still shows the job or was not read."""

    def fits(case: Case, result: RunRecord) -> bool:
        waits = case.queue in ALIVE or case.queue == "unknown"
        known = case.states & {JobState.OUT_OF_MEMORY, JobState.TIMEOUT, JobState.PREEMPTED, JobState.NODE_FAIL}
        return result.state is (TaskState.RUNNING if waits and not known else TaskState.FAILED)

    killed = [c for c in CASES if c.exit_code == 137]
    check(killed, fits)
    late = [outcome(case, NOW + 100) for case in killed]
    assert {result.state for result in late} == {TaskState.FAILED}


@pytest.mark.parametrize("state", [JobState.OUT_OF_MEMORY, JobState.TIMEOUT, JobState.PREEMPTED, JobState.NODE_FAIL])
def test_the_scheduler_says_why_a_run_failed(state: JobState) -> None:
    """An exit code with OUT_OF_MEMORY and the like beside it carries that as the reason."""
    cases = [c for c in CASES if c.exit_code == 137 and c.states == {state}]
    check(cases, lambda case, result: result.state is TaskState.FAILED and result.reason == state.value)


def test_alive_in_the_queue_beats_accounting() -> None:
    """A job that the queue shows alive has not ended, whatever accounting tells of an earlier start of it."""
    alive = [c for c in CASES if c.exit_code is None and c.queue in ALIVE and c.claim != "cancelled"]
    check(alive, lambda case, result: result.state not in TERMINAL and result.missing_since is None)


def test_the_queues_end_beats_accounting() -> None:
    """An end in the queue is taken before another one in accounting."""
    differs = [
        c
        for c in CASES
        if c.exit_code is None
        and c.queue is JobState.COMPLETED
        and (c.claim == "own" or (c.claim == "none" and c.missing_s is not None))
        and isinstance(c.accounting, JobState)
    ]
    check(differs, lambda case, result: result.state is TaskState.SUCCEEDED)


def test_no_end_is_believed_before_the_run_itself_was_asked() -> None:
    """What the scheduler states of a run that has said nothing waits for a look into the run's own directory."""
    unasked = [c for c in CASES if c.exit_code is None and c.claim == "none" and c.missing_s is None]
    check(unasked, lambda case, result: result.state not in TERMINAL)


def test_a_state_nobody_knows_is_unknown() -> None:
    """A word that is not in any table makes the run Unknown, never Failed."""
    strange = [c for c in CASES if c.exit_code is None and c.queue is JobState.UNKNOWN and c.claim != "cancelled"]
    check(strange, lambda case, result: result.state is TaskState.UNKNOWN and result.reason == "StateUnknown")


def test_what_the_scheduler_may_undo_counts_only_after_a_while() -> None:
    """NODE_FAIL and the like are no end before the run has been gone for SETTLE_S: the job may be started again."""

    def fits(case: Case, result: RunRecord) -> bool:
        early = (case.missing_s or 0.0) < SETTLE_S
        return result.state is (TaskState.UNKNOWN if early else TaskState.FAILED)

    check([c for c in CASES if c.exit_code is None and c.queue in REQUEUEABLE and c.claim in ("none", "own")], fits)


def test_gone_from_the_queue_alone_proves_nothing() -> None:
    """No longer in the queue, not in accounting, nothing heard: Unknown for as long as it takes."""
    gone = [
        c
        for c in CASES
        if c.exit_code is None
        and c.queue == "absent"
        and c.accounting in ("absent", "unknown")
        and c.claim in ("own", "other")
        and not c.cancelled
    ]
    check(gone, lambda case, result: result.state is TaskState.UNKNOWN and result.reason == "NotSeen")
    assert {outcome(case, NOW + 1e7).state for case in gone} == {TaskState.UNKNOWN}


def test_a_claim_taken_away_ends_the_run_for_good() -> None:
    """A run whose claim the controller took never starts: Cancelled, whatever becomes of its job."""
    taken = [c for c in CASES if c.claim == "cancelled"]
    check(taken, lambda case, result: result.state is TaskState.CANCELLED and result.reason == "SpecRemoved")


def test_a_cancellation_says_whose_it_was() -> None:
    """Cancelled carries our own reason when we asked for it, and CancelledOutside when someone else did it."""

    def fits(case: Case, result: RunRecord) -> bool:
        if result.state is not TaskState.CANCELLED:
            return True
        return result.reason == ("SpecRemoved" if case.cancelled else "CancelledOutside")

    check([c for c in CASES if c.claim != "cancelled"], fits)


def test_every_end_has_a_time_and_every_state_a_reason() -> None:
    """A terminal record says when it ended; any record says why it is where it is; a failure has a sentence."""

    def fits(case: Case, result: RunRecord) -> bool:
        dated = result.state not in TERMINAL or result.ended is not None
        said = result.state is not TaskState.FAILED or result.message
        return bool(dated and said and result.reason)

    check(CASES, fits)


def test_the_same_look_twice_says_the_same() -> None:
    """Settling what is settled changes nothing, but for a failure that waits for one more look."""
    for case, once in table().items():
        if (once.state, once.reason) == (TaskState.UNKNOWN, "Ending"):
            continue
        assert settle(once, case.seen(), now=NOW, grace_s=GRACE_S) == once, case


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_an_end_is_never_taken_back(state: TaskState) -> None:
    """Whatever is seen of it later, a terminal record stays as it is."""
    for case in CASES[:: len(CASES) // 500]:
        ended = replace(case.record(), state=state, reason="Completed", ended=NOW - 500)
        assert settle(ended, case.seen(), now=NOW, grace_s=GRACE_S) == ended


J = JobState


@pytest.mark.parametrize(
    ("exit_code", "queue", "accounting", "claim", "cancelled", "state", "reason"),
    [
        # the usual life
        (None, J.PENDING, "absent", "none", False, "Queued", "Pending"),
        (None, J.RUNNING, "unknown", "own", False, "Running", "Running"),
        (None, J.ENDING, J.RUNNING, "own", False, "Running", "Ending"),
        (0, J.ENDING, "unknown", "own", False, "Succeeded", "Completed"),
        (0, "unknown", "unknown", "own", False, "Succeeded", "Completed"),
        (0, "absent", J.FAILED, "own", True, "Succeeded", "Completed"),
        (3, J.COMPLETED, J.COMPLETED, "own", False, "Failed", "ExitCode"),
        (3, "absent", J.CANCELLED, "own", False, "Failed", "ExitCode"),
        # no word from the run
        (None, "absent", J.COMPLETED, "own", False, "Succeeded", "Completed"),
        (None, "unknown", J.COMPLETED, "own", False, "Succeeded", "Completed"),
        (None, "absent", J.COMPLETED, "none", False, "Unknown", "Ending"),
        (None, "unknown", J.COMPLETED, "none", False, "Unknown", "Ending"),
        (None, "absent", J.FAILED, "own", False, "Failed", "ExitCode"),
        (None, J.FAILED, "unknown", "own", False, "Failed", "ExitCode"),
        (None, J.FAILED, "unknown", "none", False, "Unknown", "Ending"),
        (None, "absent", J.OUT_OF_MEMORY, "own", False, "Failed", "OutOfMemory"),
        (None, J.TIMEOUT, "absent", "own", False, "Failed", "Timeout"),
        (None, "absent", J.DEADLINE, "none", False, "Unknown", "Ending"),
        (None, "absent", J.DEADLINE, "own", False, "Failed", "Deadline"),
        (None, "absent", J.NODE_FAIL, "own", False, "Unknown", "NodeFail"),
        (None, "unknown", J.NODE_FAIL, "own", False, "Unknown", "QueueUnknown"),
        (None, J.RUNNING, J.NODE_FAIL, "own", False, "Running", "Running"),
        (None, J.PENDING, J.PREEMPTED, "own", False, "Queued", "Pending"),
        # nothing, or not enough
        (None, "absent", "absent", "own", False, "Unknown", "NotSeen"),
        (None, "absent", J.RUNNING, "own", False, "Unknown", "NotSeen"),
        (None, "unknown", J.RUNNING, "own", False, "Unknown", "QueueUnknown"),
        (None, "unknown", "unknown", "own", True, "Unknown", "QueueUnknown"),
        # cancellations
        (None, J.CANCELLED, "absent", "own", True, "Cancelled", "SpecRemoved"),
        (None, J.CANCELLED, "absent", "own", False, "Cancelled", "CancelledOutside"),
        (None, J.CANCELLED, "absent", "none", False, "Unknown", "Ending"),
        (None, "unknown", J.CANCELLED, "none", False, "Unknown", "Ending"),
        (None, "absent", J.CANCELLED, "own", False, "Cancelled", "CancelledOutside"),
        (None, J.PENDING, "absent", "none", True, "Queued", "Pending"),
        (None, J.RUNNING, "absent", "own", True, "Running", "Running"),
        (None, J.PENDING, "absent", "cancelled", True, "Cancelled", "SpecRemoved"),
        (None, "absent", J.FAILED, "cancelled", True, "Cancelled", "SpecRemoved"),
    ],
)
def test_settle_by_hand(
    exit_code: int | None,
    queue: JobState | str,
    accounting: JobState | str,
    claim: str,
    cancelled: bool,
    state: str,
    reason: str,
) -> None:
    """The cases that users meet, written down one by one."""
    case = Case(exit_code, queue, accounting, claim, cancelled, None, "7")
    result = outcome(case)
    assert (result.state, result.reason) == (state, reason)


def test_the_claims_holder_is_the_runs_job() -> None:
    """Of two jobs for one run the one that holds the claim counts; it is the one to cancel and to ask for."""
    result = outcome(Case(None, "absent", "absent", "other", False, None, "7"))
    assert result.job_id == "9"


def test_a_job_that_lost_the_claim_tells_nothing_of_the_run() -> None:
    """Exit code 75 of a second job is not the run's end."""
    mine = record(state=TaskState.RUNNING)
    lost = queued(mine, JobState.FAILED, exit_code=75, ended=NOW - 5)
    for look in (
        Seen(queue=lost, queue_known=True, accounting_known=True),
        Seen(queue_known=True, accounting=lost, accounting_known=True),
        Seen(queue_known=False, accounting=lost, accounting_known=True),
    ):
        result = settle(mine, look, now=NOW, grace_s=GRACE_S)
        assert result.state is TaskState.UNKNOWN


def test_a_full_disk_is_named() -> None:
    """Exit code 74 says that the run could not write its end down."""
    full = queued(record(), JobState.FAILED, exit_code=74, ended=NOW - 5)
    missed = settle(record(), Seen(queue=full, queue_known=True), now=NOW, grace_s=GRACE_S)
    result = settle(missed, Seen(queue=full, queue_known=True), now=NOW + 1, grace_s=GRACE_S)
    assert (missed.state, result.state) == (TaskState.UNKNOWN, TaskState.FAILED)
    assert "disk or quota full" in result.message


@pytest.mark.parametrize(
    ("phase", "reason"),
    [
        ("command", "ExitCode"),
        ("setup", "SetupFailed"),
        ("setup-left", "SetupFailed"),
        ("profile", "SetupFailed"),
        ("files", "FilesUnavailable"),
        ("files-lost", "FilesIncomplete"),
        ("image-missing", "ImageMissing"),
        ("image-changed", "ImageChanged"),
    ],
)
def test_a_failure_says_in_which_phase(phase: str, reason: str) -> None:
    """A set-up that fails is told apart from a command that does, and the end of stderr is kept."""
    said = exited(record(), 2, phase=phase, stderr_tail="no such module")
    result = settle(record(), Seen(queue_known=True, events=(said,)), now=NOW, grace_s=GRACE_S)
    assert (result.state, result.reason, result.stderr_tail) == (TaskState.FAILED, reason, "no such module")


def test_a_requeued_run_is_one_attempt() -> None:
    """Stopped by a signal, waiting again, started again, ended: the same run, Succeeded, with its last start."""
    mine = record(state=TaskState.RUNNING, started=NOW - 300)
    stopped = event(mine, EventKind.STOPPED, at=NOW - 200, stderr_tail="slurmstepd: preempted")
    waits = settle(mine, Seen(queue=queued(mine), queue_known=True, events=(stopped,)), now=NOW - 190, grace_s=GRACE_S)
    assert (waits.state, waits.stopped_at) == (TaskState.QUEUED, NOW - 200)
    again = event(mine, EventKind.STARTED, at=NOW - 100)
    runs = settle(
        waits,
        Seen(queue=queued(mine, JobState.RUNNING), queue_known=True, events=(stopped, again)),
        now=NOW - 90,
        grace_s=GRACE_S,
    )
    assert (runs.state, runs.started, runs.stopped_at) == (TaskState.RUNNING, NOW - 100, None)
    done = settle(runs, Seen(queue_known=True, events=(exited(mine, 0),)), now=NOW, grace_s=GRACE_S)
    assert (done.state, done.id, done.run.attempt) == (TaskState.SUCCEEDED, mine.id, 1)


def test_stopped_and_forgotten_is_a_failure_in_the_end() -> None:
    """A run stopped by a signal whose job neither queue nor accounting knows any more has failed, after the grace."""
    mine = record(state=TaskState.RUNNING, missing_since=NOW - GRACE_S, stopped_at=NOW - 300)
    gone = Seen(queue_known=True, accounting_known=True)
    assert settle(mine, gone, now=NOW, grace_s=GRACE_S).state is TaskState.FAILED
    blind = Seen(queue_known=True, accounting_known=False)
    assert settle(mine, blind, now=NOW, grace_s=GRACE_S).state is TaskState.UNKNOWN
    early = replace(mine, missing_since=NOW - 1)
    assert settle(early, gone, now=NOW, grace_s=GRACE_S).state is TaskState.UNKNOWN


# A submit of unknown end


def batch_of(mine: RunRecord, **changes: object) -> BatchRecord:
    fields: dict[str, object] = {"present": True, "tries": 1}
    return BatchRecord(batch=mine.batch, **(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("waited_s", "batch", "queue_known", "accounting_known", "lapsed"),
    [
        (600, {}, True, True, True),
        (600, {}, True, False, False),
        (600, {}, False, True, False),
        (600, None, True, True, False),
        (GRACE_S - 1, {}, True, True, False),
        (1, {"present": False, "tries": 0}, True, False, True),
        (1, {"present": False, "tries": 0}, False, True, False),
    ],
)
def test_a_submit_is_tried_again_only_once_it_is_known_not_to_have_gone_through(
    waited_s: float, batch: dict[str, object] | None, queue_known: bool, accounting_known: bool, lapsed: bool
) -> None:
    """Queue, accounting and the batch's directory all have to be seen, and the grace to be over."""
    mine = record(state=TaskState.SUBMITTING, job_id=None, intended_at=NOW - waited_s)
    look = Seen(
        queue_known=queue_known,
        accounting_known=accounting_known,
        batch=None if batch is None else batch_of(mine, **batch),
    )
    result = settle(mine, look, now=NOW, grace_s=GRACE_S)
    assert result.lapsed is lapsed
    assert result.state is (TaskState.WAITING if lapsed else TaskState.SUBMITTING)


@pytest.mark.parametrize("where", ["queue", "accounting", "batch", "claim"])
def test_a_job_whose_answer_was_lost_is_adopted(where: str) -> None:
    """A trace of the job in queue, accounting, batch directory or claim makes it the run's own, also once lapsed."""
    for mine in (
        record(state=TaskState.SUBMITTING, job_id=None),
        record(state=TaskState.WAITING, job_id=None, lapsed=True, tries=1),
    ):
        job = queued(mine, JobState.RUNNING, job_id="41")
        look = Seen(
            queue=job if where == "queue" else None,
            queue_known=True,
            accounting=job if where == "accounting" else None,
            accounting_known=True,
            batch=batch_of(mine, job_id="41" if where == "batch" else None),
            events=(event(mine, EventKind.CLAIMED, owner=owner(mine, "41"), at=0.0),) if where == "claim" else (),
        )
        result = settle(mine, look, now=NOW, grace_s=GRACE_S)
        assert result.job_id == "41"
        assert not result.lapsed
        assert result.state is (TaskState.RUNNING if where == "queue" else TaskState.UNKNOWN)


def test_what_sbatch_refused_is_no_job_to_adopt() -> None:
    """SLURM lists what it refused as FAILED without a start: after a crash that is no end of the run."""
    mine = record(state=TaskState.SUBMITTING, job_id=None)
    refused = queued(mine, JobState.FAILED, job_id="35", reason="BadConstraints", exit_code=1)
    look = Seen(
        queue=refused, queue_known=True, accounting=refused, accounting_known=True, batch=batch_of(mine, job_id=None)
    )
    result = settle(mine, look, now=NOW, grace_s=GRACE_S)
    assert (result.state, result.lapsed, result.job_id) == (TaskState.WAITING, True, None)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (3, "the command ended with exit code 3"),
        (138, "the command ended with exit code 138 (signal 10, SIGUSR1)"),
        (129, "the command ended with exit code 129 (signal 1, SIGHUP)"),
        (255, "the command ended with exit code 255"),
    ],
)
def test_an_end_by_a_signal_names_it(code: int, words: str) -> None:
    """Numbers above 128 stand for signals, as every shell has them."""
    said = exited(record(), code)
    assert settle(record(), Seen(events=[said]), now=NOW, grace_s=GRACE_S).message == words


def test_a_signal_that_only_the_scheduler_tells_of_is_named_too() -> None:
    """The job script itself was ended: accounting has the signal."""
    told = replace(queued(record()), state=JobState.FAILED, exit_code=138, started=NOW - 9, ended=NOW)
    claimed = event(record(), EventKind.CLAIMED)
    settled = settle(record(), Seen(queue=told, queue_known=True, events=[claimed]), now=NOW, grace_s=GRACE_S)
    assert (settled.state, settled.message) == (TaskState.FAILED, "it ended with exit code 138 (signal 10, SIGUSR1)")


@pytest.mark.parametrize(
    ("stopped_s", "state"), [(1, TaskState.CANCELLED), (-1, TaskState.UNKNOWN), (None, TaskState.UNKNOWN)]
)
def test_a_run_that_stopped_after_it_was_asked_to_is_cancelled(stopped_s: float | None, state: TaskState) -> None:
    """Its own word is enough once the queue has it no more; a stop from before was that of a preemption."""
    asked_at = NOW - 10
    mine = record(state=TaskState.RUNNING, cancel_requested_at=asked_at, cancel_reason="SpecRemoved")
    events = [event(mine, EventKind.CLAIMED)]
    if stopped_s is not None:
        events.append(event(mine, EventKind.STOPPED, at=asked_at + stopped_s))
    settled = settle(mine, Seen(queue_known=True, events=events), now=NOW, grace_s=GRACE_S)
    assert settled.state is state
    if state is TaskState.CANCELLED:
        assert (settled.reason, settled.ended) == ("SpecRemoved", asked_at + 1)
