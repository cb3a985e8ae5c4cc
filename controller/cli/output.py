"""Text for people and for programs: tables, colours, JSON and YAML."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from controller.model.texts import is_plain, one_line, visible

if TYPE_CHECKING:
    from rich.console import Console

_PIPE_WIDTH = 400
"""Nothing is cut or wrapped for a program that reads a table."""
_LEAST_STRETCH = 24
"""Characters below which text that wraps is no longer read with ease, and goes under its row instead."""

COLOURS = {
    "Succeeded": "green",
    "Ready": "green",
    "Running": "cyan",
    "Failed": "red",
    "Stalled": "red",
    "Unknown": "yellow",
    "Cancelled": "yellow",
}


def say(text: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Print text of a person's, a job's or a server's: nothing in it commands a terminal, or hides."""
    click.echo(visible(str(text)), err=err, nl=nl)


def styled(text: str, *, color: bool | None = None) -> None:
    """Print text with colours of ours; whatever else is in it has been made visible before."""
    click.echo(text, color=color)


def console(*, err: bool = False) -> Console:
    """Return a console: as wide as the terminal, plain in a pipe and with NO_COLOR."""
    from rich.console import Console

    stream = sys.stderr if err else sys.stdout
    terminal = stream.isatty()
    # rich takes NO_COLOR (https://no-color.org) to mean colours alone and would still send codes for bold.
    plain = not terminal or bool(os.environ.get("NO_COLOR"))
    return Console(
        file=stream,
        highlight=False,
        markup=False,
        soft_wrap=False,
        color_system=None if plain else "auto",
        width=None if terminal else _PIPE_WIDTH,
    )


def print_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, stretch: str = "", spare: Sequence[str] = ()
) -> None:
    """Print rows under headings; the column ``stretch`` takes what room is left and wraps in it, or below its row.

    The columns ``spare`` are left out, one after the other, where the terminal is too narrow for all.
    """
    from rich.cells import cell_len

    target = console()
    stretch, headings = one_line(stretch), [one_line(heading) for heading in headings]
    rows = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(headings, *rows, strict=True)]
    for name in spare:
        if sum(widths) + 2 * len(widths) <= target.width + 2:
            break
        gone = headings.index(name)
        headings, *rows = ([cell for index, cell in enumerate(row) if index != gone] for row in (headings, *rows))
        del widths[gone]
    at = headings.index(stretch) if stretch in headings else None
    if at is not None and target.width - sum(widths) + widths[at] - 2 * len(widths) < min(widths[at], _LEAST_STRETCH):
        _print_stacked(target, headings, rows, at)
        return
    for line in _rendered(target, headings, rows, stretch):
        click.echo(line)


def _print_stacked(target: Console, headings: Sequence[str], rows: Sequence[Sequence[str]], at: int) -> None:
    """Print rows with one column's text in lines of its own below each row."""
    from textwrap import wrap

    others = [[cell for index, cell in enumerate(row) if index != at] for row in (headings, *rows)]
    first, *lines = _rendered(target, others[0], others[1:], "")
    click.echo(first)
    for line, row in zip(lines, rows, strict=True):
        click.echo(line)
        for part in wrap(row[at], target.width - 1, initial_indent="    ", subsequent_indent="    "):
            click.echo(part)


def _rendered(target: Console, headings: Sequence[str], rows: Sequence[Sequence[str]], stretch: str) -> list[str]:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        wraps = heading == stretch
        table.add_column(
            heading, overflow="fold" if wraps else "ellipsis", no_wrap=not wraps, ratio=1 if wraps else None
        )
    for row in rows:
        table.add_row(*(Text(cell, style=COLOURS.get(cell, "")) for cell in row))
    with target.capture() as capture:
        target.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2))


def print_yaml(value: Any) -> None:
    """Print a value as YAML."""
    import yaml

    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
    # YAML itself would show marks that turn the direction of reading round as they are.
    plain = text if is_plain(text) else yaml.safe_dump(value, sort_keys=False)
    click.echo(plain, nl=False)
