"""How many submissions a cluster may get in a minute: those of the last one are counted, also across restarts.

Times are written into the journal before each submission, so that one of unknown end counts too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from controller.model.runs import RunRecord

WINDOW_S = 60.0


def recent(times: Iterable[float], *, now: float) -> list[float]:
    """Return the times that count now, oldest first. One that is far ahead was written by a clock that was."""
    return sorted(each for each in times if abs(now - each) < WINDOW_S)


def free_at(times: Sequence[float], limit: int, *, now: float) -> float | None:
    """Return when one more may be submitted, in whole seconds; None: now."""
    counted = recent(times, now=now)
    return None if len(counted) < limit else math.ceil(counted[len(counted) - limit] + WINDOW_S)


def times_of(records: Iterable[RunRecord]) -> dict[str, list[float]]:
    """Return cluster -> when its batches were submitted, as far as the records of their runs tell.

    For a journal that is new: records that were rebuilt from the cluster count from then on, unless they began earlier.
    """
    batches: dict[tuple[str, str], float] = {}
    for record in records:
        known = (record.submitted_at or record.intended_at, record.started, record.ended)
        place = (record.run.cluster, record.batch)
        batches[place] = min(batches.get(place, math.inf), *(each for each in known if each is not None))
    found: dict[str, list[float]] = {}
    for (cluster, _), time in batches.items():
        found.setdefault(cluster, []).append(time)
    return found
