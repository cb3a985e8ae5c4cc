"""``controller status``: where every resource stands, as the status branch tells it."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from controller.cli.checkout import say_unpublished
from controller.cli.options import Given, output_option, repository_options
from controller.cli.output import say
from controller.model.conditions import ResourceStatus, TaskState, TaskStatus, Truth
from controller.model.labels import Requirement, SelectorError, parse_selector, selects

if TYPE_CHECKING:
    from controller.cli.freshness import Freshness
    from controller.reconcile.settings import Settings
    from controller.repository.mirror import Mirror


@click.command(name="status")
@click.argument("name", required=False)
@click.option(
    "-l",
    "--selector",
    multiple=True,
    metavar="LABELS",
    help="Only what has these labels: team=a,stage!=test, 'team in (a,b)', KEY, !KEY.",
)
@click.option("--freshness", is_flag=True, help="Only as of when that is, by which controller, at which commit.")
@output_option("table", "wide", "json", "yaml")
@repository_options
def command(given: Given, name: str | None, selector: tuple[str, ...], freshness: bool, output: str) -> None:
    """Show where every resource stands, or the one called NAME (a job, JOB/TASK, image or cluster).

    Reads the status branch, so it says the same on every machine. The last line says as of when.
    """
    selected = _selected(selector)
    from controller.cli.composition import open_mirror, settings_from
    from controller.cli.freshness import read_freshness, sentence
    from controller.cli.output import print_json, print_yaml
    from controller.cli.removed import with_removed
    from controller.model.documents import to_document
    from controller.repository.heartbeat import branch_of

    settings = settings_from(given)
    mirror = open_mirror(settings)
    every = read_statuses(mirror, settings.status_branch, branch_of(settings.status_branch), settings.branch)
    fresh = read_freshness(settings, mirror, now=time.time())
    if freshness:
        _print_freshness(fresh, output)
        return
    if name is not None:
        every = with_removed(mirror, settings.status_branch, every, name)
    found = _chosen(every, name)
    if (tip := mirror.tip(settings.branch)) is not None:
        say_unpublished(settings, mirror, tip)
    statuses = [status for status in found if selects(selected, status.labels)]
    _note_another(settings, mirror)
    documents = [to_document(status) for status in statuses]
    match output:
        case "json":
            print_json(documents)
        case "yaml":
            print_yaml(documents)
        case _ if name is None:
            print_statuses(statuses, wide=output == "wide")
        case _:
            for status in statuses:
                _print_one(status, wide=output == "wide")
    if output in ("table", "wide"):
        say(sentence(fresh))
    elif fresh.overdue:
        say(sentence(fresh), err=True)


def _print_freshness(fresh: Freshness, output: str) -> None:
    from controller.cli.freshness import document_of, sentence
    from controller.cli.output import print_json, print_yaml

    match output:
        case "json":
            print_json(document_of(fresh))
        case "yaml":
            print_yaml(document_of(fresh))
        case _:
            say(sentence(fresh))


def _selected(texts: Sequence[str]) -> tuple[Requirement, ...]:
    try:
        return tuple(part for text in texts for part in parse_selector(text))
    except SelectorError as error:
        raise click.UsageError(f"-l: {error}") from error


def read_statuses(mirror: Mirror, branch: str, *others: str | None) -> list[ResourceStatus]:
    """Return every status on the branch as of now; ``others`` are branches that are fetched with it.

    Raises:
        StalledError: there is no status yet (``NoStatus``).
    """
    from controller.model.errors import StalledError
    from controller.repository.report import parse
    from controller.repository.statusbranch import StatusBranch

    mirror.fetch(branch, *others)
    if mirror.tip(branch) is None:
        raise StalledError(
            "NoStatus", f"{mirror.url.shown} has no branch {branch} yet: has a pass run? controller reconcile --once"
        )
    return parse(StatusBranch(mirror, branch).read())


def _note_another(settings: Settings, mirror: Mirror) -> None:
    """Say on standard error when the status is that of another repository, path or branch than the one asked for."""
    from controller.model.leases import read_lease
    from controller.repository.identity import same_repository
    from controller.repository.statusbranch import RECORD, StatusBranch

    data = StatusBranch(mirror, settings.status_branch).top_file(RECORD)
    try:
        spot = read_lease(data).spot if data is not None else None
    except ValueError as error:
        say(f"note: {RECORD} on {settings.status_branch} cannot be read: {error}", err=True)
        return
    if spot is None:
        return
    other_branch = settings.branch is not None and spot.branch not in ("", settings.branch)
    if other_branch or spot.path != settings.path or not same_repository(spot.address, mirror.url.shown):
        say(f"note: this is the status of {spot}; `controller plan` says what a pass would do here", err=True)


def _chosen(statuses: Sequence[ResourceStatus], name: str | None) -> list[ResourceStatus]:
    if name is None:
        return list(statuses)
    from controller.cli.names import did_you_mean, spelt, split_kind

    kind, wanted = split_kind(spelt(name, statuses))
    resource, _, inner = wanted.partition("/")
    found = [status for status in statuses if status.name == resource and kind in ("", status.kind)]
    if inner:
        found = [part for status in found if (part := _part(status, wanted)) is not None]
    if not found:
        raise click.UsageError(f'there is no status of "{name}"{did_you_mean(name, statuses)}')
    return found


def _part(status: ResourceStatus, wanted: str) -> ResourceStatus | None:
    """Return a status with one of its tasks, or with those of one step; None when it has none such."""
    from dataclasses import replace

    tasks = tuple(task for task in status.tasks if task.id == wanted or task.id.startswith(f"{wanted}/"))
    return replace(status, tasks=tasks) if tasks else None


def print_statuses(statuses: Sequence[ResourceStatus], *, wide: bool) -> None:
    """Print one row a resource: jobs first, since those are what people look for."""
    from controller.cli.output import print_table

    order = {"Job": 0, "Image": 1, "Cluster": 2}
    headings = ["KIND", "NAME", "STATE", "TASKS", "JOB", "WHY"]
    if wide:
        charged = ["ACCOUNT", "PARTITION", "QOS"]
        headings = [*headings[:-1], "CLUSTER", *charged, "DIGEST", "COMMIT", "RUN DIR", "LABELS", "WHY"]
    rows = []
    for status in sorted(statuses, key=lambda status: (order.get(status.kind, 9), status.name)):
        row = [status.kind, status.name, state_of(status), _tasks(status), _job(status)]
        if wide:
            runs = status.tasks[0].run_dir if len(status.tasks) == 1 else None
            named = (_common(task.account for task in status.tasks), _common(task.partition for task in status.tasks))
            row += [
                status.cluster,
                *named,
                _common(task.qos for task in status.tasks),
                status.digest[:12],
                status.commit[:12],
                runs or "",
                _labels(status),
            ]
        rows.append([*row, _why(status)])
    if not rows:
        say("no resources")
        return
    print_table(headings, rows, stretch="WHY")


def state_of(status: ResourceStatus) -> str:
    """Return one word for a resource: a task's state for jobs, Ready, NotReady or Unknown for others."""
    conditions = {condition.type: condition for condition in status.conditions}
    if status.tasks:
        states = {task.state for task in status.tasks}
        for state in (
            TaskState.FAILED,
            TaskState.UNKNOWN,
            TaskState.RUNNING,
            TaskState.SUBMITTING,
            TaskState.QUEUED,
            TaskState.WAITING,
            TaskState.CANCELLED,
        ):
            if state in states:
                return str(state)
        return str(TaskState.SUCCEEDED)
    if "Stalled" in conditions and conditions["Stalled"].status is Truth.TRUE:
        return "Stalled"
    ready = conditions.get("Ready")
    if ready is None:
        return "Unknown"
    return {Truth.TRUE: "Ready", Truth.FALSE: "NotReady", Truth.UNKNOWN: "Unknown"}[ready.status]


def _labels(status: ResourceStatus) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(status.labels.items()))


def _tasks(status: ResourceStatus) -> str:
    if not status.tasks:
        return ""
    done = sum(task.state is TaskState.SUCCEEDED for task in status.tasks)
    return f"{done}/{len(status.tasks)}"


def _job(status: ResourceStatus) -> str:
    ids = [task.job_id for task in status.tasks if task.job_id]
    return ids[0] if len(set(ids)) == 1 else f"{len(set(ids))} jobs" if ids else ""


def _common(words: Iterable[str]) -> str:
    """Return what all tasks say, or how many different things they say."""
    found = {word for word in words if word}
    return f"{len(found)} different" if len(found) > 1 else next(iter(found), "")


def _why(status: ResourceStatus) -> str:
    """One line: the reason of whatever keeps the resource from being ready, its message's first line behind it."""
    conditions = {condition.type: condition for condition in status.conditions}
    stalled, ready = conditions.get("Stalled"), conditions.get("Ready")
    shown = stalled if stalled is not None and stalled.status is Truth.TRUE else ready
    if shown is None or (shown.status is Truth.TRUE and shown is ready):
        faults = [(name, fault) for task in status.tasks for name, fault in task.result_faults.items()]
        return f"result {faults[0][0]}: {faults[0][1]}" if faults else ""
    message = shown.message.splitlines()[0] if shown.message else ""
    return f"{shown.reason}: {message}" if message and message != shown.reason else shown.reason


def _print_one(status: ResourceStatus, *, wide: bool) -> None:
    from controller.cli.output import print_table

    say(f"{status.kind} {status.name}" + (f" on {status.cluster}" if status.cluster else ""))
    say(f"  from {status.path} at {status.commit[:12]}" + (f", digest {status.digest[:12]}" if status.digest else ""))
    if status.labels:
        say(f"  labels: {_labels(status)}")
    for name, value in status.details.items():
        say(f"  {name}: {value}")
    for condition in status.conditions:
        said = condition.message.replace("\n", "\n      ")
        say(f"  {condition.type}={condition.status} {condition.reason} since {condition.changed}")
        if said:
            say(f"      {said}")
    if status.tasks:
        say()
        counts = Counter(str(task.state) for task in status.tasks)
        if len(status.tasks) > 1:
            say("  " + ", ".join(f"{count} {state}" for state, count in sorted(counts.items())))
        headings = ["TASK", "STATE", "REASON", "JOB", "TRY", "STARTED", "ENDED", "EXIT"]
        metrics = list(dict.fromkeys(name for t in status.tasks for name in (*t.results, *t.result_faults)))
        headings += [name.upper() for name in metrics]
        rows = [[*_task_row(task), *(_result(task, name) for name in metrics)] for task in status.tasks]
        if wide:
            headings += ["ACCOUNT", "PARTITION", "QOS", "RUN DIR"]
            rows = [
                [*row, task.account, task.partition, task.qos, task.run_dir or ""]
                for row, task in zip(rows, status.tasks, strict=True)
            ]
        print_table(headings, rows, spare=("ENDED", "STARTED", "TRY", "EXIT", "JOB"))
    for task in status.tasks:
        for metric, fault in task.result_faults.items():
            say(f"\n  {task.id}: the result {metric} cannot be read: {fault}")
        if task.stderr_tail and task.state is TaskState.FAILED:
            tail = "\n".join(f"    {line}" for line in task.stderr_tail.splitlines()[-15:])
            say(f"\n  last lines of standard error of {task.id}:\n{tail}")
        if len(status.tasks) == 1 and task.run_dir:
            say(f"\n  run directory: {task.run_dir}")
    sys.stdout.flush()


def _result(task: TaskStatus, name: str) -> str:
    """Return a metric, or in brackets the reason why there is none."""
    fault = task.result_faults.get(name)
    return task.results.get(name, f"({fault.partition(':')[0]})" if fault else "")


def _task_row(task: TaskStatus) -> list[str]:
    code = "" if task.exit_code is None else str(task.exit_code)
    row = [task.id, str(task.state), task.reason, task.job_id or "", str(task.attempt or "")]
    row += [task.started or "", task.ended or "", code]
    return row
