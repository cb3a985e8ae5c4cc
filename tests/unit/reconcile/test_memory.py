"""What is read back from the status branch where this controller may know less."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from controller.model.conditions import Condition, ResourceStatus, TaskState, TaskStatus, Truth
from controller.reconcile.memory import Memory
from controller.reconcile.schedules import Clockwork, with_ticks
from controller.repository.statusbranch import StatusFiles
from controller.store.journal import Standing
from tests.unit.planning.values import NOW, desired, history, job, observed, plan, record, unreachable

AT = datetime(2026, 11, 26, 3, 0, tzinfo=UTC).timestamp()
NIGHTLY = desired(job("nightly", schedule="0 3 * * *"))


def memory(*statuses: ResourceStatus) -> Memory:
    """What a branch with these statuses says."""
    return Memory(
        files=StatusFiles(None), statuses={status.key: status for status in statuses}, spec_commit="n" * 40, at=NOW
    )


def test_a_scheduled_job_keeps_the_time_it_stood_for() -> None:
    """Without its journal a controller knows the tick again, and so the digest that has succeeded at it."""
    wanted, _ = with_ticks(NIGHTLY, {"nightly": Clockwork(schedule="0 3 * * *", since=0, tick=AT)}, {}, now=AT + 60)
    done = record(wanted.jobs["nightly"].tasks[0], state=TaskState.SUCCEEDED, reason="Completed")
    (status,) = [each for each in plan(wanted, past=history(done)).statuses if each.kind == "Job"]
    assert status.details == {"scheduled_for.nightly": "2026-11-26T03:00Z"}

    told = memory(status)
    again, _ = with_ticks(NIGHTLY, told.clockworks(NIGHTLY), {}, now=AT + 60)
    assert again == wanted
    made = plan(again, observed(unreachable()), history(published=told.statuses))
    (after,) = [each for each in made.statuses if each.kind == "Job"]
    assert after.tasks == status.tasks
    assert made.actions == ()
    later, _ = with_ticks(NIGHTLY, told.clockworks(NIGHTLY), {}, now=AT + 86400)
    assert later.jobs["nightly"].tick == "2026-11-27T03:00Z"


def test_where_resources_stood_and_when_clusters_were_seen() -> None:
    """A cluster that its jobs' commit held is found though it is told of no more; one that answered was seen then."""
    seen = Condition(type="Ready", status=Truth.TRUE, reason="Reachable", message="", changed="")
    lost = replace(seen, status=Truth.UNKNOWN)
    runs = TaskStatus(id="train", state=TaskState.RUNNING, attempt=1, digest="d")
    told = memory(
        ResourceStatus(kind="Cluster", name="good", digest="", commit="a", path="c.yaml", conditions=(seen,)),
        ResourceStatus(
            kind="Cluster",
            name="lost",
            digest="",
            commit="a",
            conditions=(lost,),
            details={"last_seen": "1970-01-01T00:01:40Z"},
        ),
        ResourceStatus(kind="Job", name="train", digest="d", commit="b", path="j.yaml", cluster="old", tasks=(runs,)),
    )
    newest, older = told.standings()
    assert newest["Job/train"] == Standing(path="j.yaml", commit="n" * 40)
    assert older["Job/train"] == Standing(path="j.yaml", commit="b")
    assert older["Cluster/old"] == Standing(path="", commit="b")
    assert told.active_clusters() == {"old"}
    assert told.last_seen() == {"good": NOW, "lost": 100.0}
