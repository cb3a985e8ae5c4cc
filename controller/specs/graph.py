"""What has to be compiled before what, and the circles in that.

Knows names and what they need, nothing else. Each name and each need is looked at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

_LONGEST_SHOWN = 8


def ordered(needs: Mapping[str, Iterable[str]]) -> tuple[list[str], list[tuple[str, ...]]]:
    """Return the names so that each comes after what it needs, and cycles, of which no two have a name in common.

    A cycle is its names in the order in which each needs the next, and the last the first. What it is made of comes
    in the order as if it needed nothing. The order of the input does not matter.
    """
    order: list[str] = []
    cycles: list[tuple[str, ...]] = []
    done: set[str] = set()
    left = {name: iter(sorted(set(needs[name]) & needs.keys())) for name in sorted(needs)}
    for start in left:
        way = [] if start in done else [start]
        places = {name: place for place, name in enumerate(way)}
        while way:
            following = _next(left[way[-1]], done)
            if following is None:
                ended = [way.pop()]
            elif following in places:
                # A circle: whatever is on it counts as done, and what led to it goes on.
                ended = way[places[following] :]
                del way[places[following] :]
                cycles.append(_from_the_first(ended))
            else:
                places[following] = len(way)
                way.append(following)
                continue
            order += ended
            done.update(ended)
            for name in ended:
                del places[name]
    return order, cycles


def _next(names: Iterator[str], done: set[str]) -> str | None:
    return next((name for name in names if name not in done), None)


def _from_the_first(circle: list[str]) -> tuple[str, ...]:
    first = circle.index(min(circle))
    return (*circle[first:], *circle[:first])


def drawn(cycle: tuple[str, ...], first: int) -> str:
    """Return ``a -> b -> a``, beginning at one place of a cycle."""
    count = len(cycle)
    shown = count if count < _LONGEST_SHOWN else _LONGEST_SHOWN - 2
    names = [cycle[(first + step) % count] for step in range(shown)]
    return " -> ".join([*names, *(["..."] if shown < count else []), cycle[first]])
