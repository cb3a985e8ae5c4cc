"""What a person has to look at after a pass: what could not be seen, and what has failed or is Stalled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controller.model.conditions import TERMINAL, ResourceStatus, TaskState, Truth
from controller.model.observed import Observed
from controller.model.resources import Desired
from controller.model.sites import cluster_in, is_former
from controller.planning.readiness import cluster_fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing: its name, as commands take it, its reason and its message. ``failed``: a task that has failed."""

    name: str
    reason: str
    message: str
    failed: bool = False

    def __str__(self) -> str:
        first = self.message.strip().partition("\n")[0]
        return f"{self.name}: {self.reason}" + (f": {first}" if first and first != self.reason else "")


def unseen_in(desired: Desired, observed: Observed) -> list[Notice]:
    """Return the places that could not be seen as a pass needs them: clusters, then the engine where one is needed."""
    found = []
    for name, cluster in sorted({**desired.retired, **desired.clusters}.items()):
        seen = observed.clusters.get(name)
        fault = cluster_fault(cluster, seen)
        own = desired.clusters.get(cluster_in(name))
        if is_former(name) and own is not None and cluster_fault(own, observed.clusters.get(own.name)) is not None:
            # What is in doubt is said of the cluster.
            continue
        if fault is not None:
            found.append(Notice(name=f"cluster {name}", reason=fault.reason, message=fault.message))
        elif seen is not None and (seen.images is None or seen.files is None):
            said = "; ".join(f"{part}: {why}" for part, why in sorted(seen.faults.items()))
            message = f"cluster {name}: its images or files could not be listed ({said})"
            found.append(Notice(name=f"cluster {name}", reason="ClusterUnknown", message=message))
    engine = observed.engine
    if engine is not None and engine.images is None:
        found.append(Notice(name="engine", reason=engine.error_reason or "EngineUnknown", message=engine.error))
    return found


def wrong_in(statuses: Sequence[ResourceStatus]) -> list[Notice]:
    """Return the tasks that have failed, and the resources that are Stalled for another reason."""
    found = []
    for status in statuses:
        failed = [task for task in status.tasks if task.state is TaskState.FAILED]
        found += [Notice(name=task.id, reason=task.reason, message=task.message, failed=True) for task in failed]
        stalled = next((c for c in status.conditions if c.type == "Stalled" and c.status is Truth.TRUE), None)
        if stalled is not None and not failed:
            name = status.name if status.tasks else f"{status.kind.lower()} {status.name}"
            found.append(Notice(name=name, reason=stalled.reason, message=stalled.message))
    return found


def in_a_line(wrong: Sequence[Notice], statuses: Sequence[ResourceStatus]) -> str:
    """Return what is wrong in one line: how much of how much, the first of it, and where to look."""
    total = sum(len(status.tasks) for status in statuses)
    failed = sum(notice.failed for notice in wrong)
    counts = [f"{failed} of {total} failed"] if failed else []
    counts += [f"{len(wrong) - failed} Stalled"] if len(wrong) > failed else []
    # What needs a failed task fails for it: the cause is said rather than what follows from it.
    first = min(wrong, key=lambda notice: (not notice.failed, notice.reason == "NeedFailed"))
    name = first.name.rpartition(" ")[2]
    return f"{', '.join(counts)}: {first}; see: controller status {name}"


def open_in(statuses: Sequence[ResourceStatus]) -> dict[str, int]:
    """Return state -> number of the tasks that have not ended."""
    counts: dict[str, int] = {}
    for status in statuses:
        for task in status.tasks:
            if task.state not in TERMINAL:
                counts[str(task.state)] = counts.get(str(task.state), 0) + 1
    return counts
