"""``controller approve``: a person's word that what the brakes hold back may go ahead."""

from __future__ import annotations

from collections.abc import Sequence

import click

from controller.cli.options import Given, repository_options
from controller.model.conditions import Condition, ResourceStatus, Truth

_HELD = ("MassCancel", "NotADescendant")
_MOST_SHOWN = 20


@click.command(name="approve")
@click.argument("commit", required=False)
@click.option("-m", "--message", metavar="TEXT", help="First line of the commit's message.")
@click.option("--dry-run", is_flag=True, help="Only show what is held back.")
@repository_options
def command(given: Given, commit: str | None, message: str | None, dry_run: bool) -> None:
    """Show what is held back, and let it go ahead by an empty commit on the spec branch.

    The word is for the newest commit alone: with COMMIT, only if that is still it; and only if a pass has looked at it.
    """
    from controller.cli.composition import open_mirror, settings_from
    from controller.cli.spec_change import open_spec_branch
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
    _show(held)
    if dry_run:
        return
    text = f"{message or f'Approve {tip[:12]}'}\n\n{TRAILER}: yes"
    made = open_spec_branch(settings, mirror).change(lambda tip: {}, text, only_on=tip)
    assert made is not None
    assert made.id is not None
    click.echo(f"approved {tip[:12]}: commit {made.id[:12]} on {made.branch}")
    click.echo("It goes ahead with the next pass.")


def held_in(statuses: Sequence[ResourceStatus]) -> list[tuple[ResourceStatus, Condition]]:
    """Return the resources that the brakes keep as they are, each with the condition that says so."""
    return [
        (status, condition)
        for status in statuses
        for condition in status.conditions
        if condition.type == "Stalled" and condition.status is Truth.TRUE and condition.reason in _HELD
    ]


def _show(held: Sequence[tuple[ResourceStatus, Condition]]) -> None:
    for reason, message in dict.fromkeys((condition.reason, condition.message) for _, condition in held):
        click.echo(f"held back: {reason}: {message}")
    for status, _ in held[:_MOST_SHOWN]:
        active = [task.id for task in status.tasks if task.state in ("Queued", "Running", "Submitting", "Unknown")]
        runs = status.details.get("previous_runs") or ", ".join(active[:5])
        click.echo(f"  {status.kind} {status.name}" + (f": {runs}" if runs else ""))
    if len(held) > _MOST_SHOWN:
        click.echo(f"  and {len(held) - _MOST_SHOWN} more")
