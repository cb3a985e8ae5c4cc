"""The brakes: what would cancel many active runs, or run again what may have succeeded, waits for an approval.

A task that is held replaces nothing: ``wanted.kept_for`` says which runs go on for that reason.
"""

from __future__ import annotations

from collections.abc import Sequence

from controller.model.ledger import shard_of
from controller.model.plans import CancelRun, Hold
from controller.model.resources import Desired
from controller.planning.draft import Draft
from controller.planning.history import History
from controller.planning.verdicts import Wait

FREE_CANCELS = 10
FREE_SHARE = 0.2
TRAILER = "Controller-Approve"


def hold_back(
    cancels: Sequence[CancelRun], desired: Desired, history: History
) -> tuple[list[CancelRun], tuple[Hold, ...]]:
    """Return the cancellations that may go ahead, and why the others may not.

    More than 10 that are also more than 20 % of what is active, or any at all of a commit that does not descend from
    the last one applied, are held back together.
    """
    if not cancels or history.approved:
        return list(cancels), ()
    active = len(history.active())
    subjects = tuple(cancel.record.id for cancel in cancels)
    how = (
        f"To let them be cancelled: controller approve, or a commit with the trailer '{TRAILER}: yes'. "
        "To keep them, revert the change"
    )
    if not history.descends:
        message = (
            f"commit {desired.commit[:12]} does not descend from the last one applied (force push?) and would cancel "
            f"{len(cancels)} of {active} active runs. {how}"
        )
        return [], (Hold(reason="NotADescendant", message=message, subjects=subjects),)
    if len(cancels) > FREE_CANCELS and len(cancels) > FREE_SHARE * active:
        message = f"commit {desired.commit[:12]} would cancel {len(cancels)} of {active} active runs. {how}"
        return [], (Hold(reason="MassCancel", message=message, subjects=subjects),)
    return list(cancels), ()


def hold_unremembered(draft: Draft) -> tuple[Hold, ...]:
    """Keep tasks of which no run is known where the ledger may have lost one; return what is held."""
    faults = draft.history.ledger_faults
    if not faults or draft.history.approved:
        return ()
    found: dict[str, list[str]] = {}
    for job in draft.desired.jobs.values():
        part = next((faults[shard] for shard in map(shard_of, (job.name, *job.was)) if shard in faults), None)
        if part is not None:
            found.setdefault(part, []).extend(task.id for task in job.tasks if not draft.runs_of(task))
    holds = []
    for part, tasks in sorted(found.items()):
        message = (
            f"{part} of the status branch is damaged, its history does not have it whole, and it may have said that "
            f"{len(tasks)} tasks have succeeded. Restore that file from a backup; or, to let them run: controller "
            f"approve, or a commit with the trailer '{TRAILER}: yes'"
        )
        draft.held |= dict.fromkeys(tasks, Wait("LedgerDamaged", message, stalled=True))
        holds += [Hold(reason="LedgerDamaged", message=message, subjects=tuple(tasks))] if tasks else []
    return tuple(holds)
