"""``controller suspend``: nothing new of a job, a step or a task is submitted from the next commit on."""

from __future__ import annotations

import click

from controller.cli.options import Given
from controller.cli.spec_change import Verb, change_options, run_change


@click.command(name="suspend")
@change_options
def command(given: Given, name: str, message: str | None, dry_run: bool, output: str) -> None:
    """Suspend NAME (a job or workflow), WORKFLOW/STEP, or one task of it, by a commit to the spec branch.

    Nothing new is submitted until it is resumed; what is queued or running goes on.
    """
    from controller.specs.requests import suspended

    verb = Verb(
        imperative="Suspend",
        past="suspended",
        already="is suspended already",
        ask=suspended,
        said="Nothing new of it is submitted; what is queued or running goes on.",
    )
    run_change(verb, given, name, message, dry_run=dry_run, output=output)
