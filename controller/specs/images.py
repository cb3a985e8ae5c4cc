"""A valid Image document to an Image: its build context found, its identity computed."""

from __future__ import annotations

from controller.model.digests import digest_of
from controller.model.resources import Image
from controller.specs.assembly import DIGEST_VERSION, Assembly, PlacedSpec
from controller.specs.filesets import EscapeError, MissingPathError, normal


def add_image(assembly: Assembly, document: PlacedSpec) -> None:
    """Add the image of a document.

    Raises:
        InvalidError: the commit does not hold what it is built from; that has been reported.
    """
    build = document.spec.data["build"]
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
    args, target = dict(build.get("args", {})), build.get("target")
    hashed = {
        "version": DIGEST_VERSION,
        "context": context.tree,
        "dockerfile": dockerfile,
        "args": args,
        "target": target,
    }
    assembly.images[document.spec.name] = Image(
        name=document.spec.name,
        source=assembly.source(document),
        identity=digest_of(hashed),
        context=context,
        dockerfile=dockerfile,
        args=args,
        target=target,
    )
