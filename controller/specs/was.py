"""``was``: which earlier forms a Job, a step or a Workflow names, and what is wrong with them.

An old name may be claimed once, and only while nothing has it: otherwise it would not be clear whose its results are.
Must not make any digest; see ``earlier``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from controller.specs import lookups, matrix
from controller.specs.assembly import Assembly, InvalidError, PlacedSpec
from controller.specs.earlier import Form
from controller.specs.messages import dotted
from controller.specs.nearest import did_you_mean, shown
from controller.specs.units import Unit
from controller.specs.yaml_loader import Path

_REMEDY = "an old name is one that nothing has any more: take it out, or rename what has it"


def forms_of(data: Mapping[str, Any]) -> tuple[Form, ...]:
    """Return the earlier forms that a valid Job or step names, in its order."""
    return tuple(_form(each) for each in _items(data))


def old_names(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the old names in ``was``, as far as they can be read, each once."""
    names = (each.get("name") if isinstance(each, dict) else each for each in _items(data))
    return tuple(dict.fromkeys(name for name in names if isinstance(name, str)))


class Claims:
    """Who says of which name that it was its own."""

    def __init__(self, documents: Mapping[str, PlacedSpec]) -> None:
        self._by: dict[str, list[str]] = defaultdict(list)
        for key, document in documents.items():
            kind, _, name = key.partition("/")
            for old in old_names(document.spec.data):
                self._by[f"{kind}/{old}"].append(key)
            steps = document.spec.data.get("steps")
            for step, own in steps.items() if kind == "Workflow" and isinstance(steps, dict) else ():
                for old in old_names(own) if isinstance(own, dict) else ():
                    self._by[f"Step/{name}.{old}"].append(f"step {step}")

    def other(self, old: str, mine: str) -> str | None:
        """Return who else claims a name."""
        return next((each for each in self._by[old] if each != mine), None)


def checked(assembly: Assembly, document: PlacedSpec, unit: Unit, claims: Claims) -> Iterator[InvalidError]:
    """Yield the errors of the ``was`` of a Job or a step."""
    if unit.workflow is not None:
        own, steps = unit.step or "", unit.workflow["steps"]
        flow = unit.name.partition(".")[0]

        def fault(name: str) -> str | None:
            if name in steps and name != own:
                return f'the step "{name}" is still there, so this was not it'
            other = claims.other(f"Step/{flow}.{name}", f"step {own}")
            return f'"{name}" is claimed by {other} as well' if other else None

        yield from _checked(assembly, document, unit, own, fault)
    else:
        yield from _checked(
            assembly, document, unit, unit.name, lambda name: _fault(assembly, claims, "Job", unit.name, name)
        )


def checked_workflow(assembly: Assembly, document: PlacedSpec, claims: Claims) -> Iterator[InvalidError]:
    """Yield the errors of the ``was`` of a Workflow."""
    for number, name in enumerate(_items(document.spec.data)):
        path = _path(document.spec.data, ("was",), number)
        if name == document.spec.name:
            yield assembly.invalid(document, path, f'"{name}" is its own name', "name what it was before")
        elif (said := _fault(assembly, claims, "Workflow", document.spec.name, name)) is not None:
            yield assembly.invalid(document, path, said, _REMEDY)


def keep_in_force(assembly: Assembly, document: PlacedSpec) -> None:
    """Keep what a broken document says that it was: as long as nothing can take its place, it is not gone."""
    kind = document.spec.kind
    for number, name in enumerate(old_names(document.spec.data)):
        key = f"{kind}/{name}"
        if key in assembly.known or key in assembly.broken:
            continue
        assembly.broken.add(key)
        assembly.former.add(key)
        message = f"{key} stays in force until {document.resource or 'this'}, which was it, is valid"
        place = document.place(("was", number), ("was",))
        assembly.report(document.entry, place, message, "correct the errors in this document", key)


def _fault(assembly: Assembly, claims: Claims, kind: str, mine: str, name: str) -> str | None:
    key = f"{kind}/{name}"
    if key in assembly.known and key not in assembly.suspects:
        return f"{key} is still there, so this was not it"
    other = claims.other(key, f"{kind}/{mine}")
    return f'"{name}" is claimed by {other} as well' if other else None


def _checked(
    assembly: Assembly, document: PlacedSpec, unit: Unit, own: str, fault: Callable[[str], str | None]
) -> Iterator[InvalidError]:
    if not document.is_sound(*unit.path("was")):
        return
    for number, each in enumerate(_items(unit.data)):
        path, form = _path(unit.data, unit.path("was"), number), _form(each)
        at = (*path, "name") if isinstance(each, dict) and form.name else path
        if not (form.name or form.matrix):
            empty = f'"{dotted(path)}" says nothing of what it was'
            yield assembly.invalid(document, path, empty, "give it name or matrix")
        elif form.name == own and not form.matrix:
            yield assembly.invalid(document, at, f'"{form.name}" is its own name', "name what it was before")
        elif form.name and form.name != own and (said := fault(form.name)) is not None:
            yield assembly.invalid(document, at, said, _REMEDY)
        yield from _matrix_faults(assembly, document, unit, path, form)


def _matrix_faults(
    assembly: Assembly, document: PlacedSpec, unit: Unit, path: Path, form: Form
) -> Iterator[InvalidError]:
    if not form.matrix:
        for field, value in (("command", form.command), ("env", form.env)):
            if value is not None:
                message = f'"{field}" of an earlier form is of use beside matrix only: a changed command is a change'
                yield assembly.invalid(document, (*path, field), message, f"add matrix, or remove {field}")
        return
    if not document.is_sound(*unit.path("matrix")):
        return
    columns = _columns(unit)
    for axis, value in form.matrix.items():
        at = (*path, "matrix", axis)
        if axis not in columns:
            message = f"{shown(axis)} is no axis of this job's matrix{did_you_mean(axis, columns)}"
            yield assembly.invalid(document, at, message, f"axes: {', '.join(columns) or 'none'}")
            continue
        try:
            matrix.meant(columns, axis, value, ())
        except matrix.MatrixError as error:
            yield assembly.invalid(document, at, f'"{axis}" {error.message}', error.remedy)
    names = {name: why for name, why in unit.names().items() if not name.startswith("matrix.")}
    names |= {f"matrix.{axis}": None for axis in columns if axis not in form.matrix}
    texts: list[tuple[Path, str]] = [(("command",), form.command or "")]
    texts += [(("env", name), text) for name, text in (form.env or {}).items()]
    for where, text in texts:
        for wrong in lookups.faults(text, names, unit.late()):
            yield assembly.invalid(document, (*path, *where), wrong.message, wrong.remedy)


def meant(unit: Unit, forms: tuple[Form, ...]) -> tuple[Form, ...]:
    """Return valid forms with the values of axes as the matrix has them."""
    columns = _columns(unit)
    return tuple(
        replace(form, matrix={axis: matrix.meant(columns, axis, value, ()) for axis, value in form.matrix.items()})
        for form in forms
    )


def _columns(unit: Unit) -> dict[str, matrix.Values]:
    if "matrix" not in unit.data:
        return {}
    points = matrix.expand(unit.data["matrix"])
    columns = zip(*points.values, strict=True)
    return {axis: matrix.Values(column) for axis, column in zip(points.axes, columns, strict=True)}


def _items(data: Mapping[str, Any]) -> list[Any]:
    given = data.get("was")
    return given if isinstance(given, list) else [] if given is None else [given]


def _form(each: Any) -> Form:
    if not isinstance(each, dict):
        return Form(name=each)
    texts = {
        axis: value if isinstance(value, str) else str(value).lower() for axis, value in each.get("matrix", {}).items()
    }
    return Form(name=each.get("name", ""), matrix=texts, command=each.get("command"), env=each.get("env"))


def _path(data: Mapping[str, Any], start: Path, number: int) -> Path:
    return (*start, number) if isinstance(data.get("was"), list) else start
