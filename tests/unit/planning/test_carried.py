"""What a run counts for: by earlier names and recipes, by what it counted for last, and back again."""

from __future__ import annotations

from dataclasses import replace

from controller.model.conditions import ResourceStatus, TaskState, TaskStatus
from controller.model.resources import Desired, Place
from controller.model.runs import Run
from controller.planning.carried import Carried, told_in
from controller.planning.history import latest_by_task
from controller.planning.plan import make_plan
from controller.store.records import read_record, record_text
from tests.unit.planning import values
from tests.unit.planning.values import task

OLD = Place("train", "", "d1")
NEW = Place("fit", "", "d2")


def asking(*places: Place, name: str = "fit", was: tuple[str, ...] = ("train",), digest: str = "d2") -> Desired:
    """Return a commit with one job, whose task had these places."""
    asked = replace(task(name), digest=digest, earlier=places)
    return values.desired(values.job(name, asked, was=was))


def begun(place: Place) -> Run:
    """Return the first run at a place."""
    job, key, digest = place
    return Run(job=job, key=key, digest=digest, attempt=1, cluster="here", commit="c")


def test_a_run_counts_for_the_task_that_had_its_place() -> None:
    """It keeps its id, and what it was begun under."""
    run = begun(OLD)
    found = Carried(asking(OLD)).run(run)
    assert (found.job, found.key, found.digest) == NEW
    assert (found.id, found.place, found.as_begun()) == (run.id, OLD, run)


def test_it_counts_for_what_it_was_begun_under_before_all_else() -> None:
    """A rename that is taken back; and a name that was claimed by mistake."""
    carried = Carried(asking(OLD)).run(begun(OLD))
    assert Carried(asking(name="train", was=(), digest="d1")).run(carried) == begun(OLD)


def test_what_it_counted_for_last_is_enough() -> None:
    """``was`` was taken out; or names only the name before this one."""
    carried = Carried(asking(OLD)).run(begun(OLD))
    assert Carried(asking(was=())).run(carried) == carried
    third = Carried(asking(NEW, name="learn", was=("fit",), digest="d3")).run(carried)
    assert (third.job, third.place) == ("learn", OLD)


def test_another_digest_counts_for_the_task_of_its_name() -> None:
    """It is what that had before, to be replaced as the job says."""
    found = Carried(asking(OLD)).run(begun(Place("train", "", "d0")))
    assert (found.job, found.digest) == ("fit", "d0")


def test_what_nobody_asks_for_is_left_as_it_was() -> None:
    """Of another name."""
    run = begun(Place("other", "", "d0"))
    assert Carried(asking(OLD)).run(run) is run


def test_the_journal_keeps_both() -> None:
    """What a run was begun under, for any reader; what it counts for beside it."""
    record = values.record(Carried(asking(OLD)).run(begun(OLD)))
    assert read_record(record.id, record_text(record)) == record
    assert '"job": "train"' in record_text(record)


def test_the_status_branch_tells_it_by_the_directory() -> None:
    """With neither journal nor ``was``."""
    entry = TaskStatus(id="fit", state=TaskState.SUCCEEDED, digest="d2", run_dir=f"/w/inst/runs/{begun(OLD).id}")
    odd = replace(entry, run_dir="/x")
    status = ResourceStatus(kind="Job", name="fit", digest="", commit="c", tasks=(entry, odd))
    found = Carried(asking(was=()), told_in({"Job/fit": status})).run(begun(OLD))
    assert (found.job, found.key, found.digest) == NEW


def test_success_under_any_name_counts() -> None:
    """Whatever became of runs under the other names, and whatever their numbers."""
    succeeded = values.record(begun(OLD), state=TaskState.SUCCEEDED)
    failed = values.record(replace(begun(NEW), attempt=3), state=TaskState.FAILED)
    records = Carried(asking(OLD)).records({each.id: each for each in (succeeded, failed)})
    assert latest_by_task(records.values())[NEW].state is TaskState.SUCCEEDED


def test_a_new_job_that_asks_for_the_same_is_noticed() -> None:
    """In the plan, with the line to write; not where ``was`` says it already, nor where the old one is still there."""
    done = values.record(task("train"), state=TaskState.SUCCEEDED)
    same = replace(task("fit"), digest=done.run.digest)
    history = values.history(done)

    def hints(desired: Desired) -> tuple[str, ...]:
        runs = Carried(desired).records(history.runs)
        return make_plan(desired, values.observed(), replace(history, runs=runs), now=values.NOW).hints

    [hint] = hints(values.desired(values.job("fit", same)))
    assert 'add "was: train" to it (' in hint
    assert "it would run again" in hint
    place = Place("train", "", done.run.digest)
    assert hints(values.desired(values.job("fit", replace(same, earlier=(place,)), was=("train",)))) == ()
    assert hints(values.desired(values.job("fit", same), values.job("train", task("train")))) == ()
    assert hints(values.desired(values.job("fit", task("fit")))) == ()
