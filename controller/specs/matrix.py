"""A matrix to its points: every combination of the axes' values, without ``exclude``, with ``include``.

Values are text from here on, as they are written in the file: 0.1 stays ``0.1`` and 1e-3 stays ``1e-3``. What is
wrong is told by paths below the matrix. Must not know what a point is used for.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from controller.specs import ranges
from controller.specs.nearest import as_list, did_you_mean, shown, type_name
from controller.specs.yaml_loader import Path

MOST_TASKS = 100_000
MOST_AXES = 20
LONGEST_VALUE = 200
RESERVED = ("task", "run_dir")
"""Columns that every table of results has."""

_MOST_EXCLUDE_SHAPES = 50
_AXIS = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}", re.ASCII)
_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")
_LISTS = ("include", "exclude")

Written = dict[str, Any]
"""A matrix whose values are text: ``axes`` (name to list, or to ``{range: [...]}``), ``include``, ``exclude``."""


class MatrixError(Exception):
    """One thing wrong: where below the matrix (at the key or at its value), and the words for it.

    A message that begins with a small letter completes "<field> ...".
    """

    def __init__(self, path: Path, message: str, remedy: str = "", *, at_key: bool = False) -> None:
        super().__init__(message)
        self.path = path
        self.message = message
        self.remedy = remedy
        self.at_key = at_key


@dataclass(frozen=True, slots=True)
class Points:
    """The points of a matrix, in the order in which they are submitted."""

    axes: tuple[str, ...]
    values: list[tuple[str, ...]]
    """One tuple a point, in the order of the axes."""


def errors(value: Mapping[str, Any]) -> Iterator[MatrixError]:
    """Yield what is wrong with the form of a matrix, without building it."""
    axes = [name for name in value if name not in _LISTS]
    if not axes and not value.get("include"):
        yield MatrixError((), "must have at least one axis", "write one as NAME: [value, value]")
    if len(axes) > MOST_AXES:
        yield MatrixError((), f"must have at most {MOST_AXES} axes, not {len(axes)}")
    for name in axes:
        yield from _name_errors((name,), name)
        yield from _axis_errors(name, value[name])
    for name in _LISTS:
        if name in value:
            yield from _list_errors(name, value[name])
    points = value.get("include")
    if not axes and isinstance(points, list) and points and isinstance(points[0], dict):
        for name in points[0]:
            yield from _name_errors(("include", 0, name), name)


def _name_errors(path: Path, name: str) -> Iterator[MatrixError]:
    if _AXIS.fullmatch(name) is None:
        what = 'letters, digits and "_", at most 63, not beginning with a digit'
        yield MatrixError(path, f"{shown(name)} in matrix: a name must be {what}", at_key=True)
    elif name in RESERVED:
        message = f"{shown(name)} in matrix: the name is taken by a column of the table of results"
        yield MatrixError(path, message, "give the axis another name", at_key=True)


def _axis_errors(name: str, given: Any) -> Iterator[MatrixError]:
    if isinstance(given, dict):
        for key in given:
            if key != "range":
                hint = did_you_mean(key, ["range"])
                yield MatrixError((name, key), f"unknown field {shown(key)} in matrix.{name}{hint}", at_key=True)
        bounds = given.get("range")
        if not isinstance(bounds, list) or len(bounds) not in (2, 3) or not all(_is_number(each) for each in bounds):
            path = (name, "range") if "range" in given else (name,)
            if "range" in given or not given:
                yield MatrixError(path, "must be two or three numbers: {range: [first, last, step]}")
    elif not isinstance(given, list):
        remedy = "" if given is None else as_list(given if isinstance(given, str) else "")
        message = f"must be a list or {{range: [first, last]}}, not {type_name(given)}"
        yield MatrixError((name,), message, remedy)
    elif not given:
        yield MatrixError((name,), "must have at least one value")
    else:
        for number, each in enumerate(given):
            yield from _value_errors((name, number), each)


def _list_errors(name: str, given: Any) -> Iterator[MatrixError]:
    if not isinstance(given, list):
        yield MatrixError((name,), f"must be a list of points, not {type_name(given)}", "write [{AXIS: value}]")
        return
    for number, point in enumerate(given):
        if not isinstance(point, dict) or not point:
            yield MatrixError((name, number), f"must be a point such as {{lr: 0.1}}, not {_said(point)}")
            continue
        for axis, value in point.items():
            yield from _value_errors((name, number, axis), value)


def _value_errors(path: Path, value: Any) -> Iterator[MatrixError]:
    if value is None:
        yield MatrixError(path, "is empty", "give it a value or leave it out")
    elif isinstance(value, dict | list):
        yield MatrixError(path, f"must be a string, a number, true or false, not {type_name(value)}")
    elif isinstance(value, str):
        if found := _NOT_TEXT.search(value):
            yield MatrixError(path, f"must not hold the character U+{ord(found[0]):04X}")
        elif len(value) > LONGEST_VALUE:
            message = f"must have at most {LONGEST_VALUE} characters, not {len(value)}"
            yield MatrixError(path, message, "keep it in a file, and its name here")
        elif "${{" in value:
            yield MatrixError(path, 'must not hold "${{": nothing is looked up in a matrix')


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _said(value: Any) -> str:
    return "an empty mapping" if value == {} else type_name(value)


def written(value: Mapping[str, Any], text_of: Callable[[Path], str | None]) -> Written:
    """Return a matrix without errors as text. ``text_of`` gives the source of a value below the matrix, if known."""

    def text(path: Path, each: Any) -> str:
        return text_of(path) or (each if isinstance(each, str) else str(each).lower())

    axes: dict[str, Any] = {}
    for name, given in value.items():
        if name in _LISTS:
            continue
        if isinstance(given, dict):
            axes[name] = {"range": [text((name, "range", n), each) for n, each in enumerate(given["range"])]}
        else:
            axes[name] = [text((name, n), each) for n, each in enumerate(given)]
    lists = {
        name: [
            {axis: text((name, n, axis), each) for axis, each in point.items()}
            for n, point in enumerate(value.get(name, []))
        ]
        for name in _LISTS
    }
    return {"axes": axes, **lists}


def expand(matrix: Written) -> Points:
    """Return the points of a matrix: those of the axes in the order of a nested loop, then those of ``include``.

    Raises:
        MatrixError: too many points, none left, one twice, or a list that names what there is not.
    """
    include = matrix["include"]
    axes = tuple(matrix["axes"]) or tuple(include[0])
    columns = _columns(matrix["axes"])
    points = list(itertools.product(*columns.values())) if columns else []
    points = _without(points, axes, columns, matrix["exclude"])
    points = _with(points, axes, include)
    if not points:
        raise MatrixError(("exclude",), "leaves no point of the matrix")
    return Points(axes, points)


def most_points(value: Mapping[str, Any]) -> int:
    """Return how many points a matrix without errors has at most, without building any; 0 where that is not known."""
    total = 1
    for name, given in value.items():
        if name in _LISTS:
            continue
        bounds = given["range"] if isinstance(given, dict) else given
        try:
            total *= ranges.count([str(each) for each in bounds]) if isinstance(given, dict) else len(given)
        except ranges.RangeError:
            return 0
    return (total if value.keys() - set(_LISTS) else 0) + len(value.get("include", ()))


def _columns(axes: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the values of each axis; nothing is built before it is known to be few enough."""
    total = 1
    for name, given in axes.items():
        try:
            total *= ranges.count(given["range"]) if isinstance(given, dict) else len(given)
        except ranges.RangeError as error:
            raise MatrixError((name, "range"), error.message, error.remedy) from error
    if axes and total > MOST_TASKS:
        raise MatrixError((), f"has {total} points, more than the {MOST_TASKS} that a job may have")
    columns = {}
    for name, given in axes.items():
        columns[name] = ranges.values(given["range"]) if isinstance(given, dict) else given
        first: dict[str, int] = {}
        for number, value in enumerate(columns[name]):
            if first.setdefault(value, number) != number:
                raise MatrixError((name, number), f"is there twice: {shown(value)}", "remove one of the two")
    return columns


def _without(
    points: list[tuple[str, ...]],
    axes: tuple[str, ...],
    columns: Mapping[str, list[str]],
    exclude: list[dict[str, str]],
) -> list[tuple[str, ...]]:
    """Return the points that no exclude matches. Excludes that name the same axes are looked up together.

    Points are every combination here, so an exclude whose values there are matches one at least.
    """
    shapes: dict[tuple[int, ...], set[Any]] = {}
    known = {axis: Values(values) for axis, values in columns.items()} if exclude else {}
    for number, point in enumerate(exclude):
        where = tuple(sorted(_index(axes, ("exclude", number), axis) for axis in point))
        wanted = tuple(meant(known, axes[at], point[axes[at]], ("exclude", number, axes[at])) for at in where)
        # As itemgetter has it: a tuple of several, but one alone as it is.
        shapes.setdefault(where, set()).add(wanted if len(wanted) > 1 else wanted[0])
    if len(shapes) > _MOST_EXCLUDE_SHAPES:
        raise MatrixError(("exclude",), f"names more than {_MOST_EXCLUDE_SHAPES} different sets of axes")
    for where, found in shapes.items():
        values = itemgetter(*where)
        points = [point for point in points if values(point) not in found]
    return points


def _with(points: list[tuple[str, ...]], axes: tuple[str, ...], include: list[dict[str, str]]) -> list[tuple[str, ...]]:
    known = set(points) if include else set()
    for number, point in enumerate(include):
        for axis in point:
            _index(axes, ("include", number), axis)
        if missing := [axis for axis in axes if axis not in point]:
            message = f"must name every axis of the matrix: {', '.join(missing)} is missing"
            raise MatrixError(("include", number), message)
        values = tuple(point[axis] for axis in axes)
        if values in known:
            raise MatrixError(("include", number), "is a point that is there already", "remove it")
        known.add(values)
        points.append(values)
        if len(points) > MOST_TASKS:
            raise MatrixError((), f"has more than {MOST_TASKS} points, the most that a job may have")
    return points


def _index(axes: tuple[str, ...], path: Path, axis: str) -> int:
    if axis not in axes:
        known = ", ".join(axes)
        message = f"{shown(axis)} in matrix.{path[0]}[{path[1]}] is no axis{did_you_mean(axis, axes)}"
        raise MatrixError((*path, axis), message, f"axes: {known}", at_key=True)
    return axes.index(axis)


class Values:
    """The values of an axis, by their texts and by the numbers that they are."""

    def __init__(self, values: Sequence[str]) -> None:
        self.texts = dict.fromkeys(values)
        self._numbers: dict[float, str] | None = None

    def of_number(self, number: float) -> str | None:
        """Return the first value that is a number."""
        if self._numbers is None:
            self._numbers = {}
            for text in self.texts:
                if (each := _number(text)) is not None:
                    self._numbers.setdefault(each, text)
        return self._numbers.get(number)


def meant(columns: Mapping[str, Values], axis: str, value: str, path: Path) -> str:
    """Return the value of an axis that is meant: the same text or, failing that, the same number."""
    known = columns.get(axis) or Values(())
    if value in known.texts:
        return value
    number = _number(value)
    if number is not None and (same := known.of_number(number)) is not None:
        return same
    hint = did_you_mean(value, list(known.texts)[:1000]) if number is None else ""
    values = ", ".join(list(known.texts)[:8]) + (", ..." if len(known.texts) > 8 else "")
    raise MatrixError(path, f'is {shown(value)}, which is no value of axis "{axis}"{hint}', f"its values: {values}")


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
