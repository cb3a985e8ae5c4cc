"""What has to be compiled before what, and the circles in that.

Knows names and what they need, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from graphlib import CycleError, TopologicalSorter

_LONGEST_SHOWN = 8


def ordered(needs: Mapping[str, Iterable[str]]) -> tuple[list[str], list[tuple[str, ...]]]:
    """Return the names so that each comes after what it needs, and cycles, of which no two have a name in common.

    A cycle is its names in the order in which each needs the next, and the last the first. What it is made of comes
    in the order as if it needed nothing. The order of the input does not matter.
    """
    left = {name: set(needs[name]) & needs.keys() for name in sorted(needs)}
    order: list[str] = []
    cycles: list[tuple[str, ...]] = []
    while left:
        # Sorted: graphlib goes by the order in which it is given names.
        sorter = TopologicalSorter({name: sorted(left[name] & left.keys()) for name in left})
        # After a CycleError it still hands out whatever is not behind a cycle (library reference, graphlib).
        with suppress(CycleError):
            sorter.prepare()
        while ready := sorted(sorter.get_ready()):
            order += ready
            sorter.done(*ready)
            for name in ready:
                del left[name]
        # Whatever is left needs something that is left.
        found = _circles({name: min(left[name] & left.keys()) for name in left})
        cycles += found
        left |= {name: set() for cycle in found for name in cycle}
    return order, cycles


def _circles(following: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Return the circles that one ends in by going from each name to the one that follows it."""
    circles = []
    seen: set[str] = set()
    for start in following:
        way: dict[str, None] = {}
        name = start
        while name not in seen:
            seen.add(name)
            way[name] = None
            name = following[name]
        if name in way:
            names = list(way)
            circle = names[names.index(name) :]
            first = circle.index(min(circle))
            circles.append((*circle[first:], *circle[:first]))
    return circles


def drawn(cycle: tuple[str, ...], start: str) -> str:
    """Return ``a -> b -> a``, beginning with one of a cycle's names."""
    first = cycle.index(start)
    names = [*cycle[first:], *cycle[:first], start]
    if len(names) > _LONGEST_SHOWN:
        names = [*names[: _LONGEST_SHOWN - 2], "...", start]
    return " -> ".join(names)
