"""Valid Job and Workflow documents to jobs: what they refer to found, their tasks made.

Called in such an order that whatever a job needs is there already. Must not decide what is done about any of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from controller.model.files import FileSet
from controller.model.images import Image
from controller.model.resources import Cluster, Job, LateValue, OnChange, OnRemove, Workflow
from controller.specs import decode, matrix, was
from controller.specs.assembly import Assembly, InvalidError, PlacedSpec
from controller.specs.budgets import SpentError
from controller.specs.earlier import Lineage, Made
from controller.specs.filesets import EscapeError, MissingPathError
from controller.specs.graph import drawn, ordered
from controller.specs.nearest import shown
from controller.specs.needs import keys_of, late_values, needed
from controller.specs.tasks import AmbiguousError
from controller.specs.units import Unit, units_of


def add_work(assembly: Assembly, documents: Mapping[str, PlacedSpec]) -> None:
    """Add the jobs and workflows of documents by ``Kind/name``; what is not valid is reported and broken."""
    needs = {
        key: [each for name in document.spec.data.get("needs", []) for each in keys_of(assembly, name)]
        for key, document in documents.items()
    }
    order, cycles = ordered(needs)
    in_cycles = [key for cycle in cycles for key in cycle]
    for cycle in cycles:
        names = tuple(key.partition("/")[2] for key in cycle)
        for place, key in enumerate(cycle):
            _report_cycle(assembly, documents[key], ("needs",), names, place)
            assembly.broken.add(key)
    lineage, claims = Lineage(assembly.identities, assembly.recipes), was.Claims(documents)
    for key in order:
        if key in assembly.broken:
            continue
        try:
            _add(assembly, documents[key], lineage, claims)
        except InvalidError:
            assembly.broken.add(key)
    for key in documents.keys() & assembly.broken:
        was.keep_in_force(assembly, documents[key])
    for key in in_cycles:
        examine_work(assembly, replace(documents[key], partial=True))


def examine_work(assembly: Assembly, document: PlacedSpec) -> None:
    """Report what leads nowhere in a document of which no job is made, since something else is wrong with it."""
    units = {unit.step or "": unit for unit in units_of(document.spec.kind, document.spec.name, document.spec.data)}
    for cycle in ordered({step: unit.siblings for step, unit in units.items()})[1]:
        for place, step in enumerate(cycle):
            _report_cycle(assembly, document, ("steps", step, "needs"), cycle, place)
    for unit in units.values():
        _looked_up(assembly, document, unit)
    was.keep_in_force(assembly, document)


def _report_cycle(
    assembly: Assembly, document: PlacedSpec, path: tuple[str | int, ...], cycle: tuple[str, ...], at: int
) -> InvalidError:
    name, following = cycle[at], cycle[(at + 1) % len(cycle)]
    data = document.spec.data
    own = data["steps"][name]["needs"] if path[0] == "steps" else data["needs"]
    message = f"needs go round in a circle: {drawn(cycle, at)}"
    return assembly.invalid(document, (*path, own.index(following)), message, "remove one of these needs")


def _add(assembly: Assembly, document: PlacedSpec, lineage: Lineage, claims: was.Claims) -> None:
    """Add a Job, or a Workflow with all of its steps."""
    spec = document.spec
    units = {unit.step or "": unit for unit in units_of(spec.kind, spec.name, spec.data)}
    order, cycles = ordered({step: unit.siblings for step, unit in units.items()})
    wrong: InvalidError | None = None
    if spec.kind == "Workflow":
        wrong = next(iter([*was.checked_workflow(assembly, document, claims)]), None)
    for cycle in cycles:
        for place, step in enumerate(cycle):
            wrong = _report_cycle(assembly, document, ("steps", step, "needs"), cycle, place)
    in_cycles = {step for cycle in cycles for step in cycle}
    made = []
    for step in order:
        if step in in_cycles:
            _looked_up(assembly, replace(document, partial=True), units[step])
            continue
        try:
            job = _job(assembly, document, units[step], lineage, claims)
        except InvalidError as error:
            wrong = error
        else:
            assembly.jobs[job.name] = job
            made.append(job.name)
    if wrong is not None:
        for name in made:
            del assembly.jobs[name]
        raise wrong
    if spec.kind == "Workflow":
        assembly.workflows[spec.name] = Workflow(
            name=spec.name,
            source=assembly.source(document),
            steps=tuple(unit.name for unit in units.values()),
            labels=dict(spec.data.get("labels", {})),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _LookedUp:
    """What a unit refers to, as far as it is there; ``valid`` if all of it is, and goes together."""

    valid: bool
    cluster: Cluster | None
    files: FileSet | None = None
    needs: tuple[str, ...] = ()
    late: tuple[LateValue, ...] = ()


def _looked_up(assembly: Assembly, document: PlacedSpec, unit: Unit) -> _LookedUp:
    """Look up all that a unit refers to; what is not there is reported, each by itself."""
    data = unit.data
    wrong = [
        *assembly.unresolved(document, unit.path("cluster"), "Cluster", data.get("cluster"), assembly.clusters),
        *assembly.unresolved(document, unit.path("image"), "Image", data.get("image"), assembly.images),
    ]
    cluster = assembly.clusters.get(data.get("cluster", ""))
    wrong += _misfits(assembly, document, unit, cluster)
    wrong += _growth_of_nothing(assembly, document, unit, cluster)
    files: FileSet | None = None
    needs: tuple[str, ...] = ()
    late: tuple[LateValue, ...] = ()
    try:
        files = _files(assembly, document, unit)
    except InvalidError as error:
        wrong.append(error)
    try:
        needs = needed(assembly, document, unit)
    except InvalidError as error:
        wrong.append(error)
    try:
        late = late_values(assembly, document, unit, cluster)
    except InvalidError as error:
        wrong.append(error)
    return _LookedUp(valid=not wrong, cluster=cluster, files=files, needs=needs, late=late)


def _job(assembly: Assembly, document: PlacedSpec, unit: Unit, lineage: Lineage, claims: was.Claims) -> Job:
    data = unit.data
    found = _looked_up(assembly, document, unit)
    cluster, files, jobs, late = found.cluster, found.files, found.needs, found.late
    if [*was.checked(assembly, document, unit, claims)] or not found.valid or cluster is None:
        raise InvalidError
    defaults = assembly.cluster_specs[cluster.name].data.get("defaults", {})
    resources = decode.resources({**defaults, **data.get("resources", {})})
    retries = decode.retries(data.get("retries", 0))
    image = assembly.images[data["image"]] if "image" in data else None
    made = Made(
        unit=unit,
        points=matrix.expand(data["matrix"]) if "matrix" in data else None,
        values=_values(document, unit, cluster, image),
        image=image.name if image else None,
        files=files.tree if files else None,
        needs=jobs,
        late=late,
        forms=was.meant(unit, was.forms_of(data)),
        workflow_names=was.old_names(document.spec.data) if unit.step else (),
    )
    text = len(data["command"]) + sum(map(len, data.get("env", {}).values()))
    try:
        assembly.budget.take_tasks(len(made.points.values) if made.points else 1, text)
        tasks = lineage.tasks(made)
    except SpentError as error:
        at, remedy = unit.path("matrix" if made.points else "command"), "ask for fewer tasks, or for shorter texts"
        raise assembly.invalid(document, at, f'job "{unit.name}" {error}', remedy) from error
    except AmbiguousError as error:
        message = f"in task {shown(str(error))}, its texts make up a look-up that is not written in them"
        raise assembly.invalid(document, unit.path("matrix"), message, 'keep "$" and "{{" out of the values') from error
    return Job(
        name=unit.name,
        source=assembly.source(document, document.place(("steps", unit.step))[0] if unit.step else None),
        cluster=cluster.name,
        tasks=tasks,
        image=image.name if image else None,
        files=files,
        resources=resources,
        on_change=OnChange(data.get("on_change", OnChange.REPLACE)),
        on_remove=OnRemove(data.get("on_remove", OnRemove.CANCEL)),
        suspend=data.get("suspend") is True,
        priority=data.get("priority", 0),
        workflow=document.spec.name if unit.step else None,
        needs=jobs,
        retries=retries,
        max_running=data.get("max_running"),
        schedule=decode.schedule(data.get("schedule")),
        results=decode.results(data.get("results", {})),
        binds=tuple(data.get("binds", ())),
        labels=dict(data.get("labels", {})) if unit.step is None else {},
        notice=_notice(assembly, document, unit),
        shell=decode.shell(data, cluster.shell),
        was=lineage.names(unit.name),
    )


def _misfits(assembly: Assembly, document: PlacedSpec, unit: Unit, cluster: Cluster | None) -> Iterator[InvalidError]:
    """Yield the errors of what does not go together with the image that a job has, or has not."""
    data = unit.data
    if not document.is_sound(*unit.path("image")):
        return
    if "image" in data and cluster is not None and cluster.containers == "none":
        message = f'cluster "{cluster.name}" runs no containers (containers: none), so a job on it has no image'
        remedy = "remove image, or set the cluster's containers"
        yield assembly.invalid(document, unit.path("image"), message, remedy)
    if data.get("binds") and "image" not in data:
        message = '"binds" is of no use without an image: the command runs outside of any container'
        yield assembly.invalid(document, unit.path("binds"), message, "name an image, or remove binds")


def _growth_of_nothing(
    assembly: Assembly, document: PlacedSpec, unit: Unit, cluster: Cluster | None
) -> Iterator[InvalidError]:
    """Yield the errors of retries that are to multiply what is not asked for at all."""
    if cluster is None:
        return
    grow = unit.data["retries"].get("grow", {}) if isinstance(unit.data.get("retries"), dict) else {}
    defaults = assembly.cluster_specs[cluster.name].data.get("defaults", {})
    for field in ("memory", "time"):
        asked = field in defaults or field in unit.data.get("resources", {})
        if grow.get(field, 1) != 1 and not asked and document.is_sound(*unit.path("resources", field)):
            message = f'"retries.grow.{field}" has nothing to multiply: no resources.{field} is set'
            remedy = f"set resources.{field} here, or {field} in the cluster's defaults"
            yield assembly.invalid(document, unit.path("retries", "grow", field), message, remedy)


def _values(document: PlacedSpec, unit: Unit, cluster: Cluster, image: Image | None) -> dict[str, str]:
    """Return the look-ups whose values are the same for every task."""
    values = {"job.name": unit.name, "cluster.name": cluster.name}
    if image is not None:
        values["image.name"] = image.name
    if unit.step is not None:
        values |= {"workflow.name": document.spec.name, "step.name": unit.step}
    return values


def _notice(assembly: Assembly, document: PlacedSpec, unit: Unit) -> str:
    """Return what is missing of a unit's files, and warn of it where they are named."""
    missing = assembly.files.absent(paths) if (paths := unit.data.get("files", [])) else None
    if not missing:
        return ""
    assembly.warn(document, unit.path("files"), str(missing), missing.remedy)
    return str(missing)


def _files(assembly: Assembly, document: PlacedSpec, unit: Unit) -> FileSet | None:
    paths = unit.data.get("files", [])
    missing = None
    for number, path in enumerate(paths):
        if path is None:
            continue
        where = unit.path("files", number)
        try:
            assembly.files.select([path])
        except MissingPathError as error:
            missing = assembly.invalid(document, where, f'"{path}" {error}', error.remedy)
        except EscapeError as error:
            missing = assembly.invalid(document, where, str(error), error.remedy)
    if missing is not None:
        raise missing
    return assembly.files.select(paths) if paths and not document.partial else None
