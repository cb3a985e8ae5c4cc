"""``controller image``: what is done with images by hand. One file a verb, and a line in the table."""

from __future__ import annotations

import click

from controller.cli.verbs import Verbs

VERBS = {
    "template": "Begin an image from a template.",
}


@click.command(cls=Verbs, package=__name__, table=VERBS)
def command() -> None:
    """Start, test, mend, list and clear away container images."""
