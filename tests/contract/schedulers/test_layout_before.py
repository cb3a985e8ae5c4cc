"""Work of the version before goes on: its runs have their control files in ``.controller`` of their own directory."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from controller.clusters.cluster import SubmitEnd
from controller.clusters.scripts import remote_file
from controller.model.conditions import TaskState
from controller.model.runs import RunRecord
from controller.planning.absorb import absorb
from tests.contract.schedulers.places import Place
from tests.unit.planning import values
from tests.unit.planning.values import task


def known(place: Place, record: RunRecord) -> str:
    """Let a record be known for a run of this place; return the directory that its control files were in."""
    place.known_facts()
    place.records[record.id] = record
    return f"{place.run_directory(record)}/.controller"


def running(place: Place, **changes: object) -> tuple[RunRecord, str]:
    """Return a run that an old job executes, and the directory of its control files."""
    batch = place.batch(task(command="echo once"))
    record = values.record(batch.runs[0].run, batch=batch.batch, job_id="77", state=TaskState.RUNNING, **changes)
    owner = f"77_0@{batch.batch[:12]}.1"
    old = known(place, record)
    event = {"run": record.id, "kind": "started", "owner": owner, "at": time.time()}
    run = record.run
    lock = {"run": run.id, "job": run.job, "key": run.key, "digest": run.digest, "attempt": 1, "commit": run.commit}
    lock |= {"batch": batch.batch, "index": 0}
    place.shell(
        f"mkdir -p {old} {place.root}/{place.instance}/spool && cd {old} && echo {owner} >claim"
        f" && echo '{json.dumps(event)}' >started.json && echo '{json.dumps(lock)}' >run.lock.json"
        " && echo said >../stdout"
    )
    return record, old


def ended(place: Place, record: RunRecord, old: str) -> None:
    """Let the old job write its end."""
    event = {"run": record.id, "kind": "exited", "owner": f"77_0@{record.batch[:12]}.1", "at": time.time()}
    place.shell(f"echo '{json.dumps(event | {'exit_code': 0, 'phase': 'command'})}' >{old}/exit.json")


def test_its_end_and_its_output_are_read(local: Place) -> None:
    """A run that an old job executes ends as it ends, and its output is shown from where it is."""
    record, old = running(local)
    assert not local.client().has_ended(record.id)
    ended(local, record, old)
    assert local.state(record) is TaskState.SUCCEEDED
    assert local.stdout(record) == "said\n"
    assert local.client().has_ended(record.id)
    assert "control" not in local.shell(f"ls {local.root}/{local.instance}").split()


def test_it_is_found_after_the_journal_is_lost(local: Place) -> None:
    """A full scan finds old runs and new ones, each where it is; committed control files are no run of their own."""
    record, old = running(local)
    ended(local, record, old)
    [new] = local.submit(task("new", command="mkdir .controller; echo '{}' >.controller/exit.json; exit 3"))
    local.ends(new)
    found = absorb([], local.observe(full_scan=True), instance=local.instance, now=time.time())
    assert {run.id: run.state for run in found.values()} == {
        record.id: TaskState.SUCCEEDED,
        new.id: TaskState.FAILED,
    }


def test_a_running_one_is_not_said_to_be_cancelled(local: Place) -> None:
    """Cancelled while an old job executes it: the claim is that job's, and no other place says otherwise."""
    record, old = running(local, cancel_reason="SpecRemoved")
    # Nothing was hit: the scheduler has no such job.
    assert local.client().cancel([record]) == {}
    assert "control" not in local.shell(f"ls {local.root}/{local.instance}").split()
    assert "cancelling.json" in local.shell(f"ls {old}")


def test_a_queued_one_that_is_cancelled_never_starts(local: Place) -> None:
    """Nobody knows of which version the job is that is on its way: both places are taken."""
    batch = local.batch(task(command="echo ran"))
    record = values.record(batch.runs[0].run, batch=batch.batch, job_id=None, state=TaskState.SUBMITTING)
    old = known(local, record)
    assert local.client().cancel([record]) == {record.id: "cancelled"}
    assert local.shell(f"cat {old}/claim {local.control_directory(record)}/claim") == "cancelled\ncancelled\n"
    assert local.state(record) is TaskState.CANCELLED


@pytest.mark.parametrize("claimed", [False, True], ids=["waiting", "running"])
def test_an_unanswered_submit_is_sent_again_and_executes_once(local: Place, claimed: bool) -> None:
    """An old job may come of the first try: it finds its claim taken, or the new one finds the old one's."""
    batch = local.batch(task(command="echo new >>ran"))
    [planned] = batch.runs
    record = values.record(planned.run, batch=batch.batch, job_id=None, state=TaskState.SUBMITTING)
    old, submission = known(local, record), f"{local.root}/{local.instance}/submissions/{batch.batch}"
    local.shell(f"mkdir -p {submission}/try-1; echo 'place=$run/.controller' >{submission}/job.sh")
    owner = f"77_0@{batch.batch[:12]}.1"
    if claimed:
        local.shell(f"mkdir -p {old} && echo {owner} >{old}/claim")
    end = local.send(batch, tries=1)
    assert end.end is SubmitEnd.SUBMITTED, end
    local.until_ended(str(end.job_id))
    # What the old job does when it starts.
    holder = local.shell(f"mkdir -p {old}; cd {old}; echo {owner} >mine; ln mine claim 2>/dev/null; cat claim").strip()
    ran = local.shell(f"cat {local.run_directory(record)}/ran 2>/dev/null || :")
    assert (holder == owner, ran) == ((True, "") if claimed else (False, "new\n"))
    if claimed:
        ended(local, record, old)
        local.records[record.id] = replace(record, job_id="77", state=TaskState.RUNNING)
        assert local.state(record) is TaskState.SUCCEEDED
    else:
        assert local.ends(local.records[record.id]).state is TaskState.SUCCEEDED


@pytest.mark.parametrize("claimed", [False, True], ids=["waiting", "running"])
def test_a_run_of_a_lost_batch_executes_once_in_another(local: Place, claimed: bool) -> None:
    """A batch of the version before was lost in part, and one of its runs is sent in a batch of its own: when the old
    job turns up after all, it finds its claim taken, or the new one finds the old one's.
    """
    first, second = task("one", command="echo new >>ran"), task("two", command="echo new >>ran")
    whole, rest = local.batch(first, second), local.batch(second)
    run = rest.runs[0].run
    record = values.record(run, batch=rest.batch, job_id=None, state=TaskState.SUBMITTING)
    old, submission = known(local, record), f"{local.root}/{local.instance}/submissions/{whole.batch}"
    lines = "".join(f"{planned.run.id}\tlock\tscript\n" for planned in whole.runs)
    local.shell(
        f"mkdir -p {submission}/try-1; cd {submission}; echo 'place=$run/.controller' >job.sh; printf '{lines}' >tasks"
    )
    owner = f"77_1@{whole.batch[:12]}.1"
    if claimed:
        local.shell(f"mkdir -p {old} && echo {owner} >{old}/claim")
    end = local.send(rest)
    assert end.end is SubmitEnd.SUBMITTED, end
    local.until_ended(str(end.job_id))
    # What the old job does when it starts.
    holder = local.shell(f"mkdir -p {old}; cd {old}; echo {owner} >mine; ln mine claim 2>/dev/null; cat claim").strip()
    ran = local.shell(f"cat {local.run_directory(record)}/ran 2>/dev/null || :")
    assert (holder == owner, ran) == ((True, "") if claimed else (False, "new\n"))


def test_only_runs_of_the_version_before_have_their_old_place_taken(local: Place) -> None:
    """A run's own directory is the user's: nothing of ours is in any other."""
    [new] = local.submit(task("new", command="ls -A"))
    assert local.ends(new).state is TaskState.SUCCEEDED
    assert local.stdout(new) == ""


def test_the_old_place_is_told_by_the_old_job_script() -> None:
    """What the submit script looks for in a job script is in that of this version."""
    assert "control=$base/control" in remote_file("job.sh")
