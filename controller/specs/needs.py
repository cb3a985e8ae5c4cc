"""What a unit of work needs: names to jobs, and the look-ups that wait for their runs.

Must not decide when anything runs.
"""

from __future__ import annotations

from collections.abc import Iterator

from controller.model.resources import Cluster, Job, LateValue
from controller.specs import lookups
from controller.specs.assembly import Assembly, InvalidError, PlacedSpec
from controller.specs.nearest import did_you_mean
from controller.specs.units import Unit


def keys_of(assembly: Assembly, name: str) -> list[str]:
    """Return which ``Kind/name`` of the commit a name in ``needs`` may stand for."""
    keys = [key for key in (f"Job/{name}", f"Workflow/{name}") if key in assembly.known]
    # What was only found in text that could not be read is not a second thing of that name.
    return [key for key in keys if key not in assembly.suspects] or keys[:1]


def needed(assembly: Assembly, document: PlacedSpec, unit: Unit) -> tuple[str, ...]:
    """Return the names of the jobs that a unit needs, each once, those of a Workflow step by step.

    Raises:
        InvalidError: a name leads nowhere, or to what is not valid; that has been reported.
    """
    jobs: list[str] = []
    wrong: InvalidError | None = None
    for number, name in unit.placed_outside:
        try:
            jobs += _outside(assembly, document, number, name)
        except InvalidError as error:
            wrong = error
    for number, name in unit.placed_siblings:
        try:
            jobs.append(_sibling(assembly, document, unit, number, name))
        except InvalidError as error:
            wrong = error
    if wrong is not None:
        raise wrong
    return tuple(dict.fromkeys(jobs))


def _outside(assembly: Assembly, document: PlacedSpec, number: int, name: str) -> tuple[str, ...]:
    path = ("needs", number)
    keys = keys_of(assembly, name)
    if len(keys) > 1:
        message = f'"{name}" is the name of a Job and of a Workflow, so it is not clear which is needed'
        raise assembly.invalid(document, path, message, "rename one of them")
    if not keys:
        raise assembly.missing(document, path, "Job or Workflow", name, _known(assembly))
    if keys[0] in assembly.broken:
        raise assembly.needs_broken(document, path, keys[0])
    if keys[0].startswith("Workflow/"):
        return assembly.workflows[name].steps
    if assembly.jobs[name].schedule is not None:
        message = f'"{name}" has a schedule, and nothing can follow its times yet'
        raise assembly.invalid(document, path, message, f"put what belongs together into one command of {name}")
    return (name,)


def _known(assembly: Assembly) -> Iterator[str]:
    """Yield the names of jobs and workflows; nothing is done unless they are asked for."""
    yield from sorted({key.partition("/")[2] for key in assembly.known if key.startswith(("Job/", "Workflow/"))})


def _sibling(assembly: Assembly, document: PlacedSpec, unit: Unit, number: int, name: str) -> str:
    steps = unit.workflow["steps"] if unit.workflow is not None else {}
    if name not in steps:
        if not document.is_sound("steps", name):
            raise InvalidError(name)
        message, remedy = f'there is no step named "{name}" in this Workflow{did_you_mean(name, steps)}', ""
        if keys_of(assembly, name):
            remedy = "a step needs steps of its own Workflow; name Jobs in the needs of the Workflow itself"
        raise assembly.invalid(document, unit.path("needs", number), message, remedy)
    job = f"{document.spec.name}.{name}"
    if job not in assembly.jobs:
        raise InvalidError(job)
    return job


def late_values(assembly: Assembly, document: PlacedSpec, unit: Unit, cluster: Cluster | None) -> tuple[LateValue, ...]:
    """Return the look-ups of a unit that wait for a run, each once, in the order of the texts.

    Those of jobs that are not valid themselves are left out: ``needed`` has reported them.

    Raises:
        InvalidError: one of them can have no value; that has been reported.
    """
    names = dict.fromkeys(name for _, text in unit.texts() for _, name in lookups.found(text) if lookups.is_late(name))
    values: list[LateValue] = []
    wrong: InvalidError | None = None
    for name in names:
        try:
            job, what = _meant(assembly, document, unit, name)
            if job not in assembly.jobs:
                continue
            _check(assembly, document, unit, name, assembly.jobs[job], what, cluster)
            values.append(LateValue(text=lookups.spelt(name), job=job, what=what))
        except InvalidError as error:
            wrong = error
    if wrong is not None:
        raise wrong
    return tuple(values)


def _meant(assembly: Assembly, document: PlacedSpec, unit: Unit, name: str) -> tuple[str, str]:
    """Return the job that a look-up names, and which of its values."""
    group, first, *rest = name.split(".")
    if group == "steps":
        return f"{document.spec.name}.{first}", ".".join(rest)
    path = unit.late_path(name)
    if first in assembly.workflows and first not in assembly.jobs:
        steps = {step.partition(".")[2]: step for step in assembly.workflows[first].steps}
        if rest[0] in steps and len(rest) > 1:
            return steps[rest[0]], ".".join(rest[1:])
        message = f'"{first}" is a Workflow: one of its steps has to be named{did_you_mean(rest[0], steps)}'
        raise assembly.invalid(document, path, message, f"write {lookups.spelt(f'needs.{first}.STEP.' + rest[-1])}")
    what = ".".join(rest)
    if first not in assembly.jobs:
        return first, what
    if what not in ("run_dir", "table") and (rest[0] != "results" or len(rest) != 2):
        shapes = ", ".join(f"needs.{first}.{shape}" for shape in ("run_dir", "table", "results.NAME"))
        raise assembly.invalid(document, path, f'unknown name "{name}": "{first}" is a Job', f"known names: {shapes}")
    return first, what


def _check(
    assembly: Assembly, document: PlacedSpec, unit: Unit, name: str, job: Job, what: str, cluster: Cluster | None
) -> None:
    """Refuse a look-up that could have no value, or one that is of no use where the unit runs."""
    path = unit.late_path(name)
    if what != "table" and len(job.tasks) > 1:
        table = lookups.spelt(name.removesuffix(what) + "table")
        message = f'"{name}" has no value: {_said(job)} has {len(job.tasks)} tasks'
        raise assembly.invalid(document, path, message, f"{table} is the path of a CSV file with a line for each")
    metric = what.removeprefix("results.")
    if metric != what and metric not in job.results.metrics:
        known = job.results.metrics
        message = f'{_said(job)} has no metric "{metric}"{did_you_mean(metric, known)}'
        remedy = "its metrics: " + ", ".join(known) if known else f"declare it in results.metrics of {_said(job)}"
        raise assembly.invalid(document, path, message, remedy)
    if metric == what and cluster is not None and job.cluster != cluster.name:
        message = f'"{name}" is of no use here: {_said(job)} runs on {job.cluster}, and this on {cluster.name}'
        raise assembly.invalid(document, path, message, "run both on one cluster, or look up results")


def _said(job: Job) -> str:
    return f'step "{job.name.partition(".")[2]}"' if job.workflow is not None else f'job "{job.name}"'
