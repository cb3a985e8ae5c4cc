"""A valid Image document to an Image: what it is made from found, its identity computed."""

from __future__ import annotations

from typing import Any

from controller.model.digests import digest_of
from controller.model.images import Build, Image
from controller.specs.assembly import DIGEST_VERSION, Assembly, PlacedSpec
from controller.specs.filesets import EscapeError, MissingPathError, normal
from controller.specs.ignore import BadPatternError


def add_image(assembly: Assembly, document: PlacedSpec) -> None:
    """Add the image of a document.

    Raises:
        InvalidError: the commit does not hold what it is made from; that has been reported.
    """
    origin = _build(assembly, document, document.spec.data["build"])
    assembly.images[document.spec.name] = Image(
        name=document.spec.name,
        source=assembly.source(document),
        identity=digest_of({"version": DIGEST_VERSION, **_said_by(origin)}),
        origin=origin,
    )


def _said_by(build: Build) -> dict[str, Any]:
    """Return what the identity covers. A key more than these would give every image a new identity."""
    return {
        "context": build.context.tree,
        "dockerfile": build.dockerfile,
        "args": dict(build.args),
        "target": build.target,
    }


def _build(assembly: Assembly, document: PlacedSpec, build: dict[str, Any]) -> Build:
    here = ("build", "context")
    try:
        context = assembly.files.context(build["context"])
    except MissingPathError as error:
        message = f'the build context "{build["context"]}" {error}'
        raise assembly.invalid(document, here, message) from error
    except EscapeError as error:
        raise assembly.invalid(document, here, str(error)) from error
    dockerfile = normal(build.get("dockerfile", "Dockerfile"))
    if dockerfile not in {each.path for each in context.entries}:
        where = ("build", "dockerfile") if "dockerfile" in build else here
        message = f'there is no "{dockerfile}" in the build context "{build["context"]}"'
        raise assembly.invalid(document, where, message, "add it, or name it in build.dockerfile")
    try:
        context = assembly.files.sent(context, dockerfile)
    except (BadPatternError, EscapeError) as error:
        message = f'the ignore file of the build context "{build["context"]}": {error}'
        raise assembly.invalid(document, here, message) from error
    return Build(context=context, dockerfile=dockerfile, args=dict(build.get("args", {})), target=build.get("target"))
