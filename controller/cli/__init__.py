"""The command line: one file a verb, imported when the verb is used.

Belongs here: options, exit codes, tables, and the one place that puts the objects together (``composition``). Does not
belong here: anything that another front end would need as well.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import click

from controller import __version__
from controller.cli.exits import INTERRUPTED, NOT_REACHED, READER_LEFT, USAGE
from controller.cli.verbs import Verbs
from controller.model.errors import ConfigurationError, ControllerError
from controller.model.failpoints import arm

VERBS = {
    "validate": "Check spec files, offline.",
    "schema": "Print the JSON Schema of specs, for editors.",
    "plan": "Show what a pass would do, and why.",
    "reconcile": "Run passes: make what exists match what the commit asks for.",
    "run": "Run passes for as long as the process lives.",
    "status": "Show where every resource stands.",
    "logs": "Show what a job has printed.",
    "history": "Show what happened to a resource.",
    "trace": "Show where a result comes from.",
    "suspend": "Submit nothing new of a job, by a commit.",
    "resume": "Let what was suspended go on, by a commit.",
    "rerun": "Run a job or a task again, by a commit.",
    "approve": "Let what is held back go ahead, by a commit.",
    "image": "Start, test, mend, list and clear away images.",
}


@click.command(
    cls=Verbs,
    package=__name__,
    table=VERBS,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "CONTROLLER"},
)
@click.version_option(__version__, message="controller %(version)s")
def cli() -> None:
    """A GitOps controller for containerised experiments on HPC clusters.

    Commit specs of images and jobs to a Git repository; the controller makes the clusters match the commit.
    """


def main() -> None:
    """Run the command; every failure ends in one line that says what is wrong, and an exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names in a commit may be any bytes: what the terminal cannot show is no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    armed = os.environ.get("CONTROLLER_FAILPOINTS")
    if armed:
        arm(Path(armed))
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.exceptions.Abort:
        sys.exit(INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(USAGE)
    except ControllerError as error:
        click.echo(f"error: {error.reason}: {error.message}", err=True)
        sys.exit(USAGE if isinstance(error, ConfigurationError) else NOT_REACHED)
    except BrokenPipeError:
        # Whoever read our output has left.
        sys.stderr.close()
        sys.exit(READER_LEFT)
