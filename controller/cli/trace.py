"""``controller trace``: the way from the commit to the result of one task."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from controller.cli.options import Given, output_option, repository_options
from controller.cli.output import say
from controller.cli.status import read_statuses
from controller.model.conditions import ResourceStatus, TaskStatus
from controller.model.errors import ControllerError
from controller.model.runs import place_of

if TYPE_CHECKING:
    from controller.model.resources import Desired
    from controller.reconcile.settings import Settings
    from controller.reconcile.tracing import Link, Sources
    from controller.repository.mirror import Mirror


@click.command(name="trace")
@click.argument("name", metavar="NAME[/TASK]")
@output_option("table", "json")
@repository_options
def command(given: Given, name: str, output: str) -> None:
    """Show where the result of NAME (a job of one task, JOB/TASK, or WORKFLOW/STEP[/TASK]) comes from.

    From the commit by way of image, files and script to the scheduler's job and its results; what is not known says
    why. The values are those that ran, from the run's own lock.
    """
    from controller.cli.composition import open_mirror, settings_from
    from controller.cli.output import print_json
    from controller.cli.removed import with_removed
    from controller.reconcile.tracing import chain

    settings = settings_from(given)
    mirror = open_mirror(settings)
    statuses = read_statuses(mirror, settings.status_branch)
    status, task = _task(with_removed(mirror, settings.status_branch, statuses, name), name)
    links = chain(_sources(settings, mirror, status, task))
    if output == "json":
        print_json(_document(task, status, links))
    else:
        _print(task, status, links)


def _task(statuses: list[ResourceStatus], wanted: str) -> tuple[ResourceStatus, TaskStatus]:
    from controller.cli.names import did_you_mean, spelt, split_kind

    work = [each for each in statuses if each.kind in ("Job", "Workflow")]
    typed, (kind, wanted) = wanted, split_kind(spelt(wanted, work))
    name = wanted.partition("/")[0]
    status = next((each for each in work if kind in ("", each.kind) and each.name == name), None)
    if status is None:
        raise click.UsageError(f'there is no status of a job "{name}"{did_you_mean(typed, work)}')
    below = [task for task in status.tasks if task.id == wanted or task.id.startswith(f"{wanted}/")]
    if len(below) == 1:
        return status, below[0]
    if below:
        raise click.UsageError(f"{wanted} has {len(below)} tasks; name one, such as {below[0].id}")
    raise click.UsageError(f'there is no task "{typed}"{did_you_mean(typed, work)}')


def _sources(settings: Settings, mirror: Mirror, status: ResourceStatus, task: TaskStatus) -> Sources:
    from controller.cli.removed import cluster_of
    from controller.clusters.provenance import read_provenance
    from controller.reconcile.clients import Clients
    from controller.reconcile.tracing import Sources
    from controller.specs.compile import load

    mirror.fetch(settings.branch)
    now = load(mirror.tree(mirror.head(settings.branch), settings.path))
    sources = Sources(job=_job_of(status, task), task=task, seen=None, now=now, then=None, unasked=_NOT_RUN)
    if task.run_dir is None:
        return replace(sources, lost=_NOT_RUN)
    cluster = cluster_of(settings, mirror, status, task)
    if cluster is None:
        said = f"cluster {task.cluster or status.cluster} is no longer in the repository, so it cannot be asked"
        return replace(sources, unasked=said, lost=said)
    instance, run = place_of(task.run_dir)
    clients = Clients(instance, ssh_config=settings.ssh_config)
    try:
        seen = read_provenance(clients.of(cluster).trace(run))
    except ControllerError as error:
        said = f"cluster {cluster.name} could not be asked: {error.message}"
        return replace(sources, unasked=said, lost=said)
    finally:
        clients.close()
    then, lost = _at(settings, mirror, now, str((seen.lock or {}).get("commit", "")))
    return replace(sources, seen=seen, then=then, unasked="", lost=lost)


_NOT_RUN = "it has not run yet"


def _job_of(status: ResourceStatus, task: TaskStatus) -> str:
    """Return the job's name, ``<workflow>.<step>`` for a step."""
    return ".".join(task.id.split("/")[:2]) if status.kind == "Workflow" else status.name


def _at(settings: Settings, mirror: Mirror, now: Desired, commit: str) -> tuple[Desired | None, str]:
    """Return the desired state of the run's commit, or why there is none."""
    from controller.specs.compile import load

    if not commit:
        return None, "the run's commit is not known"
    if commit == now.commit:
        return now, ""
    try:
        return load(mirror.tree(commit, settings.path)), ""
    except ControllerError as error:
        return None, error.message


def _document(task: TaskStatus, status: ResourceStatus, links: list[Link]) -> dict[str, Any]:
    return {
        "task": task.id,
        "attempt": task.attempt,
        "cluster": task.cluster or status.cluster,
        "links": {link.name: {"value": link.value, "note": link.note} for link in links},
    }


def _print(task: TaskStatus, status: ResourceStatus, links: list[Link]) -> None:
    say(f"{task.id}, attempt {task.attempt or '-'}, on {task.cluster or status.cluster or 'no cluster'}")
    for link in links:
        first, *more = _lines(link)
        say(f"  {link.name:<14}{first}".rstrip())
        for line in more:
            say(f"  {'':<14}{line}")


def _lines(link: Link) -> list[str]:
    """Return a link as lines: values as they are, and what is missing in brackets with its reason."""
    note = f"  ({link.note})" if link.note else ""
    match link.value:
        case None:
            return [f"- {note.strip()}" if note else "-"]
        case bool():
            return [f"{'yes' if link.value else 'no'}{note}"]
        case {"metrics": metrics, "files": files}:
            rows = [f"{name} = {value}" for name, value in metrics.items()]
            rows += [f"{path} ({size} bytes)" for path, size in files.items()]
            return rows or [f"-{note}"]
        case dict():
            return [f"{name}={value}" for name, value in link.value.items()] or ["-"]
        case _:
            first, *more = str(link.value).splitlines() or [""]
            return [first + ("" if more else note), *more]
