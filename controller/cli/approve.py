"""``controller approve``: a person's word that what the brakes hold back may go ahead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from controller.cli.options import Given, output_option, repository_options
from controller.cli.output import say
from controller.model.conditions import ACTIVE, Condition, ResourceStatus, TaskState, Truth

if TYPE_CHECKING:
    from controller.repository.specbranch import SpecCommit

_HELD = ("LedgerDamaged", "MassCancel", "MassRerun", "NotADescendant")


@click.command(name="approve")
@click.argument("commit", required=False)
@click.option("-m", "--message", metavar="TEXT", help="First line of the commit's message.")
@click.option("--dry-run", is_flag=True, help="Only show what is held back.")
@output_option("text", "json")
@repository_options
def command(given: Given, commit: str | None, message: str | None, dry_run: bool, output: str) -> None:
    """Show every run that is held back, and let all of them go ahead by an empty commit on the spec branch.

    The word is for the newest commit alone: with COMMIT, only if that is still it; and only if a pass has looked at it.
    """
    from controller.cli.composition import open_mirror, settings_from
    from controller.cli.spec_change import open_spec_branch, print_commit, require_followed
    from controller.cli.status import read_statuses
    from controller.model.errors import StalledError
    from controller.planning.brakes import TRAILER

    settings = settings_from(given)
    mirror = open_mirror(settings)
    held = held_in(read_statuses(mirror, settings.status_branch))
    seen = mirror.commit_info(mirror.head(settings.status_branch)).trailers.get("Spec-Commit", "")
    if not held:
        raise StalledError("NothingHeld", f"nothing is held back at commit {seen[:12]}, so there is nothing to approve")
    mirror.fetch(settings.branch)
    tip = mirror.head(settings.branch)
    if commit is not None and (len(commit) < 4 or not tip.startswith(commit.lower())):
        raise StalledError("BranchMoved", f"the newest commit is {tip[:12]}, not {commit}; look again at what is held")
    if tip != seen:
        raise StalledError(
            "StatusOutdated",
            f"what is held back was seen at commit {seen[:12]}, and {tip[:12]} is newer: nobody knows yet what that"
            " would do; wait for a pass, or run controller reconcile",
        )
    require_followed(settings, mirror)
    if output == "text":
        _show(held)
    made = None
    if not dry_run:
        text = f"{message or f'Approve {tip[:12]}'}\n\n{TRAILER}: yes"
        made = open_spec_branch(settings, mirror).change(lambda tip: {}, text, only_on=tip)
    if output == "json":
        _print_json(tip, held, made)
    elif made is not None:
        say(f"approved {tip[:12]}")
        print_commit(made, settings, mirror)
        say("It goes ahead with the next pass.")


def held_in(statuses: Sequence[ResourceStatus]) -> list[tuple[ResourceStatus, Condition]]:
    """Return the resources that the brakes keep as they are, each with the condition that says so."""
    return [
        (status, condition)
        for status in statuses
        for condition in status.conditions
        if condition.type == "Stalled" and condition.status is Truth.TRUE and condition.reason in _HELD
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRun:
    """One run that a held resource still has. ``run`` is a task's id, or a run's own where its task has changed."""

    resource: str
    run: str
    state: str
    job_id: str | None = None
    cluster: str = ""


def runs_of(status: ResourceStatus) -> Iterator[HeldRun]:
    """Yield every active run of a resource: those that its commit no longer asks for, and those of its tasks."""
    for text in filter(None, status.details.get("previous_runs", "").split(", ")):
        run, _, state = text.rpartition(" ")
        yield HeldRun(resource=status.key, run=run, state=state, cluster=status.cluster)
    for task in status.tasks:
        if task.state in ACTIVE or (task.state is TaskState.WAITING and task.reason in _HELD):
            yield HeldRun(
                resource=status.key, run=task.id, state=task.state, job_id=task.job_id, cluster=status.cluster
            )


def _show(held: Sequence[tuple[ResourceStatus, Condition]]) -> None:
    """Print the reasons once, then a line for each run: an approval is for all of them."""
    from controller.cli.output import print_table

    for reason, message in dict.fromkeys((condition.reason, condition.message) for _, condition in held):
        say(f"held back: {reason}: {message}")
    runs = [run for status, _ in held for run in runs_of(status)]
    rows = [[run.resource, run.run, run.state, run.job_id or "", run.cluster] for run in runs]
    if rows:
        print_table(["RESOURCE", "RUN", "STATE", "JOB", "CLUSTER"], rows, spare=("CLUSTER", "JOB"))
    waiting = sum(run.state == TaskState.WAITING for run in runs)
    what = [f"{len(runs) - waiting} active runs"] if waiting < len(runs) or not waiting else []
    what += [f"{waiting} tasks that wait"] if waiting else []
    say(f"{' and '.join(what)} of {len(held)} resources are held back")


def _print_json(tip: str, held: Sequence[tuple[ResourceStatus, Condition]], made: SpecCommit | None) -> None:
    from controller.cli.output import print_json

    print_json(
        {
            "of": tip,
            "held": [
                {
                    "kind": status.kind,
                    "name": status.name,
                    "reason": condition.reason,
                    "message": condition.message,
                    "runs": [asdict(run) for run in runs_of(status)],
                }
                for status, condition in held
            ],
            "branch": made.branch if made else None,
            "commit": made.id if made else None,
            "checkout": str(made.checkout) if made and made.checkout else None,
        }
    )
