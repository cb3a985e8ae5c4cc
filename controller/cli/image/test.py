"""``controller image test``: an image's test in the foreground."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from controller.cli.options import Given, output_option, repository_options
from controller.cli.output import say

if TYPE_CHECKING:
    from controller.model.images import Image
    from controller.model.plans import Trial


@click.command(name="test")
@click.argument("name", metavar="NAME")
@click.option("--keep", is_flag=True, help="Keep the clone and what the test has written, and say where.")
@output_option("text", "json")
@repository_options
def command(given: Given, name: str, keep: bool, output: str) -> None:
    """Run the test of image NAME as it stands in the newest commit, whatever came of it before; build it if needed.

    \b
    Exit codes: 0 it passed, 1 it failed, 2 there is no such image or it has no test,
    3 the test could not run: the image does not build, no engine answers.
    """
    from controller.cli.composition import open_reconciler, settings_from
    from controller.cli.image.named import image_named
    from controller.reconcile.building import ensure_built
    from controller.reconcile.trials import trial_log, try_image
    from controller.service.logs import configure_logging

    configure_logging("critical")
    settings = settings_from(given)
    # What the test prints is the output, unless that is for a program.
    stream = sys.stderr if output == "json" else sys.stdout

    def show(piece: bytes) -> None:
        stream.buffer.write(piece)
        stream.flush()

    with open_reconciler(settings, say=lambda key, text: say(f"  {text}", err=True)) as reconciler:
        desired = reconciler.newest()
        image = image_named(desired, name)
        if image.test is None:
            where = f"{image.source.path}:{image.source.line}"
            raise click.UsageError(f"image {name} has no test; give it one in {where}: test: {{run_command: ...}}")
        log = trial_log(settings.state_dir, image, image.test)
        kept = log.with_suffix(".kept") if keep else None
        hands = reconciler.hands(desired)
        ensure_built(hands, image)
        trial = try_image(hands, image, image.test, output=show, keep=kept)
    _tell(image, trial, kept, output)
    sys.exit(0 if trial.passed else 1)


def _tell(image: Image, trial: Trial, kept: Path | None, output: str) -> None:
    from controller.cli.output import print_json

    if output == "json":
        print_json(
            {
                "image": image.name,
                "identity": image.identity,
                "passed": trial.passed,
                "reason": trial.reason,
                "message": trial.message,
                "commit": trial.commit,
                "log": trial.log,
                "kept": str(kept) if kept is not None else None,
            }
        )
        return
    word = "passed its test" if trial.passed else f"did not pass its test: {trial.message.splitlines()[0].rstrip(':')}"
    say(f"image {image.name} {word}", err=True)
    if kept is not None:
        say(f"the clone and what the test has written: {kept}", err=True)
