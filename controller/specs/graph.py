"""What has to be compiled before what, and the circles in that.

Knows names and what they need, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

_MOST_CYCLES = 50
_LONGEST_SHOWN = 8


def ordered(needs: Mapping[str, Iterable[str]]) -> tuple[list[str], list[tuple[str, ...]]]:
    """Return the names so that each comes after what it needs, and every cycle found.

    A cycle is its names in the order in which each needs the next, and the last the first; its names and what needs
    them come last. The order of the input does not matter.
    """
    left = {name: set(needs[name]) & needs.keys() for name in sorted(needs)}
    order: list[str] = []
    cycles: list[tuple[str, ...]] = []
    while left:
        # Sorted: graphlib goes by the order in which it is given names.
        sorter = TopologicalSorter({name: sorted(left[name] & left.keys()) for name in left})
        try:
            sorter.prepare()
        except CycleError as error:
            # "Each node is, in the graph, an immediate predecessor of the next" (library reference, graphlib).
            cycle = tuple(reversed(error.args[1][1:]))
            start = cycle.index(min(cycle))
            cycles.append(cycle[start:] + cycle[:start])
        while ready := sorted(sorter.get_ready()):
            order += ready
            sorter.done(*ready)
            for name in ready:
                del left[name]
        if not left:
            break
        for name in cycles[-1]:
            left[name] = set()
        if len(cycles) == _MOST_CYCLES:
            order += left
            break
    return order, cycles


def drawn(cycle: tuple[str, ...], start: str) -> str:
    """Return ``a -> b -> a``, beginning with one of a cycle's names."""
    first = cycle.index(start)
    names = [*cycle[first:], *cycle[:first], start]
    if len(names) > _LONGEST_SHOWN:
        names = [*names[: _LONGEST_SHOWN - 2], "...", start]
    return " -> ".join(names)
