"""One look into the records: who is meant by what was seen, and what is only known to be unknown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.model.conditions import TERMINAL, TaskState
from controller.model.observed import BatchRecord, Charged, ClusterObservation, EventKind, JobState, RunLock
from controller.model.runs import RunRecord, batch_of
from controller.planning.absorb import absorb, acknowledged, strangers
from tests.unit.planning.values import INSTANCE, NOW, event, exited, owner, queued, record, run, seen, task, unreachable


def look(world: ClusterObservation, *records: RunRecord, now: float = NOW) -> dict[str, RunRecord]:
    return absorb(records, world, instance=INSTANCE, now=now)


def only(world: ClusterObservation, mine: RunRecord) -> RunRecord:
    return look(world, mine)[mine.id]


def test_a_cluster_that_cannot_be_reached_makes_its_runs_unknown_and_leaves_ends_alone() -> None:
    """No connection: active runs are Unknown with the reason; what has ended, or was never sent, stays as it is."""
    ended = record(task("done"), state=TaskState.SUCCEEDED)
    lapsed = record(task("lapsed"), state=TaskState.WAITING, lapsed=True, job_id=None)
    sending = record(task("sending"), state=TaskState.SUBMITTING, job_id=None)
    active = record(state=TaskState.RUNNING)
    after = look(unreachable(), ended, lapsed, sending, active)
    assert (after[active.id].state, after[active.id].reason) == (TaskState.UNKNOWN, "Unreachable")
    assert after[sending.id].state is TaskState.SUBMITTING
    assert after[ended.id] == ended
    assert after[lapsed.id] == lapsed


def test_a_file_of_a_run_that_does_not_fit_concerns_that_run() -> None:
    """Gone from the queue with an end that nobody can read, it is Unknown, by the file; alive it is Running."""
    gone = record(state=TaskState.RUNNING)
    alive = record(task("alive"), state=TaskState.RUNNING)
    other = record(task("other"), state=TaskState.RUNNING)
    unfit = {f"control/{each.id}/exit.json": "it is not JSON" for each in (gone, alive)}
    world = replace(seen(queue=(queued(alive, JobState.RUNNING), queued(other, JobState.RUNNING))), unfit=unfit)
    after = look(world, gone, alive, other)
    assert (after[gone.id].state, after[gone.id].reason) == (TaskState.UNKNOWN, "Unreadable")
    assert f"control/{gone.id}/exit.json: it is not JSON" in after[gone.id].message
    assert [after[each.id].state for each in (alive, other)] == [TaskState.RUNNING, TaskState.RUNNING]


def test_news_of_a_run_that_a_full_scan_does_not_know_is_acknowledged() -> None:
    """Before the scan it is a reason for one; after it nothing is left to wait for."""
    stranger = replace(event(record(task("nobody")), EventKind.STARTED), spool_file="a.json")
    before, after = seen(events=(stranger,)), replace(seen(events=(stranger,)), scanned=())
    assert (strangers(before, {}, instance=INSTANCE), acknowledged(before, {})) == (True, ())
    assert (strangers(after, {}, instance=INSTANCE), acknowledged(after, {})) == (False, ("a.json",))


@pytest.mark.parametrize("fault", ["spool", "runs"])
def test_an_unread_spool_ends_nothing(fault: str) -> None:
    """Where the runs' own words could not be read, not even COMPLETED in the queue is an end yet."""
    mine = record(state=TaskState.RUNNING)
    world = seen(queue=(queued(mine, JobState.COMPLETED),), events=None, faults={fault: "Input/output error"})
    after = only(world, mine)
    assert (after.state, after.reason, after.message) == (TaskState.UNKNOWN, "SpoolUnknown", "Input/output error")


def test_other_peoples_jobs_are_nobodys() -> None:
    """A job whose name is not this instance's tag says nothing of our runs, whatever its number is."""
    mine = record(state=TaskState.QUEUED)
    for tag in ("train", "other-" + mine.batch[:12], f"{INSTANCE}-{'0' * 12}", f"{INSTANCE}-{mine.batch[:11]}"):
        world = seen(queue=(queued(mine, JobState.FAILED, tag=tag, exit_code=1),))
        assert only(world, mine).state is TaskState.UNKNOWN


def test_tags_are_read_in_any_case() -> None:
    """A database that keeps upper-case names still tells of our job."""
    mine = record()
    world = seen(queue=(queued(mine, JobState.RUNNING, tag=f"{INSTANCE}-{mine.batch[:12]}".upper()),))
    assert only(world, mine).state is TaskState.RUNNING


def test_an_array_speaks_of_each_of_its_runs() -> None:
    """Each index of an array is the run at that place of its batch."""
    runs = [run(task(key=key)) for key in ("a", "b")]
    batch = batch_of(r.id for r in runs)
    first, second = (record(r, batch=batch, index=i, array=True) for i, r in enumerate(runs))
    world = seen(queue=(queued(first, JobState.RUNNING), queued(second)))
    after = look(world, first, second)
    assert [after[r.id].state for r in (first, second)] == [TaskState.RUNNING, TaskState.QUEUED]


def test_a_second_job_that_waits_keeps_a_cancelled_first_from_being_the_end() -> None:
    """Of two jobs of one run, one that is alive may yet run it: the other's end is not the run's."""
    mine = record()
    gone, waits = queued(mine, JobState.CANCELLED), queued(mine, JobState.PENDING, job_id="8")
    after = only(seen(queue=(gone, waits)), mine)
    assert (after.state, after.job_id) == (TaskState.QUEUED, "8")


def test_the_job_that_holds_the_claim_is_the_one_that_counts() -> None:
    """Once the claim's holder is known, no other job of the same run says anything of it."""
    mine = record(state=TaskState.RUNNING)
    holder = queued(mine, JobState.NODE_FAIL, job_id="8")
    other = queued(mine, JobState.PENDING)
    claim = event(mine, EventKind.CLAIMED, owner=owner(mine, "8"), at=0.0)
    after = only(seen(queue=(holder, other), events=(claim,)), replace(mine, missing_since=NOW - 600))
    assert (after.state, after.reason, after.job_id) == (TaskState.FAILED, "NodeFail", "8")


def test_a_failure_in_the_queue_alone_waits_for_the_runs_own_word() -> None:
    """squeue knows no exit codes: a second job that lost the claim (75) must not pass for the run's failure."""
    mine = record(state=TaskState.RUNNING)
    lost = queued(mine, JobState.FAILED)
    first = only(seen(queue=(lost,), accounting=None), mine)
    assert (first.state, first.missing_since) == (TaskState.UNKNOWN, NOW)
    claim = event(mine, EventKind.CLAIMED, owner=owner(mine, "8"), at=0.0)
    runs = queued(mine, JobState.RUNNING, job_id="8")
    second = only(seen(queue=(lost, runs), accounting=None, events=(claim,)), first)
    assert (second.state, second.job_id) == (TaskState.RUNNING, "8")


def test_accounting_that_is_switched_off_is_not_waited_for() -> None:
    """Where SLURM keeps no accounting, a submit that left no trace is tried again after the grace all the same."""
    mine = record(state=TaskState.SUBMITTING, job_id=None)
    batches = {mine.batch: BatchRecord(batch=mine.batch, present=True, tries=1)}
    off = {"accounting": "Slurm accounting storage is disabled"}
    assert only(seen(accounting=None, faults=off, batches=batches), mine).lapsed
    down = {"accounting": "sacct: error: Sending PersistInit msg: Connection refused"}
    assert not only(seen(accounting=None, faults=down, batches=batches), mine).lapsed


def scan_of(mine: RunRecord, **changes: object) -> BatchRecord:
    fields: dict[str, object] = {
        "present": True,
        "tries": 1,
        "job_id": "7",
        "job": mine.run.job,
        "commit": mine.run.commit,
        "runs": (mine.id,),
        "digests": (mine.run.digest,),
        "keys": (mine.run.key,),
    }
    return BatchRecord(batch=mine.batch, **(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("code", [0, 3])
def test_a_lost_journal_is_rebuilt_from_the_cluster(code: int) -> None:
    """A full scan alone gives back a run with its job, its end and its place."""
    mine = record(state=TaskState.RUNNING)
    world = seen(batches={mine.batch: scan_of(mine)}, scanned=(), events=(exited(mine, code),))
    found = look(world)[mine.id]
    assert (found.run, found.job_id, found.exit_code) == (mine.run, "7", code)
    assert found.state is (TaskState.FAILED if code else TaskState.SUCCEEDED)
    assert found.run_dir == mine.run_dir


def test_a_run_without_its_submission_is_known_by_its_lock() -> None:
    """Somebody has removed the submissions: the runs' own directories still tell of what succeeded."""
    mine = record()
    lock = RunLock(
        run=mine.id, job=mine.run.job, key="", digest=mine.run.digest, attempt=1, batch=mine.batch, index=0, commit="c"
    )
    world = seen(scanned=(lock,), events=(exited(mine, 0),))
    assert look(world)[mine.id].state is TaskState.SUCCEEDED


def test_a_scan_changes_nothing_that_is_known() -> None:
    """A record at hand is not replaced by what a scan makes of the same run."""
    mine = record(state=TaskState.CANCELLED, reason="SpecRemoved")
    assert look(seen(batches={mine.batch: scan_of(mine)}, scanned=()), mine)[mine.id] == mine


def test_news_of_unknown_runs_asks_for_a_scan() -> None:
    """A job of ours that waits, or a spool event, of a run that nobody knows: look at everything."""
    mine, other = record(), record(task("other"))
    known = {mine.id: mine}
    assert not strangers(seen(queue=(queued(mine),), events=(exited(mine, 0),)), known, instance=INSTANCE)
    assert strangers(seen(queue=(queued(other),)), known, instance=INSTANCE)
    assert strangers(seen(events=(exited(other, 0),)), known, instance=INSTANCE)
    foreign = queued(other, tag="somebody-elses")
    assert not strangers(seen(queue=(foreign,)), known, instance=INSTANCE)


def test_an_end_is_taken_from_the_spool_only_once_it_is_written_down() -> None:
    """The spool file of an exit goes once the run is terminal; news of runs that nobody knows stays."""
    mine, other = record(), record(task("other"))
    said = exited(mine, 137, spool_file="a")
    stray = exited(other, 0, spool_file="b")
    began = event(mine, EventKind.STARTED, spool_file="c")
    world = seen(events=(said, stray, began))
    assert acknowledged(world, {mine.id: replace(mine, state=TaskState.RUNNING)}) == ("c",)
    for state in TERMINAL:
        assert acknowledged(world, {mine.id: replace(mine, state=state)}) == ("a", "c")


def test_under_what_a_run_goes_is_what_the_scheduler_says() -> None:
    """Accounting has the last word, a job without a word changes nothing, and what is known is never unsaid."""
    mine = record(state=TaskState.QUEUED)
    asked = Charged(account="lab", partition="short,long", qos="normal")
    ran = replace(asked, partition="short")
    waits = only(seen(queue=(queued(mine, charged=asked),)), mine)
    assert waits.charged == asked
    assert only(seen(queue=(queued(mine),)), waits).charged == asked
    assert only(seen(queue=None), waits).charged == asked
    both = seen(
        queue=(queued(mine, JobState.RUNNING, charged=asked),),
        accounting=(queued(mine, JobState.RUNNING, charged=ran),),
    )
    assert only(both, waits).charged == ran
