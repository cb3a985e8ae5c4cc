"""The brake on running again: how much is held, what is not, and what is said to differ."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.model.conditions import TaskState
from controller.model.files import FileEntry, FileSet
from controller.model.ledger import end_of, shard_of
from controller.model.plans import CancelRun, Plan, RerunLimits
from controller.model.resources import Desired, Job, OnChange, OnRemove
from controller.model.runs import RunRecord
from controller.planning.history import History
from tests.unit.planning.values import (
    COMMIT,
    INSTANCE,
    cluster,
    desired,
    file_set,
    job,
    observed,
    plan,
    record,
    seen,
    submits,
    task,
)

LIMITS = RerunLimits(tasks=3, share=0.5)


def sweep(name: str, count: int, command: str = "train", **changes: Any) -> Job:
    """Return a job of so many tasks."""
    return job(name, *(task(name, f"n={n}", f"{command} {n}") for n in range(count)), **changes)


def done(*jobs: Job) -> dict[str, RunRecord]:
    """Return a record for each task of jobs, as it succeeded in an hour."""
    records = [
        record(each, state=TaskState.SUCCEEDED, started=0.0, ended=3600.0) for made in jobs for each in made.tasks
    ]
    return {each.id: each for each in records}


def made_of(wanted: Desired, runs: dict[str, RunRecord], **facts: Any) -> Plan:
    """Return the plan for what is wanted after what ran."""
    return plan(wanted, observed(seen()), History(runs=runs, rerun_limits=LIMITS, instance=INSTANCE, **facts))


def held(made: Plan) -> set[str]:
    """Return the tasks that are held."""
    return {subject for hold in made.holds if hold.reason == "MassRerun" for subject in hold.subjects}


@given(
    changed=st.integers(0, 12),
    same=st.integers(0, 12),
    fresh=st.integers(0, 5),
    forgotten=st.booleans(),
    limits=st.builds(RerunLimits, tasks=st.integers(0, 8), share=st.sampled_from([0.0, 0.3, 0.5, 1.0])),
)
def test_held_is_what_is_more_than_both_limits(
    changed: int, same: int, fresh: int, forgotten: bool, limits: RerunLimits
) -> None:
    """Whether the records know of what succeeded or the ledger alone; and what is new is never held."""
    before = [sweep(name, count) for name, count in (("a", changed), ("b", same)) if count]
    now = [sweep(name, count, text) for name, count, text in (("a", changed, "other"), ("b", same, "train")) if count]
    now += [sweep("c", fresh)] if fresh else []
    runs = done(*before)
    ends = [end for each in runs.values() if (end := end_of(each, instance=INSTANCE)) is not None]
    past = History(rerun_limits=limits, instance=INSTANCE, **({"ends": ends} if forgotten else {"runs": runs}))
    made = plan(desired(cluster(), *now), observed(seen()), past)
    is_held = changed > limits.tasks and changed > limits.share * (changed + same)
    assert held(made) == ({f"a/n={n}" for n in range(changed)} if is_held else set())
    submitted = {run.task.id for batch in submits(made) for run in batch.runs}
    assert submitted == {f"c/n={n}" for n in range(fresh)} | {f"a/n={n}" for n in range(0 if is_held else changed)}


def test_an_approval_lets_all_go_and_is_remembered_for_that_version() -> None:
    """What a limit keeps waiting then goes on under the next commit; the next change is another version."""
    old, new, newer = sweep("a", 5), sweep("a", 5, "other"), sweep("a", 5, "newer")
    runs = done(old)
    made = made_of(desired(cluster(), new), runs, approved=True)
    assert not made.holds
    assert made.let_go == {"a": new.version}
    assert not made_of(desired(cluster(), new), runs, let_go=made.let_go).holds
    assert len(held(made_of(desired(cluster(), newer), runs, let_go=made.let_go))) == 5


GOING = (TaskState.SUBMITTING, TaskState.QUEUED, TaskState.RUNNING, TaskState.UNKNOWN)


def in_state(made: Job, *states: TaskState) -> dict[str, RunRecord]:
    """Return a record for each task of a job, in these states; what runs has started."""
    started = {TaskState.RUNNING: 1.0, TaskState.UNKNOWN: 1.0, TaskState.SUCCEEDED: 1.0, TaskState.FAILED: 1.0}
    found = [record(each, state=to, started=started.get(to)) for each, to in zip(made.tasks, states, strict=True)]
    return {each.id: each for each in found}


def cancelled(made: Plan) -> set[str]:
    """Return the runs that are cancelled."""
    return {action.record.id for action in made.actions if isinstance(action, CancelRun)}


def submitted(made: Plan) -> set[str]:
    """Return the tasks that are submitted."""
    return {run.task.id for batch in submits(made) for run in batch.runs}


@given(
    states=st.lists(st.sampled_from([*GOING, TaskState.SUCCEEDED, TaskState.FAILED]), min_size=1, max_size=10),
    on_change=st.sampled_from(OnChange),
    limits=st.builds(RerunLimits, tasks=st.integers(0, 8), share=st.sampled_from([0.0, 0.5])),
    renamed=st.booleans(),
)
def test_no_run_is_cancelled_whose_replacement_is_held(
    states: list[TaskState], on_change: OnChange, limits: RerunLimits, renamed: bool
) -> None:
    """Held, nothing of the job is cancelled or begun; approved, all goes ahead; reverted, nothing was harmed."""
    old = sweep("a", len(states), on_change=on_change)
    new = sweep("a", len(states), "other", on_change=on_change)
    if renamed:
        new = replace(old, name="b", tasks=tuple(replace(each, job="b") for each in old.tasks))
    runs = {key: replace(each, on_remove=OnRemove.CANCEL) for key, each in in_state(old, *states).items()}
    past = History(runs=runs, rerun_limits=limits, instance=INSTANCE, paths={"Job/a": "lab.yaml"})

    def made(wanted: Job, **facts: Any) -> Plan:
        return plan(desired(cluster(), wanted), observed(seen()), replace(past, **facts))

    replaced = renamed or on_change is OnChange.REPLACE
    counted = {TaskState.SUCCEEDED} | ({TaskState.RUNNING, TaskState.UNKNOWN} if replaced else set())
    again = sum(state in counted for state in states)
    total = sum(state in {*counted, TaskState.SUCCEEDED} for state in states)
    found = made(new)
    assert bool(held(found)) == limits.exceeded(again, total)
    if held(found):
        assert cancelled(found) == set()
        failed = {task.id for task, to in zip(new.tasks, states, strict=True) if to is TaskState.FAILED}
        assert submitted(found) == (failed if renamed else set())
    approved = made(new, approved=True)
    active = {each.id for each in runs.values() if each.state in GOING}
    assert cancelled(approved) == (active if replaced else set())
    assert made(new, let_go=approved.let_go, approved=True).holds == ()
    assert (cancelled(made(old)), submitted(made(old))) == (set(), set())


def test_what_goes_on_is_shown_and_said() -> None:
    """The job's status names the runs, and the reason for which they are not cancelled."""
    old, new = sweep("a", 5), sweep("a", 5, "other")
    runs = in_state(old, *[TaskState.SUCCEEDED] * 3, *[TaskState.RUNNING] * 2)
    made = made_of(desired(cluster(), new), runs)
    (hold,) = made.holds
    assert "would run 5 tasks again, of 5 that have succeeded or run" in hold.message
    assert "active runs (2) go on" in hold.message
    assert "controller approve" in hold.message
    going = {each.id for each in runs.values() if each.state is TaskState.RUNNING}
    assert going < set(hold.subjects)
    (status,) = [each for each in made.statuses if each.kind == "Job"]
    assert {text.partition(" ")[0] for text in status.details["previous_runs"].split(", ")} == going
    assert "goes on, as MassRerun holds a/n=3" in status.details["cancel_waits"]
    assert {each.reason for each in status.tasks} == {"MassRerun"}


@pytest.mark.parametrize("running", [2, 5])
def test_a_hold_does_not_end_by_failures(running: int) -> None:
    """Of what ran on: the others would begin unasked. The reason stays the same, also with a state that was lost."""
    old, new = sweep("a", 6), sweep("a", 6, "other")
    ended = [TaskState.FAILED] + [TaskState.SUCCEEDED] * (5 - running)
    runs = in_state(old, *ended, *[TaskState.RUNNING] * running)
    wanted = desired(cluster(), new)
    first = made_of(wanted, runs)
    assert len(held(first)) == 6 + running
    said = {status.key: status for status in first.statuses}
    assert made_of(wanted, runs, statuses=said).holds == first.holds
    failed = in_state(old, *ended, *[TaskState.FAILED] * running)
    assert not made_of(wanted, failed).holds
    for known in ({"statuses": said}, {"published": said}):
        after = made_of(wanted, failed, **known)
        assert len(held(after)) == 6
        assert submitted(after) == set()
    asked_for = desired(cluster(), sweep("a", 6, "another"))
    assert not made_of(asked_for, failed, statuses=said).holds


@pytest.mark.parametrize("state", GOING)
def test_what_needs_a_held_job_goes_on_too(state: TaskState) -> None:
    """Its replacement would only wait."""
    old, new = sweep("a", 5), sweep("a", 5, "other")
    before, after = sweep("b", 1, needs=("a",)), sweep("b", 1, "other", needs=("a",))
    small = in_state(sweep("c", 1), TaskState.RUNNING)
    runs = {**done(old), **in_state(before, state), **small}
    made = made_of(desired(cluster(), new, after, sweep("c", 1, "other")), runs)
    assert "b/n=0" in held(made)
    assert not cancelled(made) & set(in_state(before, state))


def test_a_damaged_ledger_cancels_nothing_that_it_holds() -> None:
    """Any brake that keeps a task keeps what it would replace."""
    old, new = sweep("a", 2), sweep("a", 2, "other")
    runs = in_state(old, TaskState.RUNNING, TaskState.QUEUED)
    faults = {shard_of("a"): "ledger/x.json"}
    made = made_of(desired(cluster(), new), runs, ledger_faults=faults)
    assert [hold.reason for hold in made.holds] == ["LedgerDamaged"]
    assert "controller approve" in made.holds[0].message
    assert (cancelled(made), submitted(made)) == (set(), set())
    approved = made_of(desired(cluster(), new), runs, ledger_faults=faults, approved=True)
    assert (cancelled(approved), submitted(approved)) == (set(runs), {"a/n=0", "a/n=1"})


def test_a_held_rename_says_the_line_to_add() -> None:
    """As one below the limit does."""
    old = sweep("a", 5)
    new = replace(old, name="b", tasks=tuple(replace(each, job="b") for each in old.tasks))
    made = made_of(desired(cluster(), new), done(old))
    assert len(held(made)) == 5
    (hint,) = made.hints
    assert 'add "was: a" to it' in hint


@pytest.mark.parametrize("changes", [{"schedule": "0 3 * * *", "tick": "2026-01-01T03:00Z"}, {"suspend": True}])
def test_what_runs_by_its_schedule_or_not_at_all_is_not_held(changes: dict[str, Any]) -> None:
    """A schedule gives each time another digest."""
    assert not made_of(desired(cluster(), sweep("a", 5, "other", **changes)), done(sweep("a", 5))).holds


def asked(made: Job, word: str) -> Job:
    """Return a job whose tasks were asked for by a word, and so are at another digest."""
    return replace(made, tasks=tuple(replace(t, rerun=word, digest=f"{t.digest[:-1]}{len(word)}") for t in made.tasks))


@pytest.mark.parametrize("where", ["itself", "upstream"])
def test_what_was_asked_for_by_name_is_not_held(where: str) -> None:
    """Nor what runs again because it needs that; one task's word long ago is no word for the others."""
    first, then = sweep("up", 1), sweep("a", 5, needs=("up",))
    before = desired(cluster(), first, then)
    now = [asked(first, "x"), then] if where == "upstream" else [first, asked(then, "x")]
    now[1] = replace(now[1], tasks=tuple(replace(t, digest=f"{t.digest[:-2]}zz") for t in now[1].tasks))
    wanted = desired(cluster(), *now)
    past = {"then": {COMMIT: before}}
    assert not made_of(wanted, done(first, then), **past).holds
    assert len(held(made_of(wanted, done(first, then), then={COMMIT: wanted}))) >= 5


def test_the_commits_of_before_are_asked_for_once() -> None:
    """One that cannot be read is not asked for again; it holds all the same."""
    old, new = sweep("a", 5), sweep("a", 5, "other")
    made = made_of(desired(cluster(), new), done(old))
    assert made.unread == (COMMIT,)
    again = made_of(desired(cluster(), new), done(old), then={COMMIT: None})
    assert again.unread == ()
    assert "cannot be read" in again.holds[0].message


def entry(path: str, oid: str) -> FileEntry:
    return FileEntry(path=path, mode=0o100644, oid=oid * 40)


OLD = FileSet(tree="1" * 64, entries=(entry("a.py", "1"), entry("b.py", "1"), entry("c.py", "1")), commit=COMMIT)
NEW = FileSet(tree="2" * 64, entries=(entry("a.py", "2"), entry("b.py", "1"), entry("d.py", "1")), commit=COMMIT)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"files": OLD}, {"files": NEW}, "files differ (a.py, c.py, d.py)"),
        ({}, {"files": file_set()}, "files differ (src/a)"),
        ({"shell": ("sh",)}, {}, "its shell differs"),
        ({"binds": ("/data",)}, {}, "its binds differ"),
        ({"needs": ("up",)}, {}, "what it needs differs (up)"),
        ({}, {}, "how digests are made"),
    ],
)
def test_what_differs_is_said(before: dict[str, Any], after: dict[str, Any], said: str) -> None:
    """As far as both commits tell, beside the digests."""
    old = sweep("a", 5, **before)
    tasks = tuple(replace(each, digest=each.digest[::-1]) for each in old.tasks)
    wanted = desired(cluster(), replace(sweep("a", 5, **after), tasks=tasks))
    made = made_of(wanted, done(old), then={COMMIT: desired(cluster(), old)})
    (hold,) = made.holds
    assert said in hold.message
    assert "5.0 h" in hold.message


def test_the_same_work_under_another_name_or_by_another_instance() -> None:
    """Of a job that went away, or whose end another instance entered; a copy beside the original is new work."""
    new = sweep("b", 5)
    old = replace(sweep("a", 5), tasks=tuple(replace(each, job="a") for each in new.tasks))
    gone = made_of(desired(cluster(), new), done(old))
    assert "a/n=0, which is gone, has done the same" in gone.holds[0].message
    assert not made_of(desired(cluster(), old, new), done(old)).holds
    others = [end_of(replace(each, run_dir=None), instance="other") for each in done(new).values()]
    made = made_of(desired(cluster(), new), {}, ends=[end for end in others if end is not None])
    assert "instance other has done the same" in made.holds[0].message
