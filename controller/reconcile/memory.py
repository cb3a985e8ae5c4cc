"""What the status branch remembers: read back where this controller may know less than it says.

The branch is not read where it holds just what this controller wrote last. What counts is decided in
``planning/recall.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from controller.model.conditions import ACTIVE, ResourceStatus, Truth
from controller.model.errors import ControllerError
from controller.model.resources import Desired
from controller.planning.tasks import TICK_OF, is_removed
from controller.planning.verdicts import seconds_of
from controller.reconcile.schedules import Clockwork
from controller.repository.mirror import Mirror
from controller.repository.report import name_in, path_of, read_status
from controller.repository.statusbranch import StatusBranch, StatusFiles
from controller.store.journal import Journal, Standing

TIP = "status_tip"
"""The journal's fact that names the commit of the branch of which all is known."""
_KINDS = {kind.lower(): kind for kind in ("Cluster", "Image", "Job", "Workflow")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The branch's files, and the statuses in them by ``Kind/name`` as far as they are needed.

    ``spec_commit`` is the commit of the specs that they speak of, ``at`` when they were written.
    """

    files: StatusFiles
    statuses: Mapping[str, ResourceStatus] = field(default_factory=dict)
    spec_commit: str = ""
    at: float | None = None

    def standings(self) -> tuple[dict[str, Standing], dict[str, Standing]]:
        """Return where each resource may have been read last without error, and where else.

        First in the commit that the branch speaks of; if it was broken there already, in the one that its status names.
        What was removed stays on the branch while its runs end: it is marked.
        """
        paths = {key: "" if is_removed(each) else each.path for key, each in self.statuses.items()}
        newest = {key: Standing(path=path, commit=self.spec_commit) for key, path in paths.items()}
        older = {key: Standing(path=path, commit=self.statuses[key].commit) for key, path in paths.items()}
        for status in self._with_active_runs():
            # A cluster that went with its jobs is no longer shown, but existed when they did.
            older.setdefault(f"Cluster/{status.cluster}", Standing(path="", commit=status.commit))
        return newest, older

    def laid_under(
        self, own: Mapping[str, Standing], is_ancestor: Callable[[str, str], bool]
    ) -> tuple[dict[str, Standing], dict[str, Standing]]:
        """Return ``standings`` with those of the journal, which know better, over the first.

        But not where the branch tells of a removal after the commit in which the journal has it: an old backup.
        """
        newest, older = self.standings()
        later = {
            key
            for key, standing in newest.items()
            if standing.is_removed
            and key in own
            and own[key].commit != standing.commit
            and is_ancestor(own[key].commit, standing.commit)
        }
        return {**newest, **{key: standing for key, standing in own.items() if key not in later}}, older

    def active_clusters(self) -> set[str]:
        """Return the clusters on which runs were active."""
        return {status.cluster for status in self._with_active_runs()}

    def clockworks(self, desired: Desired) -> dict[str, Clockwork]:
        """Return the time that each scheduled job stood for."""
        found = {}
        for status in self.statuses.values():
            for name, job in desired.jobs.items():
                tick = _minute(status.details.get(TICK_OF.format(name)))
                if job.schedule is not None and tick is not None and _is_of(status, name):
                    found[name] = Clockwork(schedule=job.schedule, since=tick, tick=tick)
        return found

    def last_seen(self) -> dict[str, float]:
        """Return when each cluster was last seen: it answered when its status says so."""
        found = {}
        for status in self.statuses.values():
            if status.kind != "Cluster":
                continue
            ready = any(c.type == "Ready" and c.status is not Truth.UNKNOWN for c in status.conditions)
            at = self.at if ready else seconds_of(status.details.get("last_seen"))
            if at is not None:
                found[status.name] = at
        return found

    def conditions(self) -> dict[str, ResourceStatus]:
        """Return the statuses without their tasks."""
        return {key: replace(status, tasks=()) for key, status in self.statuses.items()}

    def _with_active_runs(self) -> Iterator[ResourceStatus]:
        return (status for status in self.statuses.values() if any(task.state in ACTIVE for task in status.tasks))


def read_memory(
    mirror: Mirror, branch: StatusBranch, journal: Journal, desired: Desired, *, ours: bool = True
) -> Memory:
    """Return what the branch says: all of it if others may have written it, else of what the commit does not hold.

    Where it tells of another instance's runs (``ours`` False, a fork's first pass), that is no memory of this one's.
    """
    files = branch.read()
    if files.commit is None or not ours:
        return Memory(files=files)
    all_known = files.commit == journal.fact(TIP)
    said = _paths(desired) if all_known else frozenset[str]()
    statuses = {}
    for path in files:
        if path not in said and (status := _status_in(files, path)) is not None:
            statuses[status.key] = status
    info = mirror.commit_info(files.commit)
    return Memory(
        files=files,
        statuses=statuses,
        spec_commit=info.trailers.get("Spec-Commit", ""),
        at=datetime.fromisoformat(info.time).timestamp(),
    )


def _paths(desired: Desired) -> frozenset[str]:
    resources = [
        *(("Cluster", name) for name in desired.clusters),
        *(("Image", name) for name in desired.images),
        *(("Workflow", name) for name in desired.workflows),
        *(("Job", name) for name, job in desired.jobs.items() if job.workflow is None),
    ]
    return frozenset(path_of(kind, name) for kind, name in resources)


def _status_in(files: StatusFiles, path: str) -> ResourceStatus | None:
    """Return the status in a file; None where it is not one of ours, or somebody has broken it."""
    found = name_in(path)
    if found is None or found[0] not in _KINDS:
        return None
    try:
        status = read_status(path, files.__getitem__)
    except (ValueError, RecursionError):
        return None
    return status if path == path_of(status.kind, status.name) else None


def _is_of(status: ResourceStatus, job: str) -> bool:
    return status.kind in ("Job", "Workflow") and status.name == job.partition(".")[0]


def _minute(text: str | None) -> float | None:
    return None if text is None else seconds_of(text.replace("Z", ":00Z"))


def remember_tip(mirror: Mirror, branch: str, journal: Journal, *, all_known: bool) -> None:
    """Note that the branch holds what this controller has written, and that the journal knows all of it."""
    try:
        tip = (mirror.tip(branch) or "") if all_known else ""
    except ControllerError:
        tip = ""
    if journal.fact(TIP) != tip:
        journal.save_fact(TIP, tip)
