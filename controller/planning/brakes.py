"""The brakes: a commit that would cancel many active runs, or that comes from nowhere, waits for a person's word."""

from __future__ import annotations

from collections.abc import Sequence

from controller.model.plans import CancelRun, Hold
from controller.model.resources import Desired
from controller.planning.history import History

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
    how = f"To let them be cancelled, push a commit with the trailer '{TRAILER}: yes'; to keep them, revert the change"
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
