"""``controller image log``: what a build has said, from the file kept of it on this machine."""

from __future__ import annotations

import sys
from shutil import copyfileobj

import click

from controller.cli.options import Given, repository_options
from controller.cli.output import say


@click.command(name="log")
@click.argument("image")
@click.option("--list", "listed", is_flag=True, help="Only list the logs that are kept, the newest first.")
@click.option("--before", default=0, metavar="N", help="The log of the build N before the newest.")
@repository_options
def command(given: Given, image: str, listed: bool, before: int) -> None:
    """Show the log of the newest build of IMAGE. It is on the machine that built it, for the last five builds."""
    from controller.cli.composition import settings_from
    from controller.model.errors import StalledError
    from controller.reconcile.buildlogs import built_here, logs_of
    from controller.specs.nearest import did_you_mean

    settings = settings_from(given)
    logs = logs_of(settings.state_dir, image)
    if listed and logs:
        for path in logs:
            say(path)
        return
    if not 0 <= before < len(logs):
        kept = f"{len(logs)} kept" if logs else f"none is kept{did_you_mean(image, built_here(settings.state_dir))}"
        raise StalledError("NoBuildLog", f"there is no such log of image {image} in {settings.state_dir}: {kept}")
    with logs[before].open("rb") as log:
        copyfileobj(log, sys.stdout.buffer)
    sys.stdout.buffer.flush()
