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
from controller.cli.exits import DONE, INTERRUPTED, NOT_REACHED, READER_LEFT, USAGE
from controller.cli.output import say
from controller.cli.process import prepare
from controller.cli.verbs import Verbs
from controller.model.errors import ConfigurationError, ControllerError, TransientError
from controller.model.failpoints import arm
from controller.model.machine import fault_of

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
    "move": "Go on after a repository, a cluster or a work directory has moved.",
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
    code = _run()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = _reader_left()
    except OSError as error:
        code = _output_failed(error)
    sys.exit(code)


def _run() -> int:
    try:
        prepare()
        if isinstance(sys.stdout, io.TextIOWrapper):
            # Names in a commit may be any bytes: what the terminal cannot show is no reason to fail.
            sys.stdout.reconfigure(errors="backslashreplace")
        armed = os.environ.get("CONTROLLER_FAILPOINTS")
        if armed:
            arm(Path(armed))
        cli.main(standalone_mode=False)
    except SystemExit as stop:
        if type(sys.stdout).__name__ == "PacifyFlushWrapper":
            # By this click says that the reader has left.
            return _reader_left()
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.exceptions.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        said = io.StringIO()
        error.show(said)
        say(said.getvalue(), err=True, nl=False)
        return USAGE
    except ControllerError as error:
        return _failed(error)
    except BrokenPipeError:
        return _reader_left()
    except Exception as error:
        if isinstance(error, OSError) and error.filename is None and not _writable():
            return _output_failed(error)
        fault = fault_of(error)
        if fault is None:
            raise
        return _failed(fault)
    return DONE


def _failed(error: ControllerError) -> int:
    say(f"error: {error.reason}: {error.message}", err=True)
    return USAGE if isinstance(error, ConfigurationError) else NOT_REACHED


def _reader_left() -> int:
    """Whoever read our output has left: nothing more is written, not even at the interpreter's end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return READER_LEFT


def _output_failed(error: OSError) -> int:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    what = f"this machine: standard output cannot be written: {error.strerror}"
    return _failed(TransientError("OutputFailed", f"{what}; what had been done is done. See: controller status"))


def _writable() -> bool:
    """Return whether standard output takes another line."""
    try:
        os.write(1, b"\n")
    except OSError:
        return False
    return True
