"""``controller image template``: an image of a project's own, begun from a template."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from controller.cli.options import output_option
from controller.cli.output import say

if TYPE_CHECKING:
    from controller.model.files import FileSet
    from controller.model.images import Value
    from controller.reconcile.scaffold import Scaffold
    from controller.specs.templates import Template
    from controller.specs.tree import Tree


@click.command(name="template")
@click.argument("template", required=False)
@click.option("--list", "listing", is_flag=True, help="List the built-in templates, or the values of TEMPLATE.")
@click.option("--name", help="Name of the image.  [default: the template's]")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("images"),
    show_default=True,
    help="Directory to write to.",
)
@click.option(
    "--set", "settings", multiple=True, metavar="VALUE=TEXT", help="Value of the template; a list has commas."
)
@click.option("--force", is_flag=True, help="Write over files that are there.")
@output_option("text", "json")
def command(
    template: str | None,
    listing: bool,
    name: str | None,
    out: Path,
    settings: tuple[str, ...],
    force: bool,
    output: str,
) -> None:
    """Begin an image from TEMPLATE: a Dockerfile, what it installs, and the Image spec, for you to edit and commit.

    TEMPLATE is a built-in one, or a directory with a template.yaml, written with a slash.
    """
    from controller.specs.templates import TemplateError

    if template is None:
        _list_templates(output)
        return
    tree, files, described = _found(template)
    if listing:
        _list_values(template, described, output)
        return
    name = name or Path(template).name
    _check_name(name)
    try:
        made = _made(tree, files, described, template, name, out, _values(described, settings))
    except TemplateError as error:
        what = f"{error.value} {error}" if error.value else str(error)
        raise click.UsageError(f"{what}{f' ({error.remedy})' if error.remedy else ''}") from error
    _write(made, name, out, force=force, output=output)


def _list_templates(output: str) -> None:
    from controller.cli.output import print_json, print_table
    from controller.specs.templates import builtin, builtin_names

    known = {name: builtin(name)[1] for name in builtin_names()}
    if output == "json":
        print_json([{"name": name, "description": each.description} for name, each in known.items()])
    else:
        print_table(["TEMPLATE", "WHAT"], [[name, each.description] for name, each in known.items()], stretch="WHAT")


def _list_values(name: str, template: Template, output: str) -> None:
    from dataclasses import asdict

    from controller.cli.output import print_json, print_table

    values = template.values.values()
    if output == "json":
        print_json({"name": name, "description": template.description, "values": [asdict(each) for each in values]})
    else:
        rows = [[each.name, each.type, _shown(each.default), each.description] for each in values]
        print_table(["VALUE", "TYPE", "DEFAULT", "WHAT"], rows, stretch="WHAT")


def _shown(default: object) -> str:
    match default:
        case None:
            return "(required)"
        case bool():
            return str(default).lower()
        case tuple():
            return ",".join(default) or "-"
        case _:
            return str(default) or "-"


def _found(name: str) -> tuple[Tree, FileSet, Template]:
    """Return a template's files and what it says about itself."""
    from controller.repository.worktree import WorkTree
    from controller.specs.filesets import EscapeError, Files, MissingPathError
    from controller.specs.nearest import did_you_mean
    from controller.specs.templates import (
        DESCRIPTION,
        BuiltinTree,
        TemplateError,
        builtin,
        builtin_names,
        read_template,
    )

    if "/" not in name:
        if name not in builtin_names():
            hint = did_you_mean(name, builtin_names()) or f"; there are {', '.join(builtin_names())}"
            raise click.UsageError(f'there is no template "{name}"{hint}')
        files, template = builtin(name)
        return BuiltinTree(name), files, template
    directory = Path(name)
    try:
        data = (directory / DESCRIPTION).read_bytes()
        tree = WorkTree(directory)
        return tree, Files(tree).context("."), read_template(data, str(directory / DESCRIPTION))
    except OSError as error:
        raise click.UsageError(f"{directory / DESCRIPTION}: {error.strerror}, so {name} is no template") from error
    except (TemplateError, EscapeError, MissingPathError) as error:
        raise click.UsageError(str(error)) from error


def _check_name(name: str) -> None:
    from controller.specs.identity import usable_name

    if usable_name(name) is None:
        raise click.UsageError(f'"{name}" cannot name an image: a-z, 0-9 and dashes, with no dash at either end')


def _values(template: Template, settings: tuple[str, ...]) -> dict[str, Value]:
    from controller.specs.templates import TemplateError

    values: dict[str, Value] = {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"--set {text}: write it as VALUE=TEXT")
        if key in values:
            raise click.UsageError(f"--set {text}: {key} is given twice; a list is one text with commas")
        if key not in template.values:
            template.filled({key: value})
            raise TemplateError("is no value of the template", value=key)
        values[key] = template.values[key].parse(value)
    return values


def _made(
    tree: Tree, files: FileSet, template: Template, label: str, name: str, out: Path, values: dict[str, Value]
) -> Scaffold:
    from controller.reconcile.scaffold import scaffold
    from controller.repository.worktree import repository_root

    place = (out / name).absolute()
    top = repository_root(place.parent) or Path.cwd()
    context = place.relative_to(top).as_posix() if place.is_relative_to(top) else name
    return scaffold(tree, files, template, values, name=name, label=label, context=context)


def _write(made: Scaffold, name: str, out: Path, *, force: bool, output: str) -> None:
    """Write the spec beside the context: inside it, a word in the spec would be another image."""
    from controller.cli.output import print_json

    targets = {out / name / path: content for path, content in made.files.items()}
    targets[out / f"{name}.yaml"] = (0o100644, made.spec.encode())
    there = [str(path) for path in sorted(targets) if path.exists() or path.is_symlink()]
    if there and not force:
        raise click.UsageError(f"{', '.join(there)}: already there; --force writes over it, --name makes another image")
    for path, (mode, data) in sorted(targets.items()):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            path.unlink()
        path.write_bytes(data)
        path.chmod(0o755 if mode == 0o100755 else 0o644)
    if output == "json":
        print_json({"image": name, "written": [str(path) for path in sorted(targets)]})
        return
    for path in sorted(targets):
        say(f"wrote {path}")
    say(f"Next: edit the files below {out / name}, put 'image: {name}' into a job, run controller validate, commit.")
