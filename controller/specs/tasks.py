"""The points of a matrix to tasks: look-ups filled in, keys and digests made.

A job may have 100,000, so what is the same for all is done once: texts are cut at their look-ups, values quoted once
each, and the constant part hashed once. Must not look at other jobs.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controller.model.digests import digest_of
from controller.model.resources import LateValue, Task
from controller.specs import lookups
from controller.specs.keys import escaped
from controller.specs.matrix import Points
from controller.specs.recipes import RECIPES, Recipe
from controller.specs.shells import words_of
from controller.specs.units import Unit

_OPENING = "${{"


class AmbiguousError(Exception):
    """Values put side by side make up a look-up that would be filled in when a run begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the tasks of a job have in common beyond its own fields."""

    values: Mapping[str, str]
    """Look-up names to values that are the same for every task."""
    image: str | None
    """Identity of the image."""
    files: str | None
    """Digest of the files."""
    needs: Mapping[str, str]
    """Job that is needed to the digest of all of its tasks."""
    late: tuple[LateValue, ...]
    recipe: Recipe = RECIPES[0]
    spelling: Mapping[str, str] = field(default_factory=dict)
    """Look-up that waits for a run, as it is spelt now, to how it was spelt."""


def tasks_of(unit: Unit, points: Points | None, around: Surroundings) -> tuple[Task, ...]:
    """Return the tasks of a unit, one a point; the only one if there is no matrix.

    Raises:
        AmbiguousError: see there.
    """
    command = _as_spelt(lookups.cut(unit.data["command"].rstrip("\n"), around.values), around)
    env = {
        key: _as_spelt(lookups.cut(text, around.values, quote=lookups.verbatim), around)
        for key, text in unit.data.get("env", {}).items()
    }
    if points is None:
        return (_single(unit, command[0], {key: parts[0] for key, parts in env.items()}, around),)
    return tuple(_each(unit, command, env, points, around))


def _as_spelt(parts: list[str], around: Surroundings) -> list[str]:
    for now, then in around.spelling.items():
        parts[::2] = [part.replace(now, then) for part in parts[::2]]
    return parts


def _single(unit: Unit, command: str, env: dict[str, str], around: Surroundings) -> Task:
    said = {"command": command, "env": env, "rerun": unit.data.get("rerun"), **_said_of_all(unit, around)}
    digest = digest_of(around.recipe.covered("task", said))
    rerun = "" if unit.data.get("rerun") is None else digest_of(unit.data["rerun"])
    return Task(job=unit.name, key="", command=command, env=env, digest=digest, late=around.late, rerun=rerun)


def _said_of_all(unit: Unit, around: Surroundings) -> dict[str, Any]:
    """Return what every digest covers. A shell that the spec does not name is none of it (docs/decisions/0071)."""
    return {
        "image": around.image,
        "files": around.files,
        "needs": dict(around.needs),
        "binds": list(unit.data.get("binds", ())),
        "shell": list(words_of(unit.data["shell"])) if "shell" in unit.data else None,
    }


def _each(
    unit: Unit, command: list[str], env: dict[str, list[str]], points: Points, around: Surroundings
) -> Iterator[Task]:
    axes, names = points.axes, sorted(env)
    columns = [list(dict.fromkeys(column)) for column in zip(*points.values, strict=True)]
    keys = [{value: f"{axis}={escaped(value)}" for value in column} for axis, column in zip(axes, columns, strict=True)]
    quoted = [{value: shlex.quote(value) for value in column} for column in columns]
    fixed = {name: parts[0] for name, parts in env.items()}
    rerun, suspended = unit.data.get("rerun"), _keys(unit.data.get("suspend"))
    # One word for all tasks is the same as that word for each of them, so that one more can be told by itself later.
    by_task = {key: digest_of(value) for key, value in rerun.items()} if isinstance(rerun, dict) else {}
    of_all = None if rerun is None or isinstance(rerun, dict) else digest_of(rerun)
    # The order of axes and variables in the file is not part of a digest.
    sorted_axes = sorted(range(len(axes)), key=lambda index: axes[index])
    base = digest_of(around.recipe.covered("sweep", {"axes": sorted(axes), "env": names, **_said_of_all(unit, around)}))
    make_command = _Template(command, axes)
    makers = [(name, _Template(parts, axes)) for name, parts in env.items() if len(parts) > 1]
    openings = sum(part.count(_OPENING) for parts in (command, *env.values()) for part in parts)
    for point in points.values:
        key = ",".join(map(dict.__getitem__, keys, point))
        line = make_command(tuple(map(dict.__getitem__, quoted, point)))
        variables = fixed | {name: make(point) for name, make in makers} if makers else fixed
        if around.late and line.count(_OPENING) + sum(text.count(_OPENING) for text in variables.values()) != openings:
            raise AmbiguousError(key)
        # No value holds NUL, and there are as many of them in every task, but for the last.
        texts = [base, line, *[variables[name] for name in names], *[point[index] for index in sorted_axes]]
        again = by_task.get(key, of_all)
        if again is not None:
            texts.append(again)
        yield Task(
            job=unit.name,
            key=key,
            command=line,
            env=variables,
            digest=hashlib.sha256("\0".join(texts).encode()).hexdigest(),
            late=around.late,
            point=dict(zip(axes, point, strict=False)),
            suspended=key in suspended,
            rerun=again or "",
        )


class _Template:
    """A text with gaps: called with a point's values, it returns the text for that point."""

    __slots__ = ("_format", "_slots")

    def __init__(self, parts: Sequence[str], axes: Sequence[str]) -> None:
        self._format = "%s".join(part.replace("%", "%%") for part in parts[::2])
        self._slots = [axes.index(name.removeprefix("matrix.")) for name in parts[1::2]]

    def __call__(self, values: Sequence[str]) -> str:
        return self._format % tuple([values[slot] for slot in self._slots])


def _keys(suspend: Any) -> frozenset[str]:
    return frozenset(suspend) if isinstance(suspend, list) else frozenset()
