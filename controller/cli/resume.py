"""``controller resume``: what was suspended goes on from the next commit on."""

from __future__ import annotations

import click

from controller.cli.options import Given
from controller.cli.spec_change import Verb, change_options, run_change


@click.command(name="resume")
@change_options
def command(given: Given, name: str, message: str | None, dry_run: bool, output: str) -> None:
    """Let a suspended NAME, WORKFLOW/STEP or task go on, by a commit to the spec branch.

    A whole job or workflow is resumed with all that was suspended of it.
    """
    from controller.specs.requests import resumed

    verb = Verb(imperative="Resume", past="resumed", already="is not suspended", ask=resumed)
    run_change(verb, given, name, message, dry_run=dry_run, output=output)
