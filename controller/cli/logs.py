"""``controller logs``: what a job's run has printed, straight from its run directory."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from controller.cli.options import Given, repository_options
from controller.cli.output import say

if TYPE_CHECKING:
    from controller.clusters.cluster import ClusterClient
    from controller.model.conditions import ResourceStatus, TaskStatus

_PIECE = 1 << 20
_PAUSE_S = 1.0


@click.command(name="logs")
@click.argument("job", metavar="JOB[/TASK]|WORKFLOW/STEP[/TASK]")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run has ended.")
@click.option("--stderr", is_flag=True, help="Standard error instead of standard output.")
@repository_options
def command(given: Given, job: str, follow: bool, stderr: bool) -> None:
    """Show what the newest run of JOB (or of one of its tasks) has printed."""
    from controller.cli.composition import open_mirror, settings_from
    from controller.cli.removed import cluster_of, with_removed
    from controller.cli.status import read_statuses
    from controller.model.errors import StalledError
    from controller.model.runs import place_of
    from controller.reconcile.clients import Clients

    settings = settings_from(given)
    mirror = open_mirror(settings)
    statuses = read_statuses(mirror, settings.status_branch, settings.branch)
    status, task = _find(with_removed(mirror, settings.status_branch, statuses, job), job)
    if task.run_dir is None:
        raise StalledError("NoOutput", f"{task.id} has not run yet: {task.state}, {task.reason}: {task.message}")
    cluster = cluster_of(settings, mirror, status, task)
    if cluster is None:
        raise StalledError(
            "ClusterUnknown",
            f"cluster {task.cluster or status.cluster} is no longer in the repository, so it is not known how to reach "
            f"{task.run_dir}",
        )
    instance, run = place_of(task.run_dir)
    clients = Clients(instance, ssh_config=settings.ssh_config)
    try:
        count = _copy(clients.of(cluster), run, "stderr" if stderr else "stdout", follow=follow)
    finally:
        clients.close()
    if count == 0 and not stderr:
        say(f"note: nothing on standard output; standard error: controller logs {task.id} --stderr", err=True)


def _find(statuses: list[ResourceStatus], wanted: str) -> tuple[ResourceStatus, TaskStatus]:
    """Return the task called JOB, JOB/TASK, WORKFLOW/STEP or WORKFLOW/STEP/TASK."""
    from controller.cli.names import did_you_mean, spelt, split_kind
    from controller.model.errors import StalledError

    typed, (kind, wanted) = wanted, split_kind(spelt(wanted, statuses))
    work = [status for status in statuses if status.tasks and kind in ("", status.kind)]
    for status in work:
        for task in status.tasks:
            if task.id == wanted:
                return status, task
    inside = [task.id for status in work for task in status.tasks if task.id.startswith(f"{wanted}/")]
    if inside:
        raise click.UsageError(f"{wanted} has {len(inside)} tasks; name one, such as {', '.join(inside[:3])}")
    for status in statuses:
        if not status.tasks and status.kind in ("Job", "Workflow") and status.name == wanted.partition("/")[0]:
            ready = next(each for each in status.conditions if each.type == "Ready")
            raise StalledError("NoOutput", f"{status.key} has not run yet: {ready.reason}: {ready.message}")
    raise click.UsageError(f'there is no job "{typed}"{did_you_mean(typed, work)}')


def _copy(client: ClusterClient, run: str, stream: str, *, follow: bool) -> int:
    """Copy a run's output to ours, piece by piece; with ``follow``, until the run says that it has ended.

    Returns:
        The number of bytes copied.
    """
    from controller.model.errors import StalledError, TransientError

    offset = 0
    ended = False
    while True:
        try:
            piece = client.read_output(run, stream, offset=offset, limit=_PIECE)
        except StalledError as error:
            if not follow or error.reason != "NoOutput" or ended:
                raise
            piece = b""
        except TransientError:
            if not follow:
                raise
            piece = b""
        _write(piece)
        offset += len(piece)
        if piece:
            continue
        if not follow or ended:
            return offset
        ended = client.has_ended(run)
        if not ended:
            time.sleep(_PAUSE_S)


def _write(piece: bytes) -> None:
    """Give a pipe the very bytes, and a terminal what they say: a job is no more to command it than anybody else."""
    if not sys.stdout.isatty():
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
    elif piece:
        text = piece.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
        say(text, nl=False)
        sys.stdout.flush()
