"""What holds for every plan, whatever there is to plan."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.model.conditions import ACTIVE, TERMINAL, TaskState
from controller.model.observed import ClusterObservation, Observed
from controller.model.plans import BuildImage, CancelRun, Plan, PublishImage, StageFiles, SubmitBatch
from controller.model.resources import RETRY_REASONS, Desired, Job, OnChange, OnRemove, Retries
from controller.model.runs import RunRecord
from controller.planning.absorb import absorb
from controller.planning.brakes import FREE_CANCELS
from controller.planning.history import History
from tests.effort import examples
from tests.unit.planning.values import (
    INSTANCE,
    NOW,
    cluster,
    desired,
    engine,
    file_set,
    image,
    job,
    plan,
    record,
    run,
    seen,
    task,
    unreachable,
)

QUICK = settings(max_examples=examples(60))
NAMES = ("a", "b", "c")
CLUSTERS = ("hpc", "other")
KEYS = ("", "x=1", "x=2", "x=3")
PARTS = ("queue", "events", "facts")


@st.composite
def jobs(draw: st.DrawFn, name: str, needs: tuple[str, ...]) -> Job:
    keys = draw(st.sets(st.sampled_from(KEYS), min_size=1))
    version = draw(st.integers(0, 1))
    return job(
        name,
        *(task(name, key, f"{name} {version}") for key in sorted(keys)),
        cluster=draw(st.sampled_from(CLUSTERS)),
        image=draw(st.sampled_from((None, "torch"))),
        files=draw(st.sampled_from((None, file_set()))),
        on_change=draw(st.sampled_from(OnChange)),
        on_remove=draw(st.sampled_from(OnRemove)),
        suspend=draw(st.booleans()),
        priority=draw(st.integers(-1, 1)),
        needs=tuple(sorted(draw(st.sets(st.sampled_from(needs))))) if needs else (),
        retries=Retries(max=draw(st.integers(0, 2)), on=frozenset(RETRY_REASONS), backoff_s=0),
    )


@st.composite
def wishes(draw: st.DrawFn) -> Desired:
    names = sorted(draw(st.sets(st.sampled_from(NAMES))))
    wanted = [draw(jobs(name, tuple(names[:place]))) for place, name in enumerate(names)]
    return desired(cluster("hpc"), cluster("other"), image(), *wanted)


@st.composite
def pasts(draw: st.DrawFn) -> History:
    records: dict[str, RunRecord] = {}
    for name, key, version in draw(
        st.sets(st.tuples(st.sampled_from(NAMES), st.sampled_from(KEYS), st.integers(0, 1)), max_size=8)
    ):
        made = record(
            run(task(name, key, f"{name} {version}"), attempt=1, cluster=draw(st.sampled_from(CLUSTERS))),
            state=draw(st.sampled_from(sorted(set(TaskState) - {TaskState.WAITING}))),
            reason=draw(st.sampled_from(("ExitCode", "SpecChanged", "CancelledOutside"))),
            on_remove=draw(st.sampled_from((None, *OnRemove))),
        )
        records[made.id] = made
    return History(runs=records, descends=draw(st.booleans()), approved=draw(st.booleans()))


@st.composite
def looks(draw: st.DrawFn, name: str) -> ClusterObservation:
    if draw(st.booleans()) and draw(st.booleans()):
        return unreachable(name)
    missing = draw(st.sets(st.sampled_from(PARTS), max_size=1)) if draw(st.booleans()) else set()
    return seen(name, **dict.fromkeys(missing), faults=dict.fromkeys(missing, "timed out"))


@st.composite
def worlds(draw: st.DrawFn) -> Observed:
    return Observed(engine=engine(), clusters={name: draw(looks(name)) for name in CLUSTERS})


@QUICK
@given(wishes(), worlds(), pasts(), st.randoms())
def test_the_order_of_the_input_does_not_matter(
    wanted: Desired, world: Observed, past: History, chance: object
) -> None:
    """Jobs, clusters and runs in any order make the same plan."""

    def shuffled(mapping: object) -> dict[str, object]:
        items = list(mapping.items())  # type: ignore[attr-defined]
        chance.shuffle(items)  # type: ignore[attr-defined]
        return dict(items)

    other = replace(wanted, jobs=shuffled(wanted.jobs), clusters=shuffled(wanted.clusters))  # type: ignore[arg-type]
    there = replace(world, clusters=shuffled(world.clusters))  # type: ignore[arg-type]
    then = replace(past, runs=shuffled(past.runs))  # type: ignore[arg-type]
    assert plan(wanted, world, past) == plan(other, there, then)


@QUICK
@given(wishes(), worlds(), pasts())
def test_unknown_never_acts(wanted: Desired, world: Observed, past: History) -> None:
    """Where a cluster was not seen whole nothing is submitted, and where it was not reached nothing at all is done."""
    whole = {n for n, c in world.clusters.items() if c.reachable and None not in (c.queue, c.events, c.facts)}
    reached = {name for name, c in world.clusters.items() if c.reachable}
    for action in plan(wanted, world, past).actions:
        match action:
            case SubmitBatch() | StageFiles() | PublishImage():
                assert action.cluster.name in whole
            case CancelRun():
                assert action.record.run.cluster in reached


@QUICK
@given(worlds(), pasts())
def test_an_end_needs_a_whole_look(world: Observed, past: History) -> None:
    """Absorbing a look that is missing or partial ends no run; and what has ended stays as it is."""
    for name, look in world.clusters.items():
        after = absorb(past.runs.values(), look, instance=INSTANCE, now=NOW)
        for key, before in past.runs.items():
            if before.run.cluster != name:
                assert key not in after
            elif before.state in TERMINAL:
                assert after[key] == before
            elif not look.reachable or look.events is None or look.queue is None:
                assert after[key].state in ACTIVE


@QUICK
@given(wishes(), worlds(), pasts())
def test_nobody_elses_and_nothing_wanted_is_cancelled(wanted: Desired, world: Observed, past: History) -> None:
    """A cancellation is of an active run that the commit no longer asks for, and never many without a word."""
    made = plan(wanted, world, past)
    cancels = [action for action in made.actions if isinstance(action, CancelRun)]
    asked = {(t.job, t.key, t.digest) for j in wanted.jobs.values() for t in j.tasks}
    for cancel in cancels:
        mine = cancel.record.run
        assert cancel.record.state in ACTIVE
        assert (mine.job, mine.key, mine.digest) not in asked
    if not past.approved:
        assert past.descends or not cancels
        assert len(cancels) <= FREE_CANCELS or len(cancels) <= len(past.active()) / 5


@QUICK
@given(wishes(), worlds(), pasts())
def test_a_task_is_submitted_once_and_only_while_it_does_not_run(
    wanted: Desired, world: Observed, past: History
) -> None:
    """No two runs of one task in a plan, none beside an active run of its digest, none of what has succeeded."""
    made = plan(wanted, world, past)
    planned = [p.run for a in made.actions if isinstance(a, SubmitBatch) for p in a.runs]
    places = [(r.job, r.key) for r in planned]
    assert len(places) == len(set(places))
    busy = {
        (r.run.job, r.run.key, r.run.digest)
        for r in past.runs.values()
        if r.state in ACTIVE or r.state is TaskState.SUCCEEDED
    }
    assert not busy & {(r.job, r.key, r.digest) for r in planned}
    assert not {r.id for r in planned} & set(past.runs)


@QUICK
@given(wishes(), worlds(), pasts())
def test_needs_name_actions_of_the_same_plan(wanted: Desired, world: Observed, past: History) -> None:
    """Whatever an action needs is in the plan too, and each action is there once."""
    made = plan(wanted, world, past)
    keys = [action.key for action in made.actions]
    assert len(keys) == len(set(keys))
    assert {need for needs in made.needs.values() for need in needs} <= set(keys)


def carried_out(made: Plan, world: Observed, past: History) -> tuple[Observed, History]:
    """The world after everything in a plan has worked, and every active run has run to its end."""
    clusters, images, runs = dict(world.clusters), set(world.engine.images or ()) if world.engine else set(), {}
    for key, before in past.runs.items():
        runs[key] = replace(before, state=TaskState.SUCCEEDED) if before.state in ACTIVE else before
    for action in made.actions:
        match action:
            case BuildImage():
                images.add(action.image.identity)
            case PublishImage():
                there = clusters[action.cluster.name]
                clusters[action.cluster.name] = replace(
                    there, images={**(there.images or {}), action.image.identity: 1}
                )
            case StageFiles():
                there = clusters[action.cluster.name]
                clusters[action.cluster.name] = replace(there, files=(there.files or frozenset()) | {action.files.tree})
            case CancelRun():
                runs[action.record.id] = replace(action.record, state=TaskState.CANCELLED, reason=action.reason)
            case SubmitBatch():
                for planned in action.runs:
                    made_run = record(planned.run, state=TaskState.SUCCEEDED, batch=action.batch)
                    runs[made_run.id] = made_run
    return replace(world, engine=engine(*images), clusters=clusters), replace(past, runs=runs)


@QUICK
@given(wishes(), pasts())
def test_plan_after_apply_is_empty(wanted: Desired, past: History) -> None:
    """When everything works, a plan carried out leaves nothing to plan: after as many passes as needs are deep."""
    world = Observed(engine=engine(), clusters={name: seen(name) for name in CLUSTERS})
    for _ in range(len(NAMES) + 3):
        world, past = carried_out(plan(wanted, world, past), world, past)
    made = plan(wanted, world, past)
    assert made.actions == ()
    statuses = [t for status in made.statuses if status.kind == "Job" for t in status.tasks]
    assert len(statuses) == sum(len(j.tasks) for j in wanted.jobs.values())
    for status in statuses:
        held_up = ("Suspended", "WaitingForNeeds", "NeedFailed", "NeedCancelled")
        assert status.state in TERMINAL or (status.state is TaskState.WAITING and status.reason in held_up)
