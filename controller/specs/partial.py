"""What is left of a document once all that is not valid in it is taken out.

So that the checks of what is valid go on. Must not judge anything.
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import Any

from controller.specs.yaml_loader import Path


def without(data: dict[str, Any], paths: Collection[Path]) -> dict[str, Any]:
    """Return a copy without the values at some paths; in a list, None keeps the places of the others.

    A matrix goes as a whole: its parts mean something only together.
    """
    if not paths:
        return data
    if () in paths:
        return {}
    left = copy.deepcopy(data)
    for path in paths:
        _take_out(left, _cut(path))
    return left


def summed(paths: set[Path], most: int) -> set[Path]:
    """Return the paths, or the one of the whole document where there are more than ``most``."""
    return paths if len(paths) <= most else {()}


def touches(paths: Collection[Path], start: Path) -> bool:
    """Return whether any of the paths is at or below ``start``, or above it."""
    return any(path[: len(start)] == start[: len(path)] for path in paths)


def _cut(path: Path) -> Path:
    for depth in (0, 2):
        if path[depth : depth + 1] == ("matrix",) and (depth == 0 or path[0] == "steps"):
            return path[: depth + 1]
    return path


def _take_out(value: Any, path: Path) -> None:
    for part in path[:-1]:
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int):
            value = value[part]
    last = path[-1]
    if isinstance(value, dict):
        value.pop(last, None)
    elif isinstance(value, list) and isinstance(last, int) and last < len(value):
        value[last] = None
