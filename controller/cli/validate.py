"""``controller validate``: check specs on disk, offline, for people, editors, pre-commit and CI.

Reads nothing but the files. The same code judges them as judges a commit; what is valid here is valid there.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path

import click

from controller.cli.output import say, styled
from controller.model.images import Image
from controller.model.problems import Problem
from controller.model.resources import Cluster, Desired, Job, Workflow
from controller.repository.worktree import WorkTree, as_in_a_commit, repository_root
from controller.specs.compile import load
from controller.specs.excerpts import caret
from controller.specs.nearest import printable

STDIN = "-"


@click.command(name="validate")
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path(exists=True, allow_dash=True, path_type=Path))
@click.option("-o", "--output", type=click.Choice(["text", "json", "github"]), default="text", show_default=True)
@click.option(
    "--root", type=click.Path(exists=True, file_okay=False, path_type=Path), help="What paths in specs start from."
)
@click.option("--filename", type=click.Path(path_type=Path), help="With PATH -: the file that standard input will be.")
def command(paths: tuple[Path, ...], output: str, root: Path | None, filename: Path | None) -> None:
    """Check the specs in PATH, without a network and without a commit.

    PATH is a directory (by default this one), whose files are checked as a repository of their own; a file, whose
    problems alone are told while what it refers to is looked for in all of its repository; or - for standard input.

    Exit codes: 0 all specs are valid, 1 any is not, 2 usage error. Warnings do not count.
    """
    if (Path(STDIN) in paths) != (filename is not None):
        raise click.UsageError("- for standard input and --filename go together")
    specs, files = 0, 0
    problems: list[Problem] = []
    warnings: list[Problem] = []
    for tree_root, chosen, overlay in _selections(paths or (Path(),), root, filename):
        desired = load(WorkTree(tree_root, overlay=overlay))
        counted, read, found, known = _restricted(desired, tree_root, chosen)
        specs, files, problems, warnings = specs + counted, files + read, problems + found, warnings + known
    if output == "json":
        _print_json(specs, files, problems, warnings)
    elif output == "github":
        _print_github("error", problems)
        _print_github("warning", warnings)
    else:
        _print_text(specs, files, problems, warnings)
    sys.exit(1 if problems else 0)


Selection = tuple[Path, list[str] | None, dict[str, bytes]]
"""Directory of a tree, the paths in it that are asked for (None: all), and contents that stand in for files."""


def _selections(paths: tuple[Path, ...], root: Path | None, filename: Path | None) -> list[Selection]:
    """Return what to load, one selection for each tree."""
    by_root: dict[Path, tuple[list[str], dict[str, bytes]]] = {}
    whole: dict[Path, None] = {}
    for path in paths:
        is_stdin = str(path) == STDIN
        place = Path(os.path.abspath(filename if is_stdin and filename is not None else path))  # noqa: PTH100
        if root is None and place.is_dir():
            whole[place] = None
            continue
        top = Path(os.path.abspath(root)) if root else repository_root(place.parent) or place.parent  # noqa: PTH100
        if not place.is_relative_to(top):
            raise click.UsageError(f"{path} is not below {top}")
        chosen, overlay = by_root.setdefault(top, ([], {}))
        inside = as_in_a_commit(place.relative_to(top).as_posix())
        chosen.append(inside)
        if is_stdin:
            overlay[inside] = sys.stdin.buffer.read()
    selections: list[Selection] = [(top, None, {}) for top in whole]
    return selections + [(top, chosen, overlay) for top, (chosen, overlay) in by_root.items()]


def _restricted(
    desired: Desired, root: Path, chosen: list[str] | None
) -> tuple[int, int, list[Problem], list[Problem]]:
    """Return the numbers of specs and of spec files asked for, their problems and warnings by paths from here."""

    def is_chosen(path: str) -> bool:
        shown = chosen and map(printable, chosen)
        return shown is None or any(each in (".", path) or path.startswith(each + "/") for each in shown)

    resources: list[Cluster | Image | Job | Workflow] = [
        *desired.clusters.values(),
        *desired.images.values(),
        *(job for job in desired.jobs.values() if job.workflow is None),
        *desired.workflows.values(),
    ]
    sources = [resource.source.path for resource in resources if is_chosen(resource.source.path)]
    problems = [problem for problem in desired.problems if is_chosen(problem.path)]
    warnings = [warning for warning in desired.warnings if is_chosen(warning.path)]
    files = {*sources, *(problem.path for problem in problems)}
    problems, warnings = (
        [replace(each, path=_from_here(root / each.path)) for each in found] for found in (problems, warnings)
    )
    return len(sources), len(files), problems, warnings


def _from_here(path: Path) -> str:
    return printable(as_in_a_commit(os.path.relpath(path)))


def _print_text(specs: int, files: int, problems: list[Problem], warnings: list[Problem]) -> None:
    colour = False if os.environ.get("NO_COLOR") else None
    for problem in problems:
        styled("\n".join(_coloured(problem)) + "\n", color=colour)
    for warning in warnings:
        styled("\n".join(_coloured(replace(warning, message=f"warning: {warning.message}"))) + "\n", color=colour)
    if problems:
        wrong = len({problem.path for problem in problems})
        say(f"{_count(len(problems), 'problem')} in {_count(wrong, 'file')}, {_count(specs, 'spec')} valid")
    elif files == 0:
        say("no specs found: a spec is a .yaml file with a kind and a name")
    else:
        say(f"{_count(specs, 'spec')} in {_count(files, 'file')}, all valid")


def _coloured(problem: Problem) -> list[str]:
    """Return the lines of ``excerpts.draw``, coloured."""
    where, message = problem.headline()[: -len(problem.message)], problem.message
    lines = [click.style(where, bold=True) + click.style(message, fg="red", bold=True)]
    if problem.excerpt:
        gutter = " " * len(str(problem.line))
        bar = click.style("|", fg="blue")
        lines.append(f" {click.style(str(problem.line), fg='blue')} {bar} {problem.excerpt}")
        lines.append(f" {gutter} {bar} {click.style(caret(problem), fg='red', bold=True)}")
    if problem.remedy:
        lines.append(f"   {click.style('=', fg='blue')} {problem.remedy}")
    return lines


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _print_json(specs: int, files: int, problems: list[Problem], warnings: list[Problem]) -> None:
    told = {"problems": [asdict(each) for each in problems], "warnings": [asdict(each) for each in warnings]}
    say(json.dumps({"valid": not problems, "specs": specs, "files": files, **told}, indent=2))


def _print_github(level: str, problems: list[Problem]) -> None:
    """Print workflow commands (docs.github.com, "Workflow commands for GitHub Actions", error and warning)."""
    for problem in problems:
        place = f",line={problem.line},col={problem.column}" if problem.line else ""
        text = f"{problem.message}\n{problem.remedy}".strip()
        say(f"::{level} file={_escaped(problem.path, ':,')}{place}::{_escaped(text)}")


def _escaped(text: str, more: str = "") -> str:
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text
