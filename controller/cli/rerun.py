"""``controller rerun``: a job, a step or a task runs once more, whatever became of it before."""

from __future__ import annotations

import time

import click

from controller.cli.options import Given
from controller.cli.spec_change import Verb, change_options, run_change


@click.command(name="rerun")
@change_options
def command(given: Given, name: str, message: str | None, dry_run: bool, output: str) -> None:
    """Run NAME (a job or workflow), WORKFLOW/STEP or one task again, by a commit to the spec branch.

    The time is written into the spec as `rerun`. What needs it runs again too. Earlier runs and their files stay.
    """
    from controller.specs.requests import FieldEdit, Subject, run_again, words_used

    def ask(subject: Subject) -> list[FieldEdit]:
        now, used = int(time.time()), words_used(subject)
        while (word := time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))) in used:
            now += 1
        return run_again(subject, word)

    verb = Verb(imperative="Rerun", past="to run again:", already="", ask=ask, runs_again=True)
    run_change(verb, given, name, message, dry_run=dry_run, output=output)
