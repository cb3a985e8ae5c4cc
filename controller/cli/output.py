"""Text for people and for programs: tables, colours, JSON and YAML."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

_PIPE_WIDTH = 400
"""Nothing is cut or wrapped for a program that reads a table."""

COLOURS = {
    "Succeeded": "green",
    "Ready": "green",
    "Running": "cyan",
    "Failed": "red",
    "Stalled": "red",
    "Unknown": "yellow",
    "Cancelled": "yellow",
}


def console(*, err: bool = False) -> Console:
    """Return a console: as wide as the terminal, plain in a pipe and with NO_COLOR."""
    from rich.console import Console

    stream = sys.stderr if err else sys.stdout
    return Console(
        file=stream, highlight=False, markup=False, soft_wrap=False, width=None if stream.isatty() else _PIPE_WIDTH
    )


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, stretch: str = "") -> None:
    """Print rows under headings; the column ``stretch`` takes what room is left and wraps in it."""
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
    target = console()
    with target.capture() as capture:
        target.print(table)
    for line in capture.get().splitlines():
        click.echo(line.rstrip())


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2))


def print_yaml(value: Any) -> None:
    """Print a value as YAML."""
    import yaml

    click.echo(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), nl=False)
