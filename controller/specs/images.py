"""A valid Image document to an Image: what it is made from found, its identity computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

from controller.model.digests import digest_of
from controller.model.files import FileSet
from controller.model.images import Build, Image, ImageTest, Origin, RegistryImage, SifFile
from controller.specs.absent import Absent
from controller.specs.assembly import Assembly, InvalidError, PlacedSpec
from controller.specs.dockerfiles import buildkit_only_in
from controller.specs.filesets import EscapeError, Files, MissingPathError, normal
from controller.specs.ignore import BadPatternError
from controller.specs.image_tests import image_test
from controller.specs.nearest import did_you_mean
from controller.specs.outside import (
    Answer,
    GitSource,
    PinnedDigest,
    PinnedTree,
    Source,
    Unresolved,
    source_in,
)
from controller.specs.references import reference_of
from controller.specs.templates import (
    DESCRIPTION,
    RENDERED,
    Template,
    TemplateError,
    builtin,
    builtin_names,
    read_template,
)
from controller.specs.yaml_loader import Path

_WAYS = ("build", "from", "sif")
_ASIDE = (("build", "args"), ("build", "target"))
"""What says nothing of where an image comes from."""


def add_image(assembly: Assembly, document: PlacedSpec) -> None:
    """Add the image of a document.

    Raises:
        InvalidError: what it is made from is not there, or not known, or its test cannot run; that has been reported.
    """
    data = document.spec.data
    origin, answer, test = _checked(assembly, document)
    if origin is None:
        raise InvalidError
    missing = _missing(assembly, document, origin, answer)
    kind, said = _said_by(origin)
    said["rebuild"] = str(data["rebuild"]) if "rebuild" in data else None
    identities = {recipe.images: digest_of(recipe.covered(kind, said)) for recipe in assembly.recipes}
    assembly.identities |= {(document.spec.name, version): each for version, each in identities.items()}
    assembly.images[document.spec.name] = Image(
        name=document.spec.name,
        source=assembly.source(document),
        identity=identities[assembly.recipes[0].images],
        origin=origin,
        test=test,
        rebuild=str(data.get("rebuild", "")),
        registry=document.spec.data.get("registry"),
        notice="; ".join(
            filter(None, (_notice(answer), str(missing or ""), _buildkit(assembly, document, origin, answer)))
        ),
        labels=dict(data.get("labels", {})),
    )


def examine_image(assembly: Assembly, document: PlacedSpec) -> None:
    """Report what leads nowhere in a document of which no image is made, since something else is wrong with it."""
    _checked(assembly, document)


def _checked(assembly: Assembly, document: PlacedSpec) -> tuple[Origin | None, Answer | None, ImageTest | None]:
    """Return what an image is made from, None if any of it, or its test, is not valid: all of that is reported."""
    origin: Origin | None = None
    answer: Answer | None = None
    test: ImageTest | None = None
    valid = True
    if not any(path[0] in _WAYS and path[:2] not in _ASIDE for path in document.spec.void):
        try:
            origin, answer = _origin(assembly, document)
        except InvalidError:
            valid = False
    if "test" in document.spec.data and document.is_sound("test"):
        try:
            test = _test(assembly, document)
        except InvalidError:
            valid = False
    return (origin if valid else None), answer, test


def _origin(assembly: Assembly, document: PlacedSpec) -> tuple[Origin, Answer | None]:
    data = document.spec.data
    given = [way for way in _WAYS if way in data]
    if len(given) != 1:
        both = f", not {' and '.join(given)}" if given else ""
        message = f"an Image is made from one of build, from and sif{both}"
        raise assembly.invalid(document, (given[1],) if given else (), message)
    if "registry" in data and given[0] != "build":
        message = f"registry is where a built image is pushed to, and {given[0]}: is not built"
        raise assembly.invalid(document, ("registry",), message, "remove it, or use build:")
    answer = _answer(assembly, document)
    match given[0]:
        case "build":
            origin: Origin = _build(assembly, document, data["build"], answer)
        case "from":
            origin = _registry_image(data["from"], answer)
        case _:
            origin = _sif_file(data["sif"])
    return origin, answer


def _test(assembly: Assembly, document: PlacedSpec) -> ImageTest:
    data = document.spec.data
    if "sif" in data and "build" not in data and "from" not in data:
        message = "a SIF that is there already cannot be tested: a test runs on the Docker Engine"
        raise assembly.invalid(document, ("test",), message, "remove the test, or use from: or build:")
    return image_test(assembly, document, data["test"])


def _notice(answer: Answer | None) -> str:
    return answer.notice if isinstance(answer, PinnedTree | PinnedDigest) else ""


def _missing(assembly: Assembly, document: PlacedSpec, origin: Origin, answer: Answer | None) -> Absent | None:
    """Return what is missing of the files that an image is built from, and warn of it where they are named.

    Said, not refused: a build need not use the part that is missing.
    """
    build = document.spec.data.get("build", {})
    name = build.get("template", "")
    if not isinstance(origin, Build) or (name and "/" not in name):
        return None
    files = Files(answer.tree) if isinstance(answer, PinnedTree) else assembly.files
    missing = files.absent_in(origin.context, name or build.get("context", "."))
    if missing and "repo" not in build:
        assembly.warn(document, ("build", "template" if name else "context"), str(missing), missing.remedy)
    return missing


def _buildkit(assembly: Assembly, document: PlacedSpec, origin: Origin, answer: Answer | None) -> str:
    """Return what of a Dockerfile only BuildKit understands, and warn of it where the context is named.

    Said, not refused: Podman's builder has most of it, and which engine builds is not known here.
    """
    if not isinstance(origin, Build) or origin.template or not origin.context.entries:
        return ""
    tree = answer.tree if isinstance(answer, PinnedTree) else assembly.tree
    entry = next(each for each in origin.context.entries if each.path == origin.dockerfile)
    only = buildkit_only_in(tree, entry.oid, assembly.cache)
    if not only:
        return ""
    places = ", ".join(f"{each.what} (line {each.line})" for each in only[:5])
    said = f"{origin.dockerfile} has what only BuildKit and Podman 5 or later understand: {places}"
    at = "dockerfile" if "dockerfile" in document.spec.data["build"] else "context"
    assembly.warn(document, ("build", at), said, f"with a Docker Engine: {only[0].remedy}")
    return said


def sources_of(documents: Mapping[str, PlacedSpec]) -> list[Source]:
    """Return what the Image documents among some name outside of their commit."""
    found = (source_in(document.spec.data) for document in documents.values() if document.spec.kind == "Image")
    return [source for source in found if source is not None]


def _said_by(origin: Origin) -> tuple[str, dict[str, Any]]:
    """Return what the identity covers (docs/decisions/0002 and 0040): contents, and never where they are kept."""
    match origin:
        case Build():
            said: dict[str, Any] = {
                "context": origin.context.tree,
                "dockerfile": origin.dockerfile,
                "args": dict(origin.args),
                "target": origin.target,
                "values": dict(origin.values) if origin.template else None,
            }
            return "build", said
        case RegistryImage():
            return "from", {"from": origin.known_as or origin.digest or origin.reference}
        case SifFile():
            return "sif", {"sif": origin.path, "sha256": origin.sha256}
        case _:
            assert_never(origin)


def _answer(assembly: Assembly, document: PlacedSpec) -> Answer | None:
    """Return what is in force for what a document names outside of its commit; None: nothing, or not looked at."""
    source = source_in(document.spec.data)
    answer = None if source is None else assembly.outside.get(source)
    if isinstance(answer, Unresolved):
        at = ("build", "repo") if isinstance(source, GitSource) else ("from",)
        raise assembly.invalid(document, at, answer.message, answer.remedy, passing=True)
    return answer


def _registry_image(text: str, answer: Answer | None) -> RegistryImage:
    reference = reference_of(text)
    if isinstance(answer, PinnedDigest):
        return RegistryImage(
            reference=str(reference), digest=answer.digest, on_engine=answer.on_engine, known_as=answer.known_as
        )
    return RegistryImage(reference=str(reference), digest=reference.digest or "")


def _sif_file(written: Any) -> SifFile:
    given = {"path": written} if isinstance(written, str) else written
    return SifFile(path=given["path"], sha256=given.get("sha256"))


def _build(assembly: Assembly, document: PlacedSpec, build: dict[str, Any], answer: Answer | None) -> Build:
    _check_fields(assembly, document, build)
    options: dict[str, Any] = {"args": dict(build.get("args", {})), "target": build.get("target")}
    dockerfile = normal(build.get("dockerfile", "Dockerfile"))
    if "template" in build:
        return _templated(assembly, document, build, dockerfile, options)
    directory = build.get("context", ".")
    if "repo" in build and not isinstance(answer, PinnedTree):
        unseen = digest_of([build["repo"], build.get("ref", ""), normal(directory)])
        context = FileSet(tree=unseen, entries=(), commit="", repository=build["repo"])
        return Build(context=context, dockerfile=dockerfile, **options)
    if isinstance(answer, PinnedTree):
        files = Files(answer.tree, repository=build["repo"])
        what = f"the build context {directory} of {build['repo']} (commit {answer.tree.commit[:12]})"
    else:
        files = assembly.files
        what = f'the build context "{directory}"'
    context = _context(assembly, document, files, directory, ("build", "context"))
    entry = next((each for each in context.entries if each.path == dockerfile), None)
    if entry is not None and files.is_pointer(entry):
        message = f'"{dockerfile}" in {what} is kept in Git LFS, so that the commit holds a pointer to it'
        raise assembly.invalid(document, ("build", "context"), message, "keep it in Git itself")
    if entry is None:
        where = ("build", "dockerfile") if "dockerfile" in build else ("build", "context")
        message = f'there is no "{dockerfile}" in {what}'
        raise assembly.invalid(document, where, message, "add it, or name it in build.dockerfile")
    try:
        context = files.sent(context, dockerfile)
    except (BadPatternError, EscapeError) as error:
        raise assembly.invalid(document, ("build", "context"), f"what is to be ignored in {what}: {error}") from error
    return Build(context=context, dockerfile=dockerfile, **options)


def _check_fields(assembly: Assembly, document: PlacedSpec, build: dict[str, Any]) -> None:
    """Refuse fields that do not go together."""
    for field, other in (("context", "template"), ("repo", "template")):
        if field in build and other in build:
            raise assembly.invalid(document, ("build", field), f"build has both {field} and {other}", "remove one")
    for field, needed in (("ref", "repo"), ("values", "template")):
        if field in build and needed not in build:
            raise assembly.invalid(document, ("build", field), f"build.{field} is of no use without build.{needed}")
    if not build.keys() & {"context", "repo", "template"}:
        raise assembly.invalid(
            document, ("build",), 'missing field "build.context"', "or build.repo, or build.template"
        )


def _context(assembly: Assembly, document: PlacedSpec, files: Files, directory: str, at: Path) -> FileSet:
    try:
        return files.context(directory)
    except MissingPathError as error:
        what = "build context" if at[-1] == "context" else "template"
        where = f" of {files.repository}" if files.repository else ""
        raise assembly.invalid(document, at, f'the {what} "{directory}"{where} {error}', error.remedy) from error
    except EscapeError as error:
        raise assembly.invalid(document, at, str(error), error.remedy) from error


def _templated(
    assembly: Assembly, document: PlacedSpec, build: dict[str, Any], dockerfile: str, options: dict[str, Any]
) -> Build:
    name, here = build["template"], ("build", "template")
    if "/" in name:
        context = _context(assembly, document, assembly.files, name, here)
        template = _described(assembly, document, context, normal(name))
    else:
        try:
            context, template = builtin(name)
        except KeyError:
            hint = did_you_mean(name, builtin_names())
            message = f'there is no built-in template "{name}"{hint}'
            remedy = f"there are {', '.join(builtin_names())}; a directory of the repository is written with a slash"
            raise assembly.invalid(document, here, message, remedy) from None
    if not {dockerfile, dockerfile + RENDERED} & {entry.path for entry in context.entries}:
        where = ("build", "dockerfile") if "dockerfile" in build else here
        raise assembly.invalid(document, where, f'there is no "{dockerfile}" in the template "{name}"')
    try:
        values = template.filled(build.get("values", {}))
    except TemplateError as error:
        at = ("build", "values", error.value) if error.value else here
        what = f"build.values.{error.value} {error}" if error.value else str(error)
        raise assembly.invalid(document, at, what, error.remedy) from error
    return Build(context=context, dockerfile=dockerfile, template=name, values=values, **options)


def _described(assembly: Assembly, document: PlacedSpec, context: FileSet, directory: str) -> Template:
    """Return what a template of the repository says about itself."""
    here = ("build", "template")
    entry = next((each for each in context.entries if each.path == DESCRIPTION), None)
    if entry is None:
        message = f'there is no {DESCRIPTION} in "{directory}", so it is no template'
        raise assembly.invalid(document, here, message, "add one, or name a directory without one in build.context")
    try:
        return read_template(assembly.tree.read(entry.oid), f"{directory}/{DESCRIPTION}")
    except TemplateError as error:
        raise assembly.invalid(document, here, str(error), error.remedy) from error
