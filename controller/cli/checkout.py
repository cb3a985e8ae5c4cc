"""What of the checkout that a command is called in the controller cannot know, said on standard error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from controller.cli.output import say

if TYPE_CHECKING:
    from controller.reconcile.settings import Settings
    from controller.repository.mirror import Mirror


def say_unpublished(settings: Settings, mirror: Mirror, commit: str) -> None:
    """Say what is not committed or not pushed here; ``commit`` is what the controller reads, or has read."""
    from controller.model.errors import ControllerError
    from controller.repository.unpublished import unpublished

    try:
        branch = settings.branch or mirror.default_branch()
    except ControllerError:
        branch = "the branch"
    for line in unpublished(Path.cwd(), mirror.url, branch=branch, commit=commit, path=settings.path):
        say(f"note: {line}", err=True)
