"""What is wrong with a unit of work beyond its schema, as far as its own document tells.

Fields that speak of one another: a matrix and the tasks, axes and columns named elsewhere. Must not look at other
documents.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from controller.specs import matrix
from controller.specs.budgets import MOST_POINTS, Budget, SpentError
from controller.specs.keys import key_of
from controller.specs.messages import Finding, dotted
from controller.specs.nearest import did_you_mean, shown
from controller.specs.partial import touches
from controller.specs.units import Unit
from controller.specs.yaml_loader import Document, Path

_MOST_NEAR = 2_000
"""Task keys among which a misspelt one is looked for: difflib takes 20 µs for each."""


def unit_findings(
    unit: Unit, texts: Mapping[Path, str], void: Collection[Path] = (), budget: Budget | None = None
) -> Iterator[Finding]:
    """Yield what is wrong with a unit whose data fits its schema; ``texts`` is the source of its numbers.

    ``budget`` is what is left for the file. ``void`` are the paths of what did not fit and was taken out; nothing is
    said that depends on it.
    """
    clusters = [("cluster",), ("steps", unit.step or "", "cluster")]
    if unit.step is not None and "cluster" not in unit.data and not any(touches(void, path) for path in clusters):
        remedy = "give it to the step, or to the Workflow for all steps"
        path = ("steps", unit.step, "cluster")
        yield Finding(path, False, f'missing field "steps.{unit.step}.cluster"', remedy, missing=True)
    points: matrix.Points | None = None
    if touches(void, unit.path("matrix")):
        return
    if "matrix" in unit.data:
        wrong = list(matrix.errors(unit.data["matrix"]))
        if not wrong:
            try:
                if budget is not None:
                    budget.take_tasks(min(matrix.most_points(unit.data["matrix"]), matrix.MOST_TASKS), 0)
                points = matrix.expand(_written(unit, texts))
            except matrix.MatrixError as error:
                wrong = [error]
            except SpentError:
                most = f"the matrices of one file may have {MOST_POINTS} points together"
                wrong = [matrix.MatrixError((), f"has too many points: {most}", "split the file, or the sweep")]
        if wrong:
            yield from (_finding(unit.path("matrix"), error) for error in wrong)
            return
    yield from _task_findings(unit, points)
    yield from _column_findings(unit, points.axes if points else ())


def with_written_matrices(document: Document, units: Sequence[Unit]) -> dict[str, Any]:
    """Return a valid document's data with the values of every matrix, those in ``was`` too, as they are written."""
    data: dict[str, Any] = document.value
    for unit in units:
        written: dict[str, Any] = {}
        if "matrix" in unit.data:
            written["matrix"] = _written(unit, document.texts)
        if isinstance(was := unit.data.get("was"), list):
            written["was"] = [_was_written(unit, number, each, document.texts) for number, each in enumerate(was)]
        if written:
            if unit.step is None:
                data = data | written
            else:
                data = data | {"steps": data["steps"] | {unit.step: data["steps"][unit.step] | written}}
    return data


def _was_written(unit: Unit, number: int, each: Any, texts: Mapping[Path, str]) -> Any:
    if not isinstance(each, dict) or "matrix" not in each:
        return each
    start = (*unit.path("was"), number, "matrix")
    values = {axis: texts.get((*start, axis)) or value for axis, value in each["matrix"].items()}
    return {**each, "matrix": values}


def _written(unit: Unit, texts: Mapping[Path, str]) -> matrix.Written:
    start = unit.path("matrix")
    return matrix.written(unit.data["matrix"], lambda path: texts.get((*start, *path)))


def _finding(start: Path, error: matrix.MatrixError) -> Finding:
    message = error.message
    if not error.at_key and message[0].islower():
        message = f'"{dotted((*start, *error.path))}" {message}'
    return Finding((*start, *error.path), error.at_key, message, error.remedy)


def _task_findings(unit: Unit, points: matrix.Points | None) -> Iterator[Finding]:
    """Yield what ``suspend`` and ``rerun`` say of tasks that there are not."""
    suspend, rerun = unit.data.get("suspend"), unit.data.get("rerun")
    named: list[tuple[Path, bool, str]] = []
    if isinstance(suspend, list):
        named += [(unit.path("suspend", number), False, key) for number, key in enumerate(suspend) if key is not None]
    if isinstance(rerun, dict):
        named += [(unit.path("rerun", key), True, key) for key in rerun]
    if not named:
        return
    if points is None:
        for field, value, remedy in (
            ("suspend", suspend, "write suspend: true"),
            ("rerun", rerun, "write rerun: TEXT"),
        ):
            if isinstance(value, list | dict):
                message = f'"{field}" names tasks, but a job without a matrix has only one'
                yield Finding(unit.path(field), False, message, remedy)
        return
    keys = [key_of(dict(zip(points.axes, values, strict=True))) for values in points.values]
    known = set(keys)
    for path, at_key, key in named:
        if key not in known:
            message = f"{shown(key)} in {dotted(path[:-1])} is no task of this job"
            remedy = f"a task's key is written like {shown(keys[0])}"
            yield Finding(path, at_key, message + did_you_mean(key, keys[:_MOST_NEAR]), remedy)


def _column_findings(unit: Unit, axes: Sequence[str]) -> Iterator[Finding]:
    """Axes and metrics are columns of one table."""
    results = unit.data.get("results", {})
    for name in results.get("metrics", {}):
        if name in (*axes, *matrix.RESERVED):
            taken = "is that of an axis, which is" if name in axes else "is taken by"
            message = f"{shown(name)} in results.metrics: the name {taken} a column of the table of results"
            path = unit.path("results", "metrics", name)
            yield Finding(path, True, message, "give the metric another name")
