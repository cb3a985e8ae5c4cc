"""A plan carried out: what stops what, what is remembered, and what each outcome of a submit leaves behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
import structlog

from controller.clusters.cluster import SubmitEnd, Submitted
from controller.model.conditions import TaskState
from controller.model.errors import AmbiguousError, ControllerError, StalledError, TransientError, WaitingError
from controller.model.images import Image
from controller.model.observed import ClusterFacts, Observed
from controller.model.plans import Plan, SubmitBatch
from controller.model.resources import Connection, OnRemove
from controller.model.runs import RunRecord
from controller.reconcile.applying import apply, failure_of
from controller.reconcile.hands import Hands
from controller.reconcile.workshop import Workshop
from controller.store.journal import Journal
from tests.unit.planning.values import (
    INSTANCE,
    NOW,
    cluster,
    desired,
    engine,
    history,
    image,
    job,
    observed,
    plan,
    record,
    run,
    seen,
    submits,
    task,
)

Answer = Submitted | ControllerError | type[KeyError]


@dataclass
class FakeClient:
    """A cluster that answers as it is told; ``sent`` holds what was asked of it."""

    answer: Callable[[SubmitBatch], Answer] = lambda batch: Submitted(end=SubmitEnd.SUBMITTED, job_id="41")
    owner: str = "cancelled"
    journal: Journal | None = None
    images: Any = None
    sent: list[tuple[str, int, int]] = field(default_factory=list)
    known_before: list[dict[str, RunRecord]] = field(default_factory=list)

    def submit(self, batches: Sequence[tuple[SubmitBatch, int]], facts: ClusterFacts) -> Mapping[str, Submitted]:
        self.sent += [(batch.batch, len(batch.runs), tries) for batch, tries in batches]
        if self.journal is not None:
            self.known_before.append(self.journal.runs())
        ends = {}
        for batch, _ in batches:
            answer = self.answer(batch)
            if isinstance(answer, ControllerError):
                raise answer
            if isinstance(answer, Submitted):
                ends[batch.batch] = answer
            else:
                raise KeyError(batch.batch)
        return ends

    def cancel(self, records: Sequence[RunRecord]) -> Mapping[str, str]:
        return {record.id: self.owner for record in records}


class EmptyFiles:
    """A commit whose files are all empty."""

    def read(self, oid: str, *, limit: int | None = None) -> bytes:
        return b""


@dataclass
class FailingEngine:
    """An engine whose builds end as they are told."""

    error: ControllerError | None = None
    release: threading.Event | None = None

    def build(self, *args: Any, **more: Any) -> None:
        if self.release is not None:
            assert self.release.wait(60)
        if self.error is not None:
            raise self.error


class CrowdedEngine:
    """An engine that notices when more than ``room`` builds go on at once: then that many meet at the barrier."""

    def __init__(self, room: int) -> None:
        self._more = threading.Barrier(room + 1, timeout=0.3)
        self.built: list[str] = []
        self.crowded = False

    def build(self, image: Image, *args: Any, **more: Any) -> None:
        with suppress(threading.BrokenBarrierError):
            self._more.wait()
            self.crowded = True
        self.built.append(image.name)


class CrowdedImages:
    """A cluster's images, which notice when more than ``room`` conversions go on at once."""

    def __init__(self, room: int) -> None:
        self._more = threading.Barrier(room + 1, timeout=0.5)
        self.converted: list[str] = []
        self.crowded = False

    def upload(self, *args: Any, **more: Any) -> None:
        """It is there at once."""

    def convert(self, identity: str, material: Any) -> None:
        with suppress(threading.BrokenBarrierError):
            self._more.wait()
            self.crowded = True
        self.converted.append(identity)


class SavingEngine:
    """An engine that has every image."""

    def tag(self, image: Image) -> None:
        """It has the name already."""

    def archive(self, image: Image, target: Any) -> None:
        target.write(b"archive")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "journal.db")
    yield opened
    opened.close()


@pytest.fixture
def carry_out(journal: Journal, tmp_path: Path) -> Callable[..., dict[str, ControllerError | None]]:
    """Carry a plan out with fakes for all that is outside."""

    def go(
        made: Plan,
        *clients: FakeClient,
        world: Observed | None = None,
        builds: ControllerError | None = None,
        engine: Any = None,
        stop: threading.Event | None = None,
        workshop: Workshop | None = None,
        release: threading.Event | None = None,
    ) -> dict[str, ControllerError | None]:
        by_name = dict(zip(("hpc", "other"), clients or (FakeClient(),), strict=False))
        hands = Hands(
            journal=journal,
            engine=cast(Any, engine or FailingEngine(builds, release)),
            client_of=lambda name: cast(Any, by_name[name]),
            tree_of=lambda files: cast(Any, EmptyFiles()),
            instance=INSTANCE,
            state_dir=tmp_path,
            clock=lambda: NOW,
            say=lambda key, line: None,
        )
        workshop = workshop or Workshop()
        return apply(made, world or observed(), hands, stop=stop or threading.Event(), workshop=workshop)

    return go


def failed(error: ControllerError) -> Submitted:
    return Submitted(end=SubmitEnd.FAILED, error=error)


def only(journal: Journal) -> RunRecord:
    [found] = journal.runs().values()
    return found


def test_the_intent_is_written_before_the_submission(journal: Journal, carry_out: Any) -> None:
    """When the cluster is asked, the journal already says what is about to happen."""
    client = FakeClient(journal=journal)
    carry_out(plan(desired(job())), client)
    [before] = client.known_before
    assert before[run().id].state is TaskState.SUBMITTING
    after = only(journal)
    assert (after.state, after.job_id, after.submitted_at) == (TaskState.QUEUED, "41", NOW)
    assert after.run_dir


@pytest.mark.parametrize("end", [SubmitEnd.SUBMITTED, SubmitEnd.ADOPTED])
def test_a_job_id_is_a_submission(journal: Journal, carry_out: Any, end: SubmitEnd) -> None:
    """Submitted now or found to have been: queued, and nothing failed."""
    outcomes = carry_out(plan(desired(job())), FakeClient(lambda batch: Submitted(end=end, job_id="9")))
    assert set(outcomes.values()) == {None}
    assert only(journal).job_id == "9"


@pytest.mark.parametrize(
    "answer",
    [
        AmbiguousError("TimedOut", "no answer"),
        failed(AmbiguousError("SubmitUnanswered", "Socket timed out")),
        Submitted(end=SubmitEnd.BUSY),
    ],
)
def test_an_unclear_end_stays_submitting(journal: Journal, carry_out: Any, answer: Answer) -> None:
    """Not known whether it went through: neither queued nor failed, no backoff, the next look decides."""
    made = plan(desired(job()))
    [outcome] = carry_out(made, FakeClient(lambda batch: answer)).values()
    assert isinstance(outcome, AmbiguousError)
    assert (only(journal).state, only(journal).lapsed) == (TaskState.SUBMITTING, False)
    assert journal.failures() == {}


@pytest.mark.parametrize(
    ("answer", "tries"),
    [
        (TransientError("Unreachable", "no route"), 0),
        (failed(TransientError("UploadFailed", "disk full")), 0),
        (failed(StalledError("AccountRejected", "no such account")), 1),
        (failed(WaitingError("SchedulerBusy", "busy")), 1),
    ],
)
def test_a_refusal_leaves_no_run_behind(journal: Journal, carry_out: Any, answer: Answer, tries: int) -> None:
    """Known not to have been submitted: the task is free again, the failure has its time, the tries are counted."""
    made = plan(desired(job()))
    carry_out(made, FakeClient(lambda batch: answer))
    assert journal.runs() == {}
    [submit] = submits(made)
    assert journal.tries(submit.batch) == tries
    assert journal.failures()[submit.key].next_try > NOW


def test_a_batch_too_large_for_a_limit_is_cut(journal: Journal, carry_out: Any) -> None:
    """An array is refused as a whole: halves of it go until no more fits, and what went through is queued."""
    room = 3
    sweep = job("sweep", *(task("sweep", f"n={n}") for n in range(8)))

    def answer(batch: SubmitBatch) -> Answer:
        nonlocal room
        if len(batch.runs) > room:
            return failed(WaitingError("SubmitLimit", "the QOS allows no more"))
        room -= len(batch.runs)
        return Submitted(end=SubmitEnd.SUBMITTED, job_id=f"{40 + room}")

    carry_out(plan(desired(sweep)), FakeClient(answer))
    queued = [found for found in journal.runs().values() if found.state is TaskState.QUEUED]
    assert len(queued) == len(journal.runs()) == 3


def test_a_cancelled_run_that_never_started_has_ended(journal: Journal, carry_out: Any) -> None:
    """Its claim is ours: Cancelled at once. Of one that runs, only that it was asked to end is known."""
    for owner, state in (("cancelled", TaskState.CANCELLED), ("7_0@0123456789ab.1", TaskState.RUNNING)):
        mine = record(state=TaskState.RUNNING, on_remove=OnRemove.CANCEL)
        carry_out(plan(desired(), past=history(mine)), FakeClient(owner=owner))
        assert (only(journal).state, only(journal).cancel_requested_at) == (state, NOW)


def test_what_fails_stops_only_what_needs_it(journal: Journal, carry_out: Any) -> None:
    """A build that fails keeps its job waiting; the job without it is submitted."""
    wanted = desired(image(), job("in", image="torch"), job("out"))
    world = observed(seen(), engine=engine())
    made = plan(wanted, world)
    outcomes = carry_out(made, FakeClient(), world=world, builds=TransientError("BuildFailed", "step 3"))
    by_kind = {key.split(":")[0]: error for key, error in outcomes.items()}
    assert set(by_kind) == {"build", "submit"}
    assert by_kind["submit"] is None
    assert [found.run.job for found in journal.runs().values()] == ["out"]


def test_two_builds_go_on_at_once_and_no_more(journal: Journal, carry_out: Any) -> None:
    """Five images: two at a time, and in the end all of them."""
    images = [image(f"image-{number}", f"FROM {number}") for number in range(5)]
    world = observed(seen(), engine=engine())
    made = plan(desired(*images), world)
    crowded = CrowdedEngine(2)
    outcomes = carry_out(made, world=world, engine=crowded)
    assert (len(outcomes), set(outcomes.values())) == (5, {None})
    assert sorted(crowded.built) == [each.name for each in images]
    assert not crowded.crowded
    roomy = CrowdedEngine(1)
    carry_out(made, world=world, engine=roomy)
    assert roomy.crowded


def test_one_conversion_at_a_time_on_a_login_node(journal: Journal, carry_out: Any) -> None:
    """Two clusters behind one login node take turns; behind two they do not."""
    for host, crowded in (("login", False), ("elsewhere", True)):
        places = [
            cluster("hpc", containers="apptainer"),
            cluster("other", containers="apptainer", connection=Connection(host=host)),
        ]
        jobs = [job("here", image="torch"), job("there", cluster="other", image="torch")]
        wanted = desired(*places, image(), *jobs)
        world = observed(seen("hpc"), seen("other"), engine=engine(image().identity))
        conversions = CrowdedImages(1)
        clients = [FakeClient(images=conversions), FakeClient(images=conversions)]
        outcomes = carry_out(plan(wanted, world), *clients, world=world, engine=SavingEngine())
        assert set(outcomes.values()) == {None}
        assert len(conversions.converted) == 2
        assert conversions.crowded == crowded


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_long_build_goes_on_beside_the_passes(journal: Journal, carry_out: Any) -> None:
    """A pass of the service leaves it, and its end is noted all the same; nothing waits for it, not even a stop."""
    wanted, world = desired(image(), job("in", image="torch"), job("out")), observed(seen(), engine=engine())
    workshop, release = Workshop(patience_s=0.0), threading.Event()
    made = plan(wanted, world)
    [build] = [action.key for action in made.actions if action.key.startswith("build:")]
    error = TransientError("BuildFailed", "step 3")
    outcomes = carry_out(made, FakeClient(), world=world, builds=error, workshop=workshop, release=release)
    assert {key.split(":")[0]: error for key, error in outcomes.items()} == {"submit": None}
    assert workshop.underway == {build}
    assert journal.failures() == {}
    workshop.stop()
    assert workshop.underway == {build}
    release.set()
    wait_until(lambda: workshop.underway == frozenset())
    assert journal.failures()[build].reason == "BuildFailed"


def test_a_command_waits_for_a_long_build(journal: Journal, carry_out: Any) -> None:
    """Without a service there is no later pass that could see its end."""
    wanted, world = desired(image(), job("in", image="torch")), observed(seen(), engine=engine())
    release = threading.Event()
    threading.Timer(0.2, release.set).start()
    outcomes = carry_out(
        plan(wanted, world), FakeClient(), world=world, builds=StalledError("Bad", ""), release=release
    )
    assert [error and error.reason for error in outcomes.values()] == ["Bad"]


def test_one_cluster_that_fails_stops_no_other(journal: Journal, carry_out: Any) -> None:
    """An error, or even a defect, while acting on one cluster leaves the other's job submitted."""
    wanted = desired(cluster("hpc"), cluster("other"), job("here"), job("there", cluster="other"))
    world = observed(seen("hpc"), seen("other"))
    for broken in (TransientError("Unreachable", "no route"), KeyError):
        made = plan(wanted, world)
        outcomes = carry_out(made, FakeClient(lambda batch, broken=broken: broken), FakeClient(), world=world)  # type: ignore[misc]
        assert sorted(error is None for error in outcomes.values()) == [False, True]
        assert journal.runs()[run(task("there"), cluster="other").id].state is TaskState.QUEUED


def test_once_stopped_nothing_more_begins(journal: Journal, carry_out: Any) -> None:
    """A stop that is asked for before the pass acts leaves everything undone and unwritten."""
    stop = threading.Event()
    stop.set()
    assert carry_out(plan(desired(job())), stop=stop) == {}
    assert journal.runs() == {}


def test_a_success_forgets_the_failures_before(journal: Journal, carry_out: Any) -> None:
    """The backoff begins anew after a success."""
    made = plan(desired(job()))
    [submit] = submits(made)
    journal.save_failure(submit.key, failure_of(TransientError("X", ""), None, NOW - 100))
    carry_out(made)
    assert journal.failures() == {}


def test_the_wait_between_tries_doubles_up_to_half_an_hour() -> None:
    """30 s, 60 s, 120 s ... 30 min, a fifth more or less."""
    failure, waits = None, []
    for _ in range(10):
        failure = failure_of(TransientError("Unreachable", ""), failure, NOW)
        waits.append(failure.next_try - NOW)
    for wait, nominal in zip(waits, [30, 60, 120, 240, 480, 960, 1800, 1800, 1800, 1800], strict=True):
        assert 0.8 * nominal <= wait <= 1.2 * nominal
    assert failure is not None
    assert failure.count == 10


def test_an_error_says_when_it_is_worth_another_try() -> None:
    """A wait has its own time; what needs a person is tried seldom and marked."""
    waits = failure_of(WaitingError("ConversionBusy", "", retry_after_s=7), None, NOW)
    assert (waits.next_try, waits.waiting, waits.stalled) == (NOW + 7, True, False)
    stalled = failure_of(StalledError("AccountRejected", ""), None, NOW)
    assert (stalled.next_try, stalled.waiting, stalled.stalled) == (NOW + 1800, False, True)
    lasting = failure_of(StalledError("BuildKitNeeded", ""), None, NOW)
    assert (lasting.next_try, lasting.waiting, lasting.stalled) == (NOW + 86_400, False, True)


def test_what_is_logged_while_acting_carries_the_pass(journal: Journal, carry_out: Any) -> None:
    """Actions go on in threads of their own; a line of the log says there too which pass it belongs to."""
    bound: list[dict[str, Any]] = []

    def answer(batch: SubmitBatch) -> Answer:
        bound.append(structlog.contextvars.get_contextvars())
        return Submitted(end=SubmitEnd.SUBMITTED, job_id="41")

    with structlog.contextvars.bound_contextvars(pass_id="p7"):
        carry_out(plan(desired(job())), FakeClient(answer))
    assert bound == [{"pass_id": "p7"}]
