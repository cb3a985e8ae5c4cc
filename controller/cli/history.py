"""``controller history``: what happened to a resource, from the status branch's own commits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from controller.cli.names import KINDS, did_you_mean, spelt, split_kind
from controller.cli.options import Given, output_option, repository_options
from controller.cli.output import say
from controller.cli.status import read_statuses, state_of
from controller.model.conditions import ResourceStatus, TaskStatus

if TYPE_CHECKING:
    from controller.repository.mirror import Mirror
    from controller.repository.statuslog import StatusChange


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing that happened. ``state`` "" with the reason ``Removed``: it is no longer told of."""

    time: str
    spec_commit: str
    status_commit: str
    task: str
    state: str
    reason: str
    message: str
    job_id: str | None
    attempt: int
    exit_code: int | None


@click.command(name="history")
@click.argument("name", metavar="NAME[/TASK]")
@click.option("--limit", type=click.IntRange(min=0), default=50, show_default=True, help="Newest so many; 0 is all.")
@output_option("table", "json")
@repository_options
def command(given: Given, name: str, limit: int, output: str) -> None:
    """Show what happened to NAME (a job, workflow, image or cluster) or to one of its tasks, newest last.

    Reads the status branch, so it says the same on every machine.
    """
    from itertools import islice

    from controller.cli.composition import open_mirror, settings_from
    from controller.cli.output import print_json, print_table
    from controller.repository.report import path_of
    from controller.repository.statuslog import changes

    settings = settings_from(given)
    mirror = open_mirror(settings)
    statuses = read_statuses(mirror, settings.status_branch)
    kinds, resource, task = _meant(spelt(name, statuses))
    tip = mirror.head(settings.status_branch)
    old = _old_names(mirror, tip, kinds, resource, statuses)
    paths = [path_of(kind, each) for kind in kinds for each in (resource, *old)]
    tasks = _ids(task, resource, old, statuses)
    found = (row for change in changes(mirror, tip, paths) for row in _rows(change, tasks, old))
    rows = list(islice(found, limit or None))[::-1]
    if not rows:
        what = "task" if task and any(each.name == resource for each in statuses) else "resource"
        raise click.UsageError(f'there has been no {what} "{name}"{did_you_mean(name, statuses)}')
    if output == "json":
        print_json([asdict(row) for row in rows])
        return
    headings = ["TIME", "SPEC COMMIT", "TASK", "STATE", "REASON", "JOB", "TRY", "EXIT"]
    print_table(headings, [_cells(row) for row in rows], stretch="REASON")
    if len(rows) == limit:
        say(f"(the newest {limit}; --limit 0 shows all)", err=True)


def _meant(name: str) -> tuple[tuple[str, ...], str, str]:
    """Return the kinds that may be meant, the resource's name, and the id of a task or step, "" for all."""
    kind, wanted = split_kind(name)
    resource, _, inner = wanted.partition("/")
    return (kind,) if kind else KINDS, resource, wanted if inner else ""


def _old_names(
    mirror: Mirror, tip: str, kinds: Sequence[str], resource: str, statuses: Sequence[ResourceStatus]
) -> list[str]:
    """Return the names that a resource had, as the statuses of each say of the one before it."""
    from controller.planning.carried import names_in
    from controller.repository.report import path_of
    from controller.repository.statuslog import changes

    work = [each for each in statuses if each.kind in kinds and each.name == resource]
    found, ahead = list[str](), [name for status in work for name in names_in(status)]
    while ahead:
        name = ahead.pop(0)
        if name in (*found, resource):
            continue
        found.append(name)
        past = changes(mirror, tip, [path_of(kind, name) for kind in kinds])
        last = next((change.before for change in past if change.before is not None), None)
        ahead += names_in(last) if last is not None else []
    return found


def _ids(task: str, resource: str, old: Sequence[str], statuses: Sequence[ResourceStatus]) -> list[str]:
    """Return what a task, or a step, was called; nothing where all of a resource is asked for."""
    from controller.planning.carried import WAS

    if not task:
        return []
    inner = task.removeprefix(f"{resource}/")
    step, slash, key = inner.partition("/")
    details = next((each.details for each in statuses if each.kind == "Workflow" and each.name == resource), {})
    steps = [each.replace(".", "/") for each in details.get(WAS.format(f"{resource}.{step}"), "").split(", ") if each]
    return [task, *(f"{each}/{inner}" for each in old), *(f"{each}{slash}{key}" for each in steps)]


def _rows(change: StatusChange, tasks: Sequence[str], renamed: Sequence[str]) -> Iterator[Row]:
    """Yield what one commit says anew, last task first, since the whole is turned round in the end."""
    after = change.after
    if after is None:
        if change.before is not None and not tasks and change.before.name not in renamed:
            yield _row(change, change.before.name, "", "Removed", "", None)
        return
    before = {each.id: each for each in change.before.tasks} if change.before else {}
    if not after.tasks and not tasks:
        if change.before is None or _said(change.before) != _said(after):
            yield _row(change, after.name, *_said(after), None)
        return
    for each in reversed(after.tasks):
        if tasks and not any(each.id == task or each.id.startswith(f"{task}/") for task in tasks):
            continue
        if (old := before.get(each.id)) is None or _told(old) != _told(each):
            yield _row(change, each.id, each.state.value, each.reason, each.message, each)


def _row(change: StatusChange, name: str, state: str, reason: str, message: str, task: TaskStatus | None) -> Row:
    return Row(
        time=change.time,
        spec_commit=change.spec_commit,
        status_commit=change.commit,
        task=name,
        state=state,
        reason=reason,
        message=message,
        job_id=task.job_id if task else None,
        attempt=task.attempt if task else 0,
        exit_code=task.exit_code if task else None,
    )


def _told(task: TaskStatus) -> tuple[object, ...]:
    return task.state, task.reason, task.job_id, task.attempt, task.exit_code, task.digest


def _said(status: ResourceStatus) -> tuple[str, str, str]:
    shown = next((each for each in status.conditions if each.type == "Ready"), None)
    return state_of(status), shown.reason if shown else "", shown.message if shown else ""


def _cells(row: Row) -> list[str]:
    code = "" if row.exit_code is None else str(row.exit_code)
    start = [row.time, row.spec_commit[:12], row.task, row.state, row.reason]
    return [*start, row.job_id or "", str(row.attempt or ""), code]
