"""Under what else runs of a job's tasks may be known: names that it had, and recipes of digests before the present one.

A digest names what a task needs and looks up, so it is made once more for each time that is meant: with the names of
then, by the recipe of then. Must not look at runs: which of these places has any is for the planner to see.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, product
from typing import Any

from controller.model.digests import digest_of
from controller.model.resources import LateValue, Place, Task
from controller.specs import lookups
from controller.specs.budgets import SpentError
from controller.specs.keys import key_of
from controller.specs.matrix import Points
from controller.specs.recipes import Recipe
from controller.specs.tasks import AmbiguousError, Surroundings, tasks_of
from controller.specs.units import Unit

MOST_TIMES = 64
"""Combinations of earlier names that are looked at for one job."""
MOST_EARLIER = 1_000_000
"""Tasks that are made once more for one commit, as they were earlier."""

Names = Mapping[str, str]
"""What was renamed (``Job/x``, ``Workflow/y``, ``Step/y.z``) to the name that it had at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """An earlier form of a job: what is said here was so, the rest as it is now."""

    name: str = ""
    matrix: Mapping[str, str] = field(default_factory=dict)
    """Axis that there was not, to the value that its points have now."""
    command: str | None = None
    env: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What the tasks of a job are made from."""

    unit: Unit
    points: Points | None
    values: Mapping[str, str]
    image: str | None
    files: str | None
    needs: tuple[str, ...]
    late: tuple[LateValue, ...]
    forms: tuple[Form, ...] = ()
    workflow_names: tuple[str, ...] = ()
    """Names that the workflow of a step had."""

    def renamed(self) -> dict[str, list[str]]:
        """Return what of the job's name was another: the names now and then, newest first."""
        own, flow = self.unit.step or self.unit.name, self.unit.name.partition(".")[0]
        names = [form.name for form in self.forms if form.name and not form.matrix]
        found = {f"Workflow/{flow}": [flow, *self.workflow_names]} if self.workflow_names else {}
        key = f"Step/{self.unit.name}" if self.unit.step else f"Job/{own}"
        return found | ({key: [own, *names]} if names else {})


class Lineage:
    """The jobs of a commit as they are made, each after what it needs."""

    def __init__(self, identities: Mapping[tuple[str, int], str], recipes: Sequence[Recipe]) -> None:
        self._identities = identities
        """Name of an image and version of a recipe -> its identity by that."""
        self._recipes = recipes
        self._made: dict[str, Made] = {}
        self._renamed: dict[str, dict[str, list[str]]] = {}
        self._digests: dict[tuple[Any, ...], str] = {}
        self._left = MOST_EARLIER

    def tasks(self, made: Made) -> tuple[Task, ...]:
        """Return the tasks of a job, each with its earlier places.

        Raises:
            AmbiguousError: see there.
            SpentError: there are too many earlier ones.
        """
        name = made.unit.name
        self._made[name] = made
        renamed = {key: names for need in made.needs for key, names in self._renamed[need].items()}
        self._renamed[name] = renamed | made.renamed()
        tasks = self._tasks_at(made, {}, self._recipes[0])
        self._digests[self._key(name, {}, self._recipes[0])] = _digest(tasks)
        earlier: dict[str, dict[Place, None]] = {}
        for key, place in self._earlier(made):
            earlier.setdefault(key, {})[place] = None
        if not earlier:
            return tasks
        return tuple(
            replace(task, earlier=tuple(place for place in earlier.get(task.key, ()) if place != _place(task)))
            for task in tasks
        )

    def names(self, name: str) -> tuple[str, ...]:
        """Return the names that a job had, as its spec and its workflow's say."""
        made = self._made[name]
        flow, own = name.partition(".")[0], made.unit.step or name
        mine = [own, *(form.name for form in made.forms if form.name)]
        if made.unit.step is None:
            found = mine
        else:
            found = [f"{each}.{step}" for each in (flow, *made.workflow_names) for step in mine]
        return tuple(dict.fromkeys(each for each in found if each != name))

    def _earlier(self, made: Made) -> Iterator[tuple[str, Place]]:
        """Yield the key of a task now, and a place that it had."""
        forms = [Form(), *(form for form in made.forms if form.matrix)]
        for recipe in self._recipes:
            for names in self._times(made.unit.name):
                for form in forms:
                    if not (form.matrix or names or recipe is not self._recipes[0]):
                        continue
                    try:
                        then = self._tasks_at(made, names, recipe, form)
                    except AmbiguousError:
                        continue
                    for now, task in zip(_keys_now(made, form), then, strict=True):
                        yield now, _place(task)

    def _times(self, name: str) -> Iterator[Names]:
        """Yield which names there were at each time: first those of now, of which none is said."""
        renamed = self._renamed[name]
        for names in islice(product(*renamed.values()), MOST_TIMES):
            then = dict(zip(renamed, names, strict=True))
            yield {key: each for key, each in then.items() if each != renamed[key][0]}

    def _tasks_at(self, made: Made, names: Names, recipe: Recipe, form: Form | None = None) -> tuple[Task, ...]:
        form = form or Form()
        if names or form.matrix or recipe is not self._recipes[0]:
            self._left -= len(made.points.values) if made.points else 1
            if self._left < 0:
                raise SpentError(
                    f"had other names and forms: all tasks of a commit may have had {MOST_EARLIER} of them"
                )
        name = self._name(made.unit, names)
        if form.name:
            name = ".".join([*name.split(".")[:-1], form.name])
        data, points = dict(made.unit.data), made.points
        if form.matrix and points is not None:
            data |= {} if form.command is None else {"command": form.command}
            data |= {} if form.env is None else {"env": form.env}
            keys = _keys_now(made, form)
            points = _points_then(points, form)
            if isinstance(rerun := data.get("rerun"), dict):
                data["rerun"] = _rerun_then(rerun, keys, points)
        values = dict(made.values) | {"job.name": name}
        if made.unit.step is not None:
            values["workflow.name"], _, values["step.name"] = name.partition(".")
        around = Surroundings(
            values=values,
            image=self._identities[made.image, recipe.images] if made.image else None,
            files=made.files,
            needs={self._name(self._made[need].unit, names): self._digest(need, names, recipe) for need in made.needs},
            late=made.late,
            recipe=recipe,
            spelling=self._spelling(made, names) if names else {},
        )
        return tasks_of(Unit(name, data, made.unit.workflow, made.unit.step), points, around)

    def _name(self, unit: Unit, names: Names) -> str:
        """Return the name that a job had."""
        if unit.step is None:
            return names.get(f"Job/{unit.name}", unit.name)
        flow = unit.name.partition(".")[0]
        return f"{names.get(f'Workflow/{flow}', flow)}.{names.get(f'Step/{unit.name}', unit.step)}"

    def _digest(self, name: str, names: Names, recipe: Recipe) -> str:
        """Return the digest of all tasks of a job that is needed, as it was."""
        key = self._key(name, names, recipe)
        if key not in self._digests:
            self._digests[key] = _digest(self._tasks_at(self._made[name], names, recipe))
        return self._digests[key]

    def _key(self, name: str, names: Names, recipe: Recipe) -> tuple[Any, ...]:
        return name, recipe, *((key, names[key]) for key in self._renamed[name] if key in names)

    def _spelling(self, made: Made, names: Names) -> dict[str, str]:
        """Return how look-ups that wait for a run were spelt."""
        spelling = {}
        for late in made.late:
            group = "steps" if late.text.startswith(lookups.spelt("steps.").removesuffix(" }}")) else "needs"
            name = self._name(self._made[late.job].unit, names)
            name = name.partition(".")[2] if group == "steps" else name
            spelling[late.text] = lookups.spelt(f"{group}.{name}.{late.what}")
        return spelling


def _digest(tasks: Sequence[Task]) -> str:
    return digest_of(sorted(task.digest for task in tasks))


def _place(task: Task) -> Place:
    return Place(task.job, task.key, task.digest)


def _kept(points: Points, form: Form) -> list[tuple[str, ...]]:
    at = {points.axes.index(axis): value for axis, value in form.matrix.items()}
    return [point for point in points.values if all(point[index] == value for index, value in at.items())]


def _keys_now(made: Made, form: Form) -> list[str]:
    """Return the keys that the points of a form have now."""
    if made.points is None:
        return [""]
    axes = made.points.axes
    return [key_of(dict(zip(axes, point, strict=True))) for point in _kept(made.points, form)]


def _points_then(points: Points, form: Form) -> Points | None:
    """Return the points as they were, in the same order; None where there was no matrix."""
    left = [index for index, axis in enumerate(points.axes) if axis not in form.matrix]
    if not left:
        return None
    values = [tuple(point[index] for index in left) for point in _kept(points, form)]
    return Points(tuple(points.axes[index] for index in left), values)


def _rerun_then(rerun: Mapping[str, Any], keys: Sequence[str], points: Points | None) -> Any:
    """Return ``rerun`` with the keys that the tasks had: what was to run again since then has another digest."""
    if points is None:
        return rerun.get(keys[0])
    then = [key_of(dict(zip(points.axes, point, strict=True))) for point in points.values]
    return {old: rerun[now] for now, old in zip(keys, then, strict=True) if now in rerun}
