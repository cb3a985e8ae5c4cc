"""Everything may fail at any time, in any order: no run executes twice, none is lost, no end is made up."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from controller.model.conditions import ACTIVE, TERMINAL, ResourceStatus, TaskState, TaskStatus
from controller.model.observed import ENDED, EventKind, JobState
from controller.model.resources import RETRY_REASONS, Desired, Job, Limits, OnRemove, Retries, Task
from controller.model.runs import RunRecord
from tests.property.planning.memory import MemoryJournal, run_pass
from tests.property.planning.model_cluster import (
    CANCEL_FAULTS,
    QUEUE_FAULTS,
    SUBMIT_FAULTS,
    Crash,
    ModelCluster,
    ModelJob,
)
from tests.unit.planning.values import cluster, desired, job, task

KEYS = ("a", "b", "c", "d", "e")
CALM_PASSES = 80


class Machine(RuleBasedStateMachine):
    """Hypothesis chooses what happens; the machine checks what must hold at all times."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = ModelCluster()
        self.journal = MemoryJournal(self.cluster)
        self.versions: dict[str, int] = {}
        self.limit = 600
        self.published: dict[str, ResourceStatus] = {}
        self.forgot_cancellations = False
        self.by_hand: set[str] = set()

    # what people do

    @initialize(keys=st.sets(st.sampled_from(KEYS), min_size=1), limit=st.sampled_from((1, 2, 600)))
    def first_commit(self, keys: set[str], limit: int) -> None:
        self.versions = dict.fromkeys(sorted(keys), 0)
        self.limit = limit

    @rule(key=st.sampled_from(KEYS), version=st.integers(0, 2))
    def change(self, key: str, version: int) -> None:
        self.versions[key] = version

    @rule(key=st.sampled_from(KEYS))
    def remove(self, key: str) -> None:
        self.versions.pop(key, None)

    @rule()
    def remove_all(self) -> None:
        self.versions.clear()

    # what the controller does

    @rule(
        look_faults=st.frozensets(st.sampled_from(QUEUE_FAULTS), max_size=2) | st.just(frozenset[str]()),
        submit_fault=st.none() | st.sampled_from(SUBMIT_FAULTS),
        cancel_fault=st.none() | st.sampled_from(CANCEL_FAULTS),
        crash_in=st.none() | st.integers(0, 12),
    )
    def make_pass(
        self,
        look_faults: frozenset[str],
        submit_fault: str | None,
        cancel_fault: str | None,
        crash_in: int | None,
    ) -> None:
        self._pass(look_faults, submit_fault, cancel_fault, crash_in)

    @rule(times=st.integers(1, 4))
    def make_good_passes(self, times: int) -> None:
        for _ in range(times):
            self._pass(frozenset(), None, None, None)
            self.cluster.pass_time(20)

    @rule()
    def lose_journal(self) -> None:
        self.forgot_cancellations |= any(
            record.state is TaskState.CANCELLED or record.cancel_requested_at is not None
            for record in self.journal.records.values()
        )
        self.journal = MemoryJournal(self.cluster)
        # Of what was tried in the last minute the cluster tells one submission for each batch that it has.
        tried = {batch: (at, batch) for at, batch in self.cluster.asked if batch in self.cluster.batches}
        self.cluster.asked = list(tried.values())

    # what the cluster does

    @rule(seconds=st.sampled_from((1.0, 10.0, 60.0, 130.0, 400.0)))
    def wait(self, seconds: float) -> None:
        self.cluster.pass_time(seconds)

    @rule()
    def late_scripts_end(self) -> None:
        self.cluster.run_late_scripts()

    @precondition(lambda self: self._in_state(JobState.PENDING))
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        self.cluster.start(data.draw(st.sampled_from(self._in_state(JobState.PENDING))))

    @precondition(lambda self: self.cluster.executing())
    @rule(data=st.data(), code=st.sampled_from((0, 0, 0, 1)))
    def finish(self, data: st.DataObject, code: int) -> None:
        self.cluster.finish(data.draw(st.sampled_from(self.cluster.executing())), code)

    @precondition(lambda self: self.cluster.executing())
    @rule(data=st.data(), requeued=st.booleans())
    def lose_node(self, data: st.DataObject, requeued: bool) -> None:
        self.cluster.lose_node(data.draw(st.sampled_from(self.cluster.executing())), requeued=requeued)

    @precondition(lambda self: self._said_their_end())
    @rule(data=st.data(), starts=st.booleans())
    def requeue_after_the_end(self, data: st.DataObject, starts: bool) -> None:
        job = data.draw(st.sampled_from(self._said_their_end()))
        run, ran = self.cluster.run_of(job), set(self.cluster.executed_by[self.cluster.run_of(job)])
        first = self.cluster.runs[run].events[EventKind.EXITED]
        self.cluster.requeue_ended(job)
        if starts:
            self.cluster.start(job)
            assert self.cluster.executed_by[run] == ran, "started again after its end it executed something"
        assert self.cluster.runs[run].events[EventKind.EXITED] == first
        self._pass(frozenset(), None, None, None)
        record = self.journal.records.get(run)
        if record is not None:
            assert record.state in TERMINAL, f"{run} has ended, and is said to be {record.state}"

    @precondition(lambda self: self.cluster.executing())
    @rule(data=st.data())
    def preempt(self, data: st.DataObject) -> None:
        self.cluster.preempt(data.draw(st.sampled_from(self.cluster.executing())))

    @precondition(lambda self: self.cluster.batches)
    @rule(data=st.data())
    def submit_by_hand(self, data: st.DataObject) -> None:
        # Cancelled by hand and started again by hand, past the controller: that one may well be surprised.
        self.cluster.submit_by_hand(data.draw(st.sampled_from(sorted(self.cluster.batches))), but=self.by_hand)

    @precondition(lambda self: self.cluster.alive())
    @rule(data=st.data())
    def scancel_by_hand(self, data: st.DataObject) -> None:
        victim = data.draw(st.sampled_from(self.cluster.alive()))
        self.by_hand.add(self.cluster.run_of(victim))
        self.cluster.scancel_by_hand(victim)

    # what must hold

    @invariant()
    def no_run_executes_twice(self) -> None:
        twice = {run: jobs for run, jobs in self.cluster.executed_by.items() if len(jobs) > 1}
        assert not twice, f"commands started by more than one job: {twice}"

    @invariant()
    def one_live_run_for_each_digest(self) -> None:
        live = [self._digest(job) for job in self.cluster.executing()]
        assert len(live) == len(set(live)), f"two runs of one digest execute: {live}"

    @invariant()
    def no_minute_has_more_submissions_than_the_limit(self) -> None:
        times = sorted(at for at, _ in self.cluster.asked)
        for first, last in zip(times, times[self.limit :], strict=False):
            assert last - first >= 60, f"{self.limit + 1} submissions in {last - first} s: {times}"

    @invariant()
    def what_is_said_to_have_ended_has(self) -> None:
        assert not self.journal.taken_back
        executing = {self.cluster.run_of(job) for job in self.cluster.executing()}
        for record in self.journal.records.values():
            if record.state not in TERMINAL:
                continue
            assert record.id not in executing, f"{record.id} is said to be {record.state}, and executes"
            ended = self.cluster.runs[record.id].events.get(EventKind.EXITED)
            succeeded = ended is not None and ended.exit_code == 0
            assert succeeded == (record.state is TaskState.SUCCEEDED), f"{record.id}: {record.state}, but {ended}"

    def teardown(self) -> None:
        """All faults stop: whatever is asked for is then done."""
        for _ in range(CALM_PASSES):
            self.cluster.run_late_scripts()
            plan = self._pass(frozenset(), None, None, None)
            for pending in self._in_state(JobState.PENDING):
                self.cluster.start(pending)
                self._check()
            plan = self._pass(frozenset(), None, None, None) or plan
            for running in self.cluster.executing():
                self.cluster.finish(running, 0)
                self._check()
            self.cluster.pass_time(1900)
            if not self.cluster.alive() and self._settled() and plan is not None and not plan.actions:
                return
        open_tasks = [str(self._latest(key)) for key in self.versions]
        raise AssertionError(f"not everything came to its end: {open_tasks}")

    def _check(self) -> None:
        self.no_run_executes_twice()
        self.one_live_run_for_each_digest()
        self.what_is_said_to_have_ended_has()

    def _settled(self) -> bool:
        active = [record for record in self.journal.records.values() if record.state in ACTIVE]
        return not active and all(self._is_done(key) for key in self.versions)

    def _is_done(self, key: str) -> bool:
        record = self._latest(key)
        if record is None:
            return False
        # A cancellation by hand is a person's word, and so seems one of ours once the journal that knew of it is lost.
        stopped = record.id in self.by_hand or self.forgot_cancellations
        return record.state is TaskState.SUCCEEDED or (
            record.state is TaskState.CANCELLED and record.reason == "CancelledOutside" and stopped
        )

    def _pass(
        self, look_faults: frozenset[str], submit_fault: str | None, cancel_fault: str | None, crash_in: int | None
    ) -> object:
        model = self.cluster
        model.look_faults, model.submit_fault, model.cancel_fault = look_faults, submit_fault, cancel_fault
        model.crash_in, model.submitted, model.cancelled = crash_in, [], []
        before = {record.id: record for record in self.journal.records.values()}
        told = {each: task for each, task in self._told().items() if task.state in TERMINAL}
        try:
            plan = run_pass(self._desired(), model, self.journal, self.published)
            self._nothing_is_unsaid(told)
            return plan
        except Crash:
            return None
        finally:
            model.crash_in = None
            self._unknown_never_acts(look_faults, before)

    def _unknown_never_acts(self, faults: frozenset[str], before: dict[str, RunRecord]) -> None:
        acted = [*self.cluster.submitted, *self.cluster.cancelled]
        if "unreachable" in faults:
            assert not acted, f"acted on a cluster that could not be reached: {acted}"
            ended = [r.id for r in self.journal.records.values() if r.state in TERMINAL and before.get(r.id) != r]
            assert not ended, f"ended without a look: {ended}"
        if faults & {"queue", "spool", "runs"}:
            assert not self.cluster.submitted, f"submitted with {faults}: {self.cluster.submitted}"

    def _told(self) -> dict[tuple[str, str], TaskStatus]:
        return {(task.id, task.digest): task for status in self.published.values() for task in status.tasks}

    def _nothing_is_unsaid(self, before: dict[tuple[str, str], TaskStatus]) -> None:
        after = self._told()
        wanted = {task.digest for job in self._desired().jobs.values() for task in job.tasks}
        for place, was in before.items():
            now = after.get(place)
            if now is None or was.digest not in wanted:
                continue
            if was.state is not TaskState.SUCCEEDED and now.state is TaskState.WAITING:
                assert (now.attempt, now.job_id, now.run_dir) == (was.attempt, was.job_id, was.run_dir)
            elif was.state is TaskState.SUCCEEDED or now.attempt <= was.attempt:
                assert now == was, f"published was {was}, now {now}"

    def _desired(self) -> Desired:
        tasks = self._tasks()
        there = cluster(limits=Limits(submit_per_minute=self.limit))
        return desired(there, self._job(*tasks)) if tasks else desired(there)

    def _tasks(self) -> tuple[Task, ...]:
        return tuple(task("train", key, f"work {key} {self.versions[key]}") for key in sorted(self.versions))

    def _job(self, *tasks: object) -> Job:
        retries = Retries(max=1000, on=frozenset(RETRY_REASONS), backoff_s=0)
        return job("train", *tasks, retries=retries, on_remove=OnRemove.CANCEL)  # type: ignore[arg-type]

    def _latest(self, key: str) -> RunRecord | None:
        digest = task("train", key, f"work {key} {self.versions[key]}").digest
        runs = [r for r in self.journal.records.values() if (r.run.key, r.run.digest) == (key, digest)]
        return max(runs, key=lambda record: record.run.attempt, default=None)

    def _digest(self, job: ModelJob) -> str:
        return self.cluster.batches[job.batch].digests[job.index]

    def _said_their_end(self) -> list[ModelJob]:
        """Jobs that have ended, and whose run's own word of it is there."""
        return [
            job
            for job in self.cluster.jobs
            if job.state in ENDED and EventKind.EXITED in self.cluster.runs[self.cluster.run_of(job)].events
        ]

    def _in_state(self, state: JobState) -> list[ModelJob]:
        return [job for job in self.cluster.jobs if job.state is state]


QUICK = settings(max_examples=60, stateful_step_count=25, suppress_health_check=list(HealthCheck), derandomize=True)
LONG = settings(QUICK, max_examples=3000, stateful_step_count=60, derandomize=False)


def test_nothing_executes_twice_and_nothing_is_lost() -> None:
    """Whatever fails, in whatever order: one execution a run, one live run a digest, and all succeed at last."""
    run_state_machine_as_test(Machine, settings=QUICK)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_nothing_executes_twice_and_nothing_is_lost_in_the_long_run() -> None:
    """The same, for as many and as long stories as there is time for."""
    run_state_machine_as_test(Machine, settings=LONG)
