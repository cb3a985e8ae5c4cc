"""What is told: statuses as files on the status branch, in one commit at most, in none when nothing changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from controller.model.conditions import ResourceStatus
from controller.model.digests import short
from controller.model.problems import Problem
from controller.reconcile.leases import Leasing
from controller.repository.mirror import Mirror
from controller.repository.report import obsolete, render
from controller.repository.statusbranch import StatusBranch, StatusFiles


def report(
    mirror: Mirror,
    branch: StatusBranch,
    statuses: Sequence[ResourceStatus],
    *,
    there: StatusFiles,
    spec_commit: str,
    path: str,
    problems: Sequence[Problem],
    leasing: Leasing,
    ledger: Callable[[str | None], Mapping[str, bytes]],
    heartbeat: tuple[str, str] = ("", ""),
) -> str | None:
    """Write the statuses; return the commit, None when the branch already says it all. ``there`` is what it says.

    ``ledger`` returns the files that new ends change in the ledger of a commit of the branch.
    ``heartbeat`` is the branch that says when, and why that cannot be written, "" where it can.

    Raises:
        StalledError, TransientError: they could not be pushed; nothing is lost, the next pass tries again.
    """
    files = render(
        statuses,
        spec_commit=spec_commit,
        url=mirror.url.shown,
        path=path,
        problems=[problem.headline() for problem in problems],
        previous=there,
        heartbeat=heartbeat,
    )
    ready = sum(c.type == "Ready" and c.status == "True" for status in statuses for c in status.conditions)
    result = branch.write(
        files,
        message=f"{ready} of {len(statuses)} ready at {short(spec_commit)}",
        trailers={"Spec-Commit": spec_commit},
        remove=obsolete(there, files),
        check=leasing.check,
        added=lambda tip: {**leasing.files(), **ledger(tip)},
    )
    return result.commit
