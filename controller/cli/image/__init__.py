"""``controller image``: what is done with images by hand. One file a verb, and a line in the table."""

from __future__ import annotations

import click

from controller.cli.verbs import Verbs

VERBS = {
    "template": "Begin an image from a template.",
    "test": "Run an image's test here and now.",
    "fix": "Mend an image that does not build or pass, step by step.",
    "list": "List every image and SIF file, and what uses it.",
    "log": "Show what a build has said.",
    "prune": "Clear away what nothing uses any more.",
}


@click.command(cls=Verbs, package=__name__, table=VERBS)
def command() -> None:
    """Start, test, mend, list and clear away container images."""
