"""What is read back from the status branch where this controller may know less."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from controller.model.conditions import Condition, ResourceStatus, TaskState, TaskStatus, Truth
from controller.reconcile.memory import Memory
from controller.reconcile.schedules import Clockwork, with_ticks
from controller.reconcile.source import with_last_good
from controller.repository.statusbranch import StatusFiles
from controller.specs.compile import load
from controller.store.journal import Standing
from tests.unit.planning.values import NOW, desired, history, job, observed, plan, record, unreachable
from tests.unit.specs.trees import GOOD, MemoryTree

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


def removed(reason: str, path: str) -> ResourceStatus:
    """A status as it is published of a job whose spec is gone, or cannot be read."""
    ready = Condition(type="Ready", status=Truth.FALSE, reason=reason, message="", changed="")
    return ResourceStatus(kind="Job", name="train", digest="d", commit="b", path=path, conditions=(ready,))


@pytest.mark.parametrize(
    ("status", "own", "expected"),
    [
        (removed("SpecInvalid", "j.yaml"), None, "j.yaml"),
        (removed("Removed", "j.yaml"), None, ""),
        (removed("SpecInvalid", ""), None, ""),
        (removed("Removed", "j.yaml"), Standing(path="k.yaml", commit="later"), "k.yaml"),
        (removed("Removed", "j.yaml"), Standing(path="k.yaml", commit="earlier"), ""),
        (removed("SpecInvalid", "j.yaml"), Standing(path="k.yaml", commit="earlier"), "k.yaml"),
        (removed("SpecInvalid", "j.yaml"), Standing(path="", commit="earlier"), ""),
    ],
)
def test_what_was_removed_is_told_from_what_cannot_be_read(
    status: ResourceStatus, own: Standing | None, expected: str
) -> None:
    """The first has no last good version; the journal knows better, but for an old backup of it."""
    journal = {} if own is None else {"Job/train": own}
    told = memory(status)
    standings, older = told.laid_under(journal, lambda first, _: first == "earlier")
    assert standings["Job/train"].path == expected

    there = GOOD.replace("name: good", "name: train").replace("cluster: good", "cluster: train")
    name = frozenset({"Job/train"})
    read = {"cluster.yaml": there.partition("---")[0], "j.yaml": there.partition("---")[2]}
    now = load(MemoryTree({"cluster.yaml": read["cluster.yaml"]}, commit="a" * 40))
    wanted = with_last_good(
        replace(now, broken=name, broken_paths=frozenset({"j.yaml", "k.yaml"})),
        standings,
        lambda commit: MemoryTree(read, commit=commit),
        lambda sources: {},
        active=(),
        older=older,
    )
    assert wanted.stale == (name if expected else frozenset())
