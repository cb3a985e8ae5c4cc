"""An image of a commit by its name, or what to say when there is none that can be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from controller.model.images import Image
    from controller.model.resources import Desired


def image_named(desired: Desired, name: str) -> Image:
    """Return an image of a commit.

    Raises:
        click.UsageError: the commit has none of that name, or it is not valid.
    """
    from controller.specs.nearest import did_you_mean

    if name in desired.images:
        return desired.images[name]
    problem = next((problem for problem in desired.problems if problem.resource == f"Image/{name}"), None)
    if problem is not None:
        raise click.UsageError(f"image {name} is not valid: {problem.headline()}")
    raise click.UsageError(
        f"there is no image {name!r} in commit {desired.commit[:12]}{did_you_mean(name, desired.images)}"
    )
