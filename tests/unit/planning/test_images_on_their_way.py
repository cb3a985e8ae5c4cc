"""By which way an image gets to a cluster, and what is done while a job converts it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.model.digests import digest_of
from controller.model.images import Image, RegistryImage, SifFile
from controller.model.observed import Conversion, JobRecord, JobState, SifSeen
from controller.model.plans import Carrier, Place, Plan, PublishImage, Route
from controller.model.runs import batch_prefix, conversion_tag
from controller.planning.describe import steps_of
from controller.planning.routes import route_of
from tests.unit.planning.values import (
    INSTANCE,
    cluster,
    desired,
    engine,
    facts,
    image,
    job,
    no_engine,
    observed,
    plan,
    seen,
    source,
)

TAG = conversion_tag(INSTANCE, image().identity)


def from_registry(**changes: Any) -> Image:
    """An image that a registry has."""
    fields: dict[str, Any] = {"reference": "ghcr.io/lab/torch:1", "digest": f"sha256:{'d' * 64}"}
    return Image(name="torch", source=source(), identity=digest_of("there"), origin=RegistryImage(**(fields | changes)))


def ready(path: str = "$SCRATCH/x.sif") -> Image:
    """A SIF that is on the cluster."""
    return Image(name="torch", source=source(), identity=digest_of(path), origin=SifFile(path=path))


def boxed(**changes: Any) -> Any:
    """The cluster, with containers."""
    return cluster(containers="apptainer", **changes)


def waits(made: Plan) -> tuple[str, str, str]:
    """State, reason and message of the only task."""
    [status] = [status for status in made.statuses if status.kind == "Job"]
    [task] = status.tasks
    return task.state, task.reason, task.message


def kinds(made: Plan) -> list[str]:
    return [step.kind for step in steps_of(made)]


def conversion(**changes: Any) -> Conversion:
    """A conversion in the hands of job 9."""
    fields: dict[str, Any] = {"identity": image().identity, "instance": INSTANCE, "job_id": "9", "age_s": 60.0}
    return Conversion(**(fields | changes))


def with_conversion(found: Conversion | None, *queue: JobRecord) -> Any:
    """The cluster with a conversion, as it was seen."""
    return seen(conversions={found.identity: found} if found else {}, queue=queue)


def line(state: JobState = JobState.PENDING, **changes: Any) -> JobRecord:
    """The conversion's job in the queue."""
    fields: dict[str, Any] = {"job_id": "9", "index": None, "tag": TAG, "state": state, "word": state.name}
    return JobRecord(**(fields | changes))


@pytest.mark.parametrize(
    ("made_from", "carrier"),
    [
        (image(), Carrier.ARCHIVE),
        (replace(image(), registry="r.example/lab/x"), Carrier.PUSHED),
        (from_registry(), Carrier.PULLED),
        (from_registry(on_engine=True), Carrier.ARCHIVE),
    ],
)
@pytest.mark.parametrize("place", list(Place))
def test_every_route(made_from: Image, carrier: Carrier, place: Place) -> None:
    assert route_of(made_from, boxed(convert_on=str(place))) == Route(carrier=carrier, place=place)


def test_a_sif_that_is_there_has_no_way_to_go() -> None:
    assert route_of(ready(), boxed()) is None


@pytest.mark.parametrize(
    ("place", "words"),
    [("login", "on the log-in node"), ("job", "in a job"), ("controller", "to SIF here")],
)
def test_the_plan_says_by_which_way(place: str, words: str) -> None:
    wanted = desired(boxed(convert_on=place), image(), job(image="torch"))
    steps = steps_of(plan(wanted, observed(with_conversion(None), engine=engine())))
    [publish] = [step for step in steps if step.kind == "publish"]
    assert words in publish.what
    [from_there] = steps_of(
        plan(
            desired(boxed(convert_on=place), from_registry(), job(image="torch")),
            observed(with_conversion(None), engine=no_engine()),
        )
    )[:1]
    assert from_there.kind == "publish"


def test_what_a_job_converts_is_waited_for() -> None:
    """The run is no part of the plan that begins it: only a later look can say that the SIF is there."""
    wanted = desired(boxed(convert_on="job"), image(), job(image="torch"))
    made = plan(wanted, observed(with_conversion(None), engine=engine()))
    assert kinds(made) == ["build", "publish"]
    assert waits(made)[:2] == ("Waiting", "Converting")
    # No engine is asked again once it is in the job's hands.
    under_way = plan(wanted, observed(with_conversion(conversion(), line(reason="Priority")), engine=no_engine()))
    assert kinds(under_way) == []
    assert waits(under_way)[1] == "Converting"
    assert "job 9, PENDING (Priority)" in waits(under_way)[2]
    there = seen(images={image().identity: 1}, conversions={}, queue=())
    assert kinds(plan(wanted, observed(there, engine=no_engine()))) == ["submit"]


@pytest.mark.parametrize(
    ("found", "queue", "over"),
    [
        (conversion(failure="ConversionFailed no such layer"), [line(JobState.RUNNING)], "9"),
        (conversion(), [line(JobState.TIMEOUT)], "9"),
        (conversion(), [], "9"),
        (conversion(job_id=None, age_s=500.0), [], "-"),
        (conversion(age_s=1.0), [], None),
        (conversion(job_id=None), [], None),
        (conversion(job_id=None, age_s=500.0), [line(job_id="12")], None),
        (conversion(instance="other"), [line(tag=conversion_tag("other", image().identity))], None),
        # The number alone is somebody else's job by now.
        (conversion(), [line(tag="someone-else")], "9"),
    ],
)
def test_a_conversion_that_is_over_is_begun_anew(found: Conversion, queue: list[JobRecord], over: str | None) -> None:
    """None: it goes on, as far as anybody can tell."""
    wanted = desired(boxed(convert_on="job"), image(), job(image="torch"))
    made = plan(wanted, observed(with_conversion(found, *queue), engine=engine(image().identity)))
    publishes = [action for action in made.actions if isinstance(action, PublishImage)]
    assert [action.over for action in publishes] == ([] if over is None else [over])
    assert waits(made)[1] == "Converting"


def test_a_conversion_is_no_run_of_ours() -> None:
    """Its name cannot be taken for that of a batch, whatever the instance is called."""
    assert batch_prefix(INSTANCE, TAG) is None
    assert batch_prefix(f"{INSTANCE}-sif", TAG) is None


def test_without_a_container_program_nothing_is_built() -> None:
    named = facts(container_version="", container_modules="apptainer/1.3")
    for place, missing in (("login", True), ("controller", True), ("job", False)):
        wanted = desired(boxed(convert_on=place), image(), job(image="torch"))
        there = seen(facts=named, conversions={}, queue=())
        made = plan(wanted, observed(there, engine=engine()))
        assert (waits(made)[1] == "ContainerProgramMissing") is missing
        assert (kinds(made) == []) is missing
        if missing:
            assert "apptainer/1.3" in waits(made)[2]


@pytest.mark.parametrize(
    ("sifs", "reason"),
    [
        ({"$SCRATCH/x.sif": SifSeen(path="/s/x.sif", readable=True)}, "Planned"),
        ({"$SCRATCH/x.sif": SifSeen(path="/s/x.sif", readable=False)}, "ImageMissing"),
        (None, "ClusterUnknown"),
    ],
)
def test_a_ready_sif(sifs: dict[str, SifSeen] | None, reason: str) -> None:
    made = plan(desired(boxed(), ready(), job(image="torch")), observed(seen(sifs=sifs)))
    assert waits(made)[1] == reason
    assert kinds(made) == (["submit"] if reason == "Planned" else [])
    if reason == "ImageMissing":
        assert "/s/x.sif" in waits(made)[2]
