"""``controller plan``: what a pass would do, in words that a person can approve."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from controller.cli.options import Given, output_option, repository_options

if TYPE_CHECKING:
    from controller.reconcile.passes import Prospect


@click.command(name="plan")
@output_option("table", "json")
@repository_options
def command(given: Given, output: str) -> None:
    """Show what the next pass would do and why, and what keeps tasks waiting. Changes nothing.

    \b
    Exit codes: 0 nothing to do, 1 changes pending, 2 error.
    """
    from controller.cli.composition import open_reconciler, settings_from
    from controller.model.errors import ControllerError
    from controller.service.logs import configure_logging

    configure_logging("critical")
    settings = settings_from(given)
    try:
        with open_reconciler(settings, say=lambda key, text: None) as reconciler:
            ahead = reconciler.look_ahead()
            subject = reconciler.mirror.commit_info(ahead.desired.commit).subject
    except ControllerError as error:
        click.echo(f"error: {error.reason}: {error.message}", err=True)
        sys.exit(2)
    if output == "json":
        _print_json(ahead)
    else:
        _print_text(ahead, subject)
    if ahead.desired.problems and not ahead.plan.actions:
        sys.exit(2)
    sys.exit(1 if ahead.plan.actions or ahead.plan.holds else 0)


def _print_text(ahead: Prospect, subject: str) -> None:
    from controller.model.digests import short
    from controller.planning.describe import steps_of
    from controller.specs.excerpts import draw

    for problem in ahead.desired.problems:
        click.echo(draw(problem), err=True)
    for warning in ahead.desired.warnings:
        click.echo(draw(replace(warning, message=f"warning: {warning.message}")), err=True)
    click.echo(f"Commit {short(ahead.desired.commit)}: {subject}")
    steps = steps_of(ahead.plan)
    if not steps:
        click.echo("Nothing to do.")
    for step in steps:
        after = f" (after {', '.join(map(str, step.after))})" if step.after else ""
        click.echo(f"{step.number:3}. {step.what}{after}\n     because: {step.why}")
    for hold in ahead.plan.holds:
        click.echo(f"Held back: {hold.reason}: {hold.message}")
    waiting = [
        task
        for status in ahead.plan.statuses
        for task in status.tasks
        if task.state == "Waiting" and task.reason != "Planned"
    ]
    for task in waiting[:50]:
        click.echo(f"Waiting: {task.id}: {task.reason}: {task.message}")
    if len(waiting) > 50:
        click.echo(f"Waiting: and {len(waiting) - 50} more tasks")


def _print_json(ahead: Prospect) -> None:
    from dataclasses import asdict

    from controller.cli.output import print_json
    from controller.model.documents import to_document
    from controller.planning.describe import steps_of

    print_json(
        {
            "commit": ahead.desired.commit,
            "actions": [asdict(step) for step in steps_of(ahead.plan)],
            "held": [asdict(hold) for hold in ahead.plan.holds],
            "problems": [asdict(problem) for problem in ahead.desired.problems],
            "warnings": [asdict(warning) for warning in ahead.desired.warnings],
            "resources": [to_document(status) for status in ahead.plan.statuses],
        }
    )
