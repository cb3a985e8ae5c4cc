"""An image brought onto the engine for a command that needs it there now."""

from __future__ import annotations

from controller.model.errors import TransientError
from controller.model.images import Build, Image
from controller.model.plans import BuildImage
from controller.reconcile.acting import build
from controller.reconcile.hands import Hands


def ensure_built(hands: Hands, image: Image) -> None:
    """Build an image unless the engine has it, or does not make it at all.

    Raises:
        TransientError: BuildFailed, EngineUnavailable.
        StalledError: DockerfileInvalid.
    """
    if not isinstance(image.origin, Build):
        return
    seen = hands.engine.observe()
    if seen.images is None:
        raise TransientError(seen.error_reason, seen.error)
    if image.identity in seen.images:
        return
    build(hands, BuildImage(image=image, build=image.origin, why="asked for"))
