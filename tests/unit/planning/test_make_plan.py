"""What a pass is to do: what is missing, in which order, and what is left alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.model.conditions import TaskState, Truth
from controller.model.plans import BuildImage, CancelRun, Failure, Plan, PublishImage, StageFiles, SubmitBatch
from controller.model.problems import Problem
from controller.model.resources import Job, Limits, OnChange, OnRemove, Retries
from controller.model.runs import RunRecord, batch_of
from controller.planning.brakes import FREE_CANCELS
from controller.planning.describe import steps_of
from controller.planning.tasks import is_removed
from tests.unit.planning.values import (
    NOW,
    cluster,
    desired,
    engine,
    facts,
    file_set,
    history,
    image,
    job,
    no_engine,
    observed,
    plan,
    record,
    run,
    seen,
    submits,
    task,
    unreachable,
)


def kinds(of: Plan) -> list[str]:
    return [type(action).__name__ for action in of.actions]


def wait_of(of: Plan, name: str = "train") -> tuple[str, str]:
    """State and reason of the only task of a job."""
    [status] = [status for status in of.statuses if (status.kind, status.name) == ("Job", name)]
    [only] = status.tasks
    return only.state, only.reason


def condition(of: Plan, key: str, name: str) -> tuple[Truth, str]:
    [status] = [status for status in of.statuses if status.key == key]
    [found] = [condition for condition in status.conditions if condition.type == name]
    return found.status, found.reason


def test_a_new_job_is_submitted() -> None:
    """A job that was never run is one submission of its first attempt."""
    made = plan(desired(job()))
    [submit] = submits(made)
    assert kinds(made) == ["SubmitBatch"]
    assert [p.run.id for p in submit.runs] == [run().id]
    assert submit.batch == batch_of([run().id])


def test_image_and_files_come_before_the_submission() -> None:
    """What a run needs is built, converted and uploaded first, in that order, and each only where it is missing."""
    wanted = desired(image(), job(image="torch", files=file_set()))
    made = plan(wanted, observed(seen(), engine=engine()))
    assert [step.kind for step in steps_of(made)] == ["build", "publish", "stage", "submit"]
    build, publish, stage, submit = (
        next(a for a in made.actions if isinstance(a, kind))
        for kind in (BuildImage, PublishImage, StageFiles, SubmitBatch)
    )
    assert made.needs[publish.key] == (build.key,)
    assert set(made.needs[submit.key]) == {publish.key, stage.key}
    built = plan(wanted, observed(seen(files=frozenset({file_set().tree})), engine=engine(image().identity)))
    assert kinds(built) == ["PublishImage", "SubmitBatch"]
    there = seen(images={image().identity: 1}, files=frozenset({file_set().tree}))
    assert kinds(plan(wanted, observed(there, engine=no_engine()))) == ["SubmitBatch"]


def test_an_engine_that_is_absent_stops_only_what_needs_it() -> None:
    """No Docker Engine: the job in the image waits and says so, the other goes on."""
    wanted = desired(image(), job("train", image="torch"), job("plain"))
    made = plan(wanted, observed(seen(), engine=no_engine()))
    assert [s.job.name for s in submits(made)] == ["plain"]
    assert wait_of(made) == ("Waiting", "EngineUnavailable")


@pytest.mark.parametrize("state", [*sorted(set(TaskState) - {TaskState.WAITING})])
def test_the_same_digest_is_not_run_again(state: TaskState) -> None:
    """Active, succeeded, failed or cancelled by someone: nothing to do."""
    past = history(record(state=state, reason="CancelledOutside"))
    assert kinds(plan(desired(job()), past=past)) == []


@pytest.mark.parametrize("reason", ["SpecChanged", "SpecRemoved"])
def test_what_we_cancelled_runs_again_when_it_is_wanted_again(reason: str) -> None:
    """A change taken back: the task runs as a new attempt."""
    past = history(record(state=TaskState.CANCELLED, reason=reason))
    [submit] = submits(plan(desired(job()), past=past))
    assert submit.runs[0].run.attempt == 2


@pytest.mark.parametrize(
    ("changes", "world"),
    [
        ("unreachable", unreachable()),
        ("queue", seen(queue=None, faults={"queue": "timed out"})),
        ("spool", seen(events=None, faults={"spool": "Input/output error"})),
        ("facts", seen(facts=None)),
        ("scan", seen(faults={"everything": "Input/output error"})),
        ("lost", seen(facts=facts(lost=True))),
        ("files", seen(files=None, faults={"files": "Input/output error"})),
        ("images", seen(images=None, faults={"images": "Input/output error"})),
    ],
)
def test_nothing_is_submitted_to_a_cluster_that_was_not_seen_whole(changes: str, world: object) -> None:
    """Each part that could not be seen holds submissions back, says so, and holds up no other cluster."""
    other = cluster("other")
    mine = job(files=file_set(), image="torch")
    wanted = desired(other, cluster(), image(), mine, job("elsewhere", cluster="other"))
    made = plan(wanted, observed(world, seen("other"), engine=engine(image().identity)))  # type: ignore[arg-type]
    assert {s.job.name for s in submits(made)} == {"elsewhere"}
    state, reason = wait_of(made)
    assert state == "Waiting"
    assert reason in ("Unreachable", "ClusterUnknown", "WorkdirMissing")


def changed(**changes: object) -> Job:
    return job("train", task(command="false"), **changes)  # type: ignore[arg-type]


def test_a_changed_task_replaces_its_run() -> None:
    """on_change: replace cancels the old run and submits the new one in the same pass."""
    past = history(record(state=TaskState.RUNNING))
    made = plan(desired(changed()), past=past)
    assert kinds(made) == ["CancelRun", "SubmitBatch"]
    assert isinstance(made.actions[0], CancelRun)
    assert made.actions[0].reason == "SpecChanged"


def test_a_changed_task_lets_its_run_finish() -> None:
    """on_change: finish leaves the old run, and the new one waits for it."""
    past = history(record(state=TaskState.RUNNING))
    made = plan(desired(changed(on_change=OnChange.FINISH)), past=past)
    assert kinds(made) == []
    assert wait_of(made) == ("Waiting", "PreviousRunActive")


@pytest.mark.parametrize(("on_remove", "expected"), [(OnRemove.CANCEL, ["CancelRun"]), (OnRemove.KEEP, []), (None, [])])
def test_a_removed_job_is_cancelled_only_as_it_said(on_remove: OnRemove | None, expected: list[str]) -> None:
    """Spec gone: cancelled when it said so; kept when it said that, or when nobody knows what it said."""
    mine = record(state=TaskState.RUNNING, on_remove=on_remove)
    assert kinds(plan(desired(), past=history(mine))) == expected


@pytest.mark.parametrize(
    ("passing", "reconciling", "stalled", "ready"),
    [
        (False, (Truth.FALSE, "Settled"), (Truth.TRUE, "SpecInvalid"), (Truth.FALSE, "SpecInvalid")),
        (True, (Truth.TRUE, "SourceUnavailable"), (Truth.FALSE, "Settled"), (Truth.FALSE, "SourceUnavailable")),
    ],
)
def test_what_may_pass_by_itself_needs_nobody(passing: bool, reconciling: Any, stalled: Any, ready: Any) -> None:
    """A spec that is wrong is stalled; one that names what cannot be had now is asked for again."""
    problem = Problem(path="lab.yaml", line=1, column=1, message="x", resource="Image/tool", passing=passing)
    made = plan(desired(broken=frozenset({"Image/tool"}), problems=(problem,)))
    assert condition(made, "Image/tool", "Reconciling") == reconciling
    assert condition(made, "Image/tool", "Stalled") == stalled
    assert condition(made, "Image/tool", "Ready") == ready


def test_a_spec_that_cannot_be_read_removes_nothing() -> None:
    """A broken document, or a file in which it may hide, is no removal."""
    mine = record(state=TaskState.RUNNING, on_remove=OnRemove.CANCEL)
    past = history(mine, paths={"Job/train": "lab.yaml"})
    assert kinds(plan(desired(broken=frozenset({"Job/train"})), past=past)) == []
    assert kinds(plan(desired(broken_paths=frozenset({"lab.yaml"})), past=past)) == []
    assert kinds(plan(desired(broken_paths=frozenset({"other.yaml"})), past=past)) == ["CancelRun"]
    unknown = history(mine)
    assert kinds(plan(desired(broken_paths=frozenset({"other.yaml"})), past=unknown)) == []


def test_what_was_removed_is_removed_whatever_breaks_later() -> None:
    """Its path "" says so. A name found in what cannot be read leaves its run alone, and is shown meanwhile."""
    mine = record(state=TaskState.RUNNING, on_remove=OnRemove.CANCEL)
    removed = {"Job/train": ""}
    assert kinds(plan(desired(broken_paths=frozenset({"lab.yaml"})), past=history(mine, paths=removed))) == [
        "CancelRun"
    ]
    name = frozenset({"Job/train"})
    named = desired(broken=name, suspects=name, broken_paths=frozenset({"lab.yaml"}))
    made = plan(named, past=history(mine, paths=removed))
    assert kinds(made) == []
    (status,) = [each for each in made.statuses if each.key == "Job/train"]
    assert is_removed(status)
    assert "it was removed before" in status.conditions[0].message
    assert [each.key for each in plan(named, past=history(paths=removed)).statuses if each.kind == "Job"] == []


def test_what_a_broken_job_was_long_ago_is_not_told_of() -> None:
    """It is while there is something of it."""
    problem = Problem(path="lab.yaml", line=1, column=1, message="x", resource="Job/old")
    wanted = desired(broken=frozenset({"Job/old"}), former=frozenset({"Job/old"}), problems=(problem,))
    assert [each.key for each in plan(wanted).statuses if each.kind == "Job"] == []
    told = plan(wanted, past=history(paths={"Job/old": "lab.yaml"})).statuses
    assert [each.key for each in told if each.kind == "Job"] == ["Job/old"]


def test_nothing_is_cancelled_on_a_cluster_that_cannot_be_reached() -> None:
    """No connection, no cancellation, and none of a cluster that nobody knows any more."""
    mine = record(state=TaskState.RUNNING, on_remove=OnRemove.CANCEL)
    assert kinds(plan(desired(), observed(unreachable()), history(mine))) == []
    assert kinds(plan(desired(clusters={}), observed(), history(mine))) == []
    assert kinds(plan(desired(clusters={}, retired={"hpc": cluster()}), observed(), history(mine))) == ["CancelRun"]


def test_a_cancellation_is_asked_for_again_only_after_a_while() -> None:
    """A run that is asked to end is given a minute before it is asked once more."""
    asked = {"on_remove": OnRemove.CANCEL, "cancel_requested_at": NOW - 30}
    mine = record(state=TaskState.RUNNING, **asked)
    assert kinds(plan(desired(), past=history(mine))) == []
    assert kinds(plan(desired(), past=history(mine), now=NOW + 31)) == ["CancelRun"]


def many(count: int) -> list[RunRecord]:
    return [record(task(key=f"n={n}"), state=TaskState.RUNNING, on_remove=OnRemove.CANCEL) for n in range(count)]


def test_a_mass_cancellation_waits_for_a_persons_word() -> None:
    """More than 10 and more than a fifth: held back together, said in the status, and let go once approved."""
    past = history(*many(FREE_CANCELS + 1))
    held = plan(desired(), past=past)
    assert kinds(held) == []
    assert [hold.reason for hold in held.holds] == ["MassCancel"]
    assert condition(held, "Job/train", "Stalled") == (Truth.TRUE, "MassCancel")
    assert len(plan(desired(), past=replace(past, approved=True)).actions) == FREE_CANCELS + 1
    assert len(plan(desired(), past=history(*many(FREE_CANCELS))).actions) == FREE_CANCELS


def test_a_few_of_very_many_are_no_mass_cancellation() -> None:
    """Eleven of a hundred go ahead."""
    records = many(100)
    keep = tuple(task(key=f"n={n}") for n in range(11, 100))
    made = plan(desired(job("train", *keep)), past=history(*records))
    assert kinds(made) == ["CancelRun"] * 11


def test_a_commit_from_nowhere_cancels_nothing() -> None:
    """A commit that does not descend from the last one applied holds back even a single cancellation."""
    past = history(*many(1), descends=False)
    made = plan(desired(), past=past)
    assert kinds(made) == []
    assert [hold.reason for hold in made.holds] == ["NotADescendant"]
    assert kinds(plan(desired(), past=replace(past, approved=True))) == ["CancelRun"]


def test_a_failure_is_not_tried_again_before_its_time() -> None:
    """The task waits with the failure's own words until then."""
    [submit] = submits(plan(desired(job())))
    failed = Failure(reason="AccountRejected", message="no such account", count=1, next_try=NOW + 5, stalled=True)
    past = history(failures={submit.key: failed})
    made = plan(desired(job()), past=past)
    assert kinds(made) == []
    assert wait_of(made) == ("Waiting", "AccountRejected")
    assert condition(made, "Job/train", "Stalled") == (Truth.TRUE, "AccountRejected")
    assert kinds(plan(desired(job()), past=past, now=NOW + 6)) == ["SubmitBatch"]


@pytest.mark.parametrize(("reason", "tried"), [("BuildKitNeeded", []), ("BuildFailed", ["SubmitBatch"])])
def test_what_would_fail_the_same_again_is_held_back_for_a_day(reason: str, tried: list[str]) -> None:
    """Any other time that is so far off was written by a clock that was ahead."""
    [submit] = submits(plan(desired(job())))
    failed = Failure(reason=reason, message="RUN --mount", count=1, next_try=NOW + 80_000, stalled=True)
    past = history(failures={submit.key: failed})
    assert kinds(plan(desired(job()), past=past)) == tried
    assert kinds(plan(desired(job()), past=past, now=NOW + 80_001)) == ["SubmitBatch"]


def test_a_mended_spec_is_tried_at_once() -> None:
    """Other resources make another action: the failure of the old one does not hold it back."""
    [submit] = submits(plan(desired(job())))
    failed = Failure(reason="AccountRejected", message="", count=1, next_try=NOW + 1800, stalled=True)
    mended = job(resources=replace(job().resources, account="lab"))
    assert kinds(plan(desired(mended), past=history(failures={submit.key: failed}))) == ["SubmitBatch"]


def test_limits_hold_submissions_back() -> None:
    """max_queued counts what is active; the rest waits and says for what."""
    tight = cluster(limits=Limits(max_queued=3))
    tasks = tuple(task(key=f"n={n}") for n in range(5))
    past = history(record(tasks[0], state=TaskState.RUNNING))
    made = plan(desired(tight, job("train", *tasks)), past=past)
    assert [len(s.runs) for s in submits(made)] == [2]
    [status] = [status for status in made.statuses if status.kind == "Job"]
    assert [t.reason for t in status.tasks].count("QueueLimit") == 2


def test_arrays_are_as_large_as_the_cluster_lets_them_be() -> None:
    """A sweep is as few submissions as MaxArraySize allows."""
    tasks = tuple(task(key=f"n={n}") for n in range(250))
    made = plan(desired(job("train", *tasks)), observed(seen(facts=facts(max_array_size=101))))
    assert [len(s.runs) for s in submits(made)] == [100, 100, 50]


def test_a_suspended_job_is_left_as_it_is() -> None:
    """suspend: nothing new is submitted, and what runs goes on."""
    made = plan(desired(job(suspend=True)))
    assert kinds(made) == []
    assert wait_of(made) == ("Waiting", "Suspended")
    assert kinds(plan(desired(job(suspend=True)), past=history(record(state=TaskState.RUNNING)))) == []


def test_priority_decides_who_goes_first() -> None:
    """Where there is room for one, the job with the higher priority gets it."""
    tight = cluster(limits=Limits(max_queued=1))
    made = plan(desired(tight, job("low"), job("high", priority=10)))
    assert [s.job.name for s in submits(made)] == ["high"]


def test_a_failed_run_is_retried_for_the_reasons_named_only() -> None:
    """retries: a new attempt for a reason in ``on``, after the backoff, up to ``max``."""
    retries = Retries(max=1, on=frozenset({"NodeFail"}), backoff_s=30)
    failed = record(state=TaskState.FAILED, reason="NodeFail", ended=NOW - 100)
    [submit] = submits(plan(desired(job(retries=retries)), past=history(failed)))
    assert submit.runs[0].run.attempt == 2
    fresh = replace(failed, ended=NOW - 1)
    assert wait_of(plan(desired(job(retries=retries)), past=history(fresh))) == ("Waiting", "Backoff")
    other = replace(failed, reason="ExitCode")
    assert kinds(plan(desired(job(retries=retries)), past=history(other))) == []
    second = record(run(attempt=2), state=TaskState.FAILED, reason="NodeFail", ended=NOW - 1000)
    assert kinds(plan(desired(job(retries=retries)), past=history(failed, second))) == []


def test_a_lapsed_submit_is_sent_again_as_the_same_batch() -> None:
    """Known not to have gone through: the same batch, the same runs, the number of tries on it."""
    lapsed = record(state=TaskState.WAITING, lapsed=True, job_id=None, tries=2)
    [submit] = submits(plan(desired(job()), past=history(lapsed)))
    assert (submit.batch, submit.tries, submit.runs[0].run) == (lapsed.batch, 2, lapsed.run)
    assert kinds(plan(desired(job()), observed(unreachable()), history(lapsed))) == []


def test_a_batch_of_which_a_run_has_ended_is_not_sent_again_whole() -> None:
    """What is left of it starts over in a batch of its own, and the run that ended stays as it is."""
    tasks = task(key="a"), task(key="b")
    runs = [run(t) for t in tasks]
    shared = {"batch": batch_of(r.id for r in runs), "job_id": None, "tries": 1}
    left = record(runs[0], index=0, state=TaskState.WAITING, lapsed=True, **shared)
    gone = record(runs[1], index=1, state=TaskState.CANCELLED, reason="SpecChanged", **shared)
    made = submits(plan(desired(job("train", *tasks)), past=history(left, gone)))
    planned = sorted(p.run.id for s in made for p in s.runs)
    assert planned == sorted([runs[0].id, run(tasks[1], attempt=2).id])
    assert shared["batch"] not in {s.batch for s in made}


def test_the_order_of_the_input_does_not_matter() -> None:
    """The same resources and runs in another order make the same plan."""
    jobs = [job(name, *(task(name, key=f"n={n}") for n in range(3))) for name in ("b", "a", "c")]
    records = [record(j.tasks[0], state=TaskState.RUNNING) for j in jobs]
    one = plan(desired(*jobs), past=history(*records))
    two = plan(desired(*reversed(jobs)), past=history(*reversed(records)))
    assert one == two


def test_a_succeeded_job_is_ready_and_says_so_the_same_way_each_time() -> None:
    """Ready is True, and a later pass that changes nothing says exactly the same, times included."""
    past = history(record(state=TaskState.SUCCEEDED, reason="Completed", ended=NOW - 5))
    first = plan(desired(job()), past=past)
    assert condition(first, "Job/train", "Ready") == (Truth.TRUE, "Succeeded")
    assert condition(first, "Job/train", "Reconciling")[0] is Truth.FALSE
    earlier = {status.key: status for status in first.statuses}
    later = plan(desired(job()), past=replace(past, statuses=earlier), now=NOW + 1000)
    assert later.statuses == first.statuses


def test_a_condition_keeps_its_time_until_it_changes() -> None:
    """The time of a condition is that of its last change."""
    running = plan(desired(job()), past=history(record(state=TaskState.RUNNING, reason="Running")))
    earlier = {status.key: status for status in running.statuses}
    past = history(record(state=TaskState.FAILED, reason="ExitCode", message="exit code 3"), statuses=earlier)
    failed = plan(desired(job()), past=past, now=NOW + 60)
    [before] = [s for s in running.statuses if s.kind == "Job"]
    [after] = [s for s in failed.statuses if s.kind == "Job"]
    assert before.conditions[0].changed != after.conditions[0].changed
    assert condition(failed, "Job/train", "Stalled") == (Truth.TRUE, "ExitCode")


def test_unknown_is_said_as_unknown() -> None:
    """A run that nobody can tell of makes its job's Ready Unknown, with the reason."""
    past = history(record(state=TaskState.UNKNOWN, reason="QueueUnknown", message="the queue could not be read"))
    made = plan(desired(job()), past=past)
    assert condition(made, "Job/train", "Ready") == (Truth.UNKNOWN, "QueueUnknown")


def test_a_job_waits_for_what_it_needs() -> None:
    """needs: nothing is submitted before all of it has succeeded; a failure upstream is a wait, not a failure."""
    first, then = job("prepare"), job("train", needs=("prepare",))
    made = plan(desired(first, then))
    assert [s.job.name for s in submits(made)] == ["prepare"]
    assert wait_of(made) == ("Waiting", "WaitingForNeeds")
    done = history(record(task("prepare"), state=TaskState.SUCCEEDED))
    assert [s.job.name for s in submits(plan(desired(first, then), past=done))] == ["train"]
    failed = history(record(task("prepare"), state=TaskState.FAILED, reason="ExitCode"))
    assert wait_of(plan(desired(first, then), past=failed)) == ("Waiting", "NeedFailed")


def test_actions_have_one_identity_each() -> None:
    """Two jobs that share image and files need one build, one conversion, one upload."""
    wanted = desired(image(), *(job(name, image="torch", files=file_set()) for name in ("a", "b")))
    made = plan(wanted, observed(seen(), engine=engine()))
    assert sorted(kinds(made)) == ["BuildImage", "PublishImage", "StageFiles", "SubmitBatch", "SubmitBatch"]
    assert len({action.key for action in made.actions}) == 5


def test_what_is_under_way_is_not_begun_again() -> None:
    """Built or brought to the cluster since an earlier pass: the job waits and says so, and so does the image."""
    torch = image()
    wanted, world = desired(torch, job(image="torch")), observed(seen(), engine=engine())
    first = plan(wanted, world)
    keys = {action.key.split(":")[0]: action.key for action in first.actions}
    for word, reason in (("build", "Building"), ("publish", "Publishing")):
        later = plan(wanted, world, history(underway=frozenset({keys[word]})))
        assert later.actions == ()
        ready = {s.key: next(c for c in s.conditions if c.type == "Ready") for s in later.statuses}
        assert (ready["Image/torch"].reason, ready["Job/train"].reason) == (reason, reason)
        assert next(s for s in later.statuses if s.key == "Job/train").tasks[0].state is TaskState.WAITING
