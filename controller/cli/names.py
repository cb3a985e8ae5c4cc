"""What a person types, such as ``train/seed=3, lr=0.1``, to the name as statuses have it, or to the nearest there is.

For the verbs that read the status branch; those that write a commit look at the specs themselves
(``specs.addresses``). Must not decide what is shown of what is found.
"""

from __future__ import annotations

from collections.abc import Sequence

from controller.model.conditions import ResourceStatus
from controller.specs.keys import meant_key
from controller.specs.nearest import nearest

KINDS = ("Job", "Workflow", "Image", "Cluster")
_MOST_NEAR = 2_000
"""Task keys among which a misspelt one is looked for: difflib takes 20 µs for each."""


def split_kind(wanted: str) -> tuple[str, str]:
    """Return the kind that stands before a name, "" for none, and the rest."""
    first, _, rest = wanted.strip("/").partition("/")
    return (first, rest) if first in KINDS and rest else ("", wanted.strip("/"))


def spelt(wanted: str, statuses: Sequence[ResourceStatus]) -> str:
    """Return a task's name as its status has it, whatever the order of its axes, blanks and quotes; else ``wanted``."""
    kind, name = split_kind(wanted)
    for prefix, keys in _keys(kind, statuses).items():
        if name.startswith(f"{prefix}/") and (key := meant_key(name.removeprefix(f"{prefix}/"), keys)) in keys:
            return "/".join(part for part in (kind, prefix, key) if part)
    return wanted


def did_you_mean(wanted: str, statuses: Sequence[ResourceStatus]) -> str:
    """Return ``; did you mean "x"?`` with the nearest name, step or task that there is; "" where none is near."""
    kind, name = split_kind(wanted)
    found = _nearest(name, kind, [status for status in statuses if kind in ("", status.kind)])
    return f'; did you mean "{found}"?' if found is not None else ""


def _nearest(name: str, kind: str, statuses: Sequence[ResourceStatus]) -> str | None:
    first, _, inner = name.partition("/")
    names = {status.name for status in statuses}
    if first not in names:
        return nearest(first, sorted(names))
    groups = _keys(kind, [status for status in statuses if status.name == first])
    for prefix, keys in groups.items():
        if name.startswith(f"{prefix}/") and keys:
            typed = meant_key(name.removeprefix(f"{prefix}/"), keys)
            key = nearest(typed, keys[:_MOST_NEAR])
            return f"{prefix}/{key}" if key else None
    step = nearest(f"{first}/{inner.partition('/')[0]}", [prefix for prefix in groups if prefix != first])
    return step if inner else None


def _keys(kind: str, statuses: Sequence[ResourceStatus]) -> dict[str, list[str]]:
    """Return the keys of tasks by what stands before them: ``JOB`` or ``WORKFLOW/STEP``."""
    groups: dict[str, list[str]] = {}
    for status in statuses:
        if kind in ("", status.kind):
            for task in status.tasks:
                *start, last = task.id.split("/", 2 if status.kind == "Workflow" else 1)
                whole = len(start) < (2 if status.kind == "Workflow" else 1)
                keys = groups.setdefault("/".join([*start, last] if whole else start), [])
                keys += [] if whole else [last]
    return groups
