"""What seldom changes about a cluster, as the journal remembers it and as a look says it. Must not look itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from controller.model.conditions import TaskState
from controller.model.observed import ClusterFacts, Partition
from controller.model.runs import RunRecord
from controller.planning.stuck import beyond_any_node
from controller.store.journal import Journal


def marked(journal: Journal, cluster: str) -> tuple[str, ...]:
    """Return the work directories of a cluster that have had the mark; a version before remembered the newest alone."""
    known = json.loads(journal.fact(f"facts:{cluster}") or "{}")
    before = [known["root"]] if known.get("initialised") else []
    return tuple(json.loads(journal.fact(f"marked:{cluster}") or json.dumps(before)))


def too_large(active: Sequence[RunRecord], known: dict[str, Any]) -> bool:
    """Whether a run waits that no node seems to be large enough for: nodes may have come meanwhile."""
    facts = remembered(known)
    return facts is not None and any(
        record.state is TaskState.QUEUED and record.asked and beyond_any_node(record.asked, facts.partitions)
        for record in active
    )


def remembered(known: dict[str, Any]) -> ClusterFacts | None:
    """Read facts from the journal, also those of before 0063: a partition was its memory and its time."""
    if not known:
        return None
    partitions = {
        name: Partition(**each) if isinstance(each, dict) else Partition(memory_mib=each[0], walltime_s=each[1])
        for name, each in known.get("partitions", {}).items()
    }
    return ClusterFacts(**{**known, "partitions": partitions})


def merged(known: ClusterFacts | None, seen: ClusterFacts, asked: bool, marked: Sequence[str]) -> ClusterFacts:
    """Lay what was asked this time over what is remembered. A directory that had its mark and has it not is lost."""
    if known is None or asked:
        merged = replace(seen, asked=asked)
    else:
        merged = replace(known, root=seen.root, host=seen.host, user=seen.user, initialised=seen.initialised)
    return replace(merged, lost=not seen.initialised and seen.root in marked)
