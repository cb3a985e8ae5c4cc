"""Units of work: a Job, or each step of a Workflow with the Workflow's fields as its defaults.

The rest of the spec stage then has one kind of work only. Takes data that may not be valid, since look-ups are judged
beside everything else. Must not report anything.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.specs import lookups
from controller.specs.nearest import shown
from controller.specs.yaml_loader import Path

_INHERITED = (
    "cluster", "image", "files", "shell", "retries", "on_change", "on_remove", "suspend", "priority", "rerun",
)  # fmt: skip
_JOINED = ("env", "resources")
"""Fields of a Workflow and of a step that are joined field by field; the step's win."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What one job is made from."""

    name: str
    """Name of the job: ``train``, or ``<workflow>.<step>``."""
    data: Mapping[str, Any]
    """Fields of a Job, as far as they may be given; ``needs`` names steps if it is a step."""
    workflow: Mapping[str, Any] | None = None
    """All of the Workflow that it is a step of."""
    step: str | None = None
    _unsafe: dict[str, str | None] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What ``unsafe`` has found, by name."""

    @property
    def outside(self) -> list[str]:
        """Names of Jobs and Workflows that are needed."""
        return _names(self.data if self.workflow is None else self.workflow)

    @property
    def siblings(self) -> list[str]:
        """Names of steps of the same Workflow that are needed."""
        return [] if self.workflow is None else _names(self.data)

    @property
    def placed_outside(self) -> list[tuple[int, str]]:
        """What ``outside`` has, with the place of each in its list."""
        return _placed(self.data if self.workflow is None else self.workflow)

    @property
    def placed_siblings(self) -> list[tuple[int, str]]:
        """What ``siblings`` has, with the place of each in its list."""
        return [] if self.workflow is None else _placed(self.data)

    def path(self, *parts: str | int) -> Path:
        """Return where a field stands in the document: in the step if it says it itself, else in the Workflow."""
        if self.workflow is None or self.step is None:
            return parts
        own: Any = self.workflow["steps"][self.step]
        for part in parts[:2] if parts[0] in _JOINED else parts[:1]:
            if not isinstance(own, dict) or part not in own:
                return parts if parts[0] in (*_INHERITED, *_JOINED) else ("steps", self.step, *parts)
            own = own[part]
        return ("steps", self.step, *parts)

    def late_path(self, name: str) -> Path:
        """Return the path under which the place of a look-up is kept; no field has it."""
        return ("steps", self.step, "look-up", name) if self.step is not None else ("look-up", name)

    def texts(self) -> Iterator[tuple[Path, str]]:
        """Yield the texts in which look-ups are filled in, by where they stand: command and variables' values."""
        if isinstance(command := self.data.get("command"), str):
            yield self.path("command"), command
        env = self.data.get("env")
        for key, text in env.items() if isinstance(env, dict) else ():
            if isinstance(text, str):
                yield self.path("env", key), text

    def names(self) -> dict[str, str | None]:
        """Return the names that look-ups may use, each with None or the reason why it has no value."""
        names: dict[str, str | None] = {"job.name": None, "cluster.name": None}
        names["image.name"] = None if "image" in self.data else "this job has no image"
        if self.workflow is not None:
            names |= {"workflow.name": None, "step.name": None}
        return names | {f"matrix.{axis}": None for axis in _axes(self.data.get("matrix"))}

    def unsafe(self, name: str) -> str | None:
        """Return a value that a look-up may have and that would have to be quoted for a shell; None if it has none."""
        if lookups.is_late(name) and ".results." in name:
            return "a value that is not known yet"
        if not name.startswith("matrix."):
            return None
        if name not in self._unsafe:
            values = _values(self.data.get("matrix"), name.removeprefix("matrix."))
            self._unsafe[name] = next((shown(value) for value in values if shlex.quote(value) != value), None)
        return self._unsafe[name]

    def late(self) -> dict[str, dict[str, None]]:
        """Return the names that may follow ``needs`` and ``steps`` in look-ups, in their order."""
        late = {"needs": dict.fromkeys(self.outside)}
        return late if self.workflow is None else late | {"steps": dict.fromkeys(self.siblings)}


def units_of(kind: str, name: str, data: Mapping[str, Any]) -> list[Unit]:
    """Return the units of a Job or a Workflow, steps in the order of the file; none of any other kind."""
    if kind == "Job":
        return [Unit(name, data)]
    steps = data.get("steps")
    if kind != "Workflow" or not isinstance(steps, dict):
        return []
    return [
        Unit(f"{name}.{step}", _joined(data, own), data, step) for step, own in steps.items() if isinstance(own, dict)
    ]


def _joined(workflow: Mapping[str, Any], step: Mapping[str, Any]) -> dict[str, Any]:
    data = {**{name: workflow[name] for name in (*_INHERITED, *_JOINED) if name in workflow}, **step}
    for joined in _JOINED:
        ours, theirs = workflow.get(joined), step.get(joined)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            data[joined] = ours | theirs
    return data


def _names(data: Mapping[str, Any]) -> list[str]:
    return [name for _, name in _placed(data)]


def _placed(data: Mapping[str, Any]) -> list[tuple[int, str]]:
    names = data.get("needs")
    return [(at, name) for at, name in enumerate(names) if isinstance(name, str)] if isinstance(names, list) else []


def _axes(matrix: Any) -> list[str]:
    """Return the names of the axes of a matrix as it was read."""
    if not isinstance(matrix, dict):
        return []
    include = matrix.get("include")
    names = [name for name in matrix if name not in ("include", "exclude")]
    if not names and isinstance(include, list) and include and isinstance(include[0], dict):
        names = list(include[0])
    return names


def _values(matrix: Any, axis: str) -> list[str]:
    """Return the values of an axis, as it was read, that are strings."""
    if not isinstance(matrix, dict):
        return []
    values, include = matrix.get(axis), matrix.get("include")
    points = [point.get(axis) for point in include if isinstance(point, dict)] if isinstance(include, list) else []
    return [value for value in (*(values if isinstance(values, list) else ()), *points) if isinstance(value, str)]
