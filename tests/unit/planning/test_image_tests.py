"""Images with a test: what is planned for it, what waits for it, and what is said."""

from __future__ import annotations

from dataclasses import replace

from controller.model.conditions import TaskState
from controller.model.images import Image, ImageTest
from controller.model.plans import Failure, Plan, SubmitBatch, Trial, trial_key
from controller.planning.describe import steps_of
from tests.unit.planning.values import NOW, desired, engine, history, image, job, no_engine, observed, plan, seen

TEST = ImageTest(run_command="pytest", required=True)
FAILED = Trial(passed=False, reason="TestFailed", message="it ended with exit code 1", count=3, log="/state/x.log")
PASSED = Trial(passed=True, count=0, commit="a" * 40, log="/state/x.log")


def with_test(trial: ImageTest = TEST) -> Image:
    return image(test=trial)


def key(test: ImageTest = TEST) -> str:
    return trial_key(with_test(test), test)


def planned(trial: Trial | None = None, test: ImageTest = TEST, *, on_cluster: bool = False) -> Plan:
    """Plan a job in the image; the engine has it."""
    world = seen(images={with_test().identity: 1} if on_cluster else {})
    past = history(trials={key(test): trial} if trial is not None else {})
    return plan(
        desired(with_test(test), job(image="torch")), observed(world, engine=engine(with_test().identity)), past
    )


def kinds(of: Plan) -> list[str]:
    return [step.kind for step in steps_of(of)]


def said(of: Plan) -> tuple[str, str, str, str]:
    """Return the task's state and reason, and the reasons of the image's Ready and Stalled."""
    statuses = {status.kind: status for status in of.statuses}
    ready, _, stalled = (condition.reason for condition in statuses["Image"].conditions)
    (task,) = statuses["Job"].tasks
    return task.state, task.reason, ready, stalled


def test_a_required_test_comes_before_conversion_and_queue() -> None:
    """Built, tested, converted, submitted: what fails the test costs no more than that."""
    wanted = desired(with_test(), job(image="torch"))
    made = plan(wanted, observed(seen(), engine=engine()))
    assert kinds(made) == ["build", "test", "publish", "submit"]
    build, test, publish, submit = steps_of(made)
    assert (test.after, publish.after, submit.after) == ((1,), (1, 2), (3,))
    assert build.key.startswith("build:")
    assert kinds(planned(on_cluster=True)) == ["test", "submit"]
    (last,) = [action for action in planned(on_cluster=True).actions if isinstance(action, SubmitBatch)]
    assert planned(on_cluster=True).needs[last.key] == (key(),)


def test_once_it_has_passed_nothing_waits_for_it() -> None:
    assert kinds(planned(PASSED)) == ["publish", "submit"]
    assert kinds(planned(PASSED, on_cluster=True)) == ["submit"]
    (status,) = [status for status in planned(PASSED, on_cluster=True).statuses if status.kind == "Image"]
    assert status.details["test"] == "passed"
    assert status.details["test.commit"] == "a" * 40


def test_a_test_that_failed_often_enough_is_not_repeated() -> None:
    """Jobs wait for a person, who reads why; another test, or another image, is tried at once."""
    made = planned(FAILED, on_cluster=True)
    assert kinds(made) == []
    assert said(made) == (TaskState.WAITING, "TestFailed", "TestFailed", "TestFailed")
    assert kinds(planned(replace(FAILED, count=2))) == ["test", "publish", "submit"]
    assert kinds(planned(replace(FAILED, count=1, reason="TestTimeout"))) == []
    other = replace(TEST, run_command="pytest -x")
    past = history(trials={key(): FAILED})
    wanted = desired(with_test(other), job(image="torch"))
    assert kinds(plan(wanted, observed(engine=engine(with_test().identity)), past)) == ["test", "publish", "submit"]
    wanted = desired(image(text="FROM y", test=TEST), job(image="torch"))
    assert kinds(plan(wanted, observed(engine=engine()), past)) == ["build", "test", "publish", "submit"]


def test_a_failed_test_is_tried_again_after_a_while() -> None:
    failure = Failure(reason="TestFailed", message="exit code 1", count=1, next_try=NOW + 30)
    past = history(trials={key(): replace(FAILED, count=1)}, failures={key(): failure})
    wanted, world = desired(with_test(), job(image="torch")), observed(engine=engine(with_test().identity))
    assert kinds(plan(wanted, world, past)) == []
    assert said(plan(wanted, world, past)) == (TaskState.WAITING, "TestFailed", "TestFailed", "Progressing")
    assert kinds(plan(wanted, world, past, now=NOW + 31)) == ["test", "publish", "submit"]


def test_a_test_that_is_not_required_holds_nothing_up() -> None:
    """It is told of, and nothing else; an earlier failure of when it was required does not count any more."""
    free = replace(TEST, required=False)
    assert key(free) == key()
    made = planned(FAILED, free, on_cluster=True)
    assert kinds(made) == ["submit"]
    assert said(made)[2:] == ("Present", "Progressing")
    (status,) = [status for status in made.statuses if status.kind == "Image"]
    assert (status.details["test"], status.details["test.log"]) == ("failed (TestFailed)", "/state/x.log")
    failure = Failure(reason="CloneFailed", message="no such host", count=1, next_try=NOW + 30, stalled=True)
    past = history(failures={key(): failure})
    world = observed(seen(images={with_test().identity: 1}))
    assert said(plan(desired(with_test(free), job(image="torch")), world, past))[2:] == ("Present", "Progressing")


def test_without_an_engine_nothing_is_taken_for_tested() -> None:
    """Unknown is not passed: the image is on the cluster, and its jobs wait all the same."""
    wanted, world = desired(with_test(), job(image="torch")), seen(images={with_test().identity: 1})
    made = plan(wanted, observed(world, engine=no_engine()))
    assert kinds(made) == []
    assert said(made) == (TaskState.WAITING, "EngineUnavailable", "EngineUnavailable", "Progressing")


def test_an_image_that_no_job_names_is_tested_too() -> None:
    assert kinds(plan(desired(with_test()), observed(engine=engine()))) == ["build", "test"]
    free = desired(with_test(replace(TEST, required=False)))
    assert kinds(plan(free, observed(engine=engine()))) == ["build"]


def test_whether_it_is_required_is_no_part_of_the_test() -> None:
    assert replace(TEST, required=False).digest == TEST.digest
    assert replace(TEST, gpus=True).digest != TEST.digest
    assert replace(TEST, time_s=60).digest != TEST.digest


def test_a_test_that_runs_elsewhere_is_waited_for() -> None:
    """A person runs it just now: no failure, and not the same as a test that nobody has begun."""
    running = Failure(reason="TestRunning", message="under way", count=1, next_try=NOW + 20, waiting=True)
    wanted = desired(with_test(), job(image="torch"))
    world = observed(seen(images={with_test().identity: 1}), engine=engine(with_test().identity))
    made = plan(wanted, world, history(failures={key(): running}))
    assert said(made) == (TaskState.WAITING, "TestRunning", "TestRunning", "Progressing")
    alone = plan(desired(with_test()), world, history(failures={key(): running}))
    assert alone.statuses[1].conditions[0].reason == "TestRunning"


def test_a_test_that_an_earlier_pass_began_is_left_alone() -> None:
    """Beside the service's passes: not begun twice, and said to run, whatever came of an earlier try."""
    wanted, world = desired(with_test(), job(image="torch")), observed(engine=engine(with_test().identity))
    past = history(underway=frozenset({key()}), trials={key(): replace(FAILED, count=1)})
    made = plan(wanted, world, past)
    assert kinds(made) == []
    assert said(made) == (TaskState.WAITING, "TestRunning", "TestRunning", "Progressing")
