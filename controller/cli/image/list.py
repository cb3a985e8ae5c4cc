"""``controller image list``: every image and SIF file of the controller's, where it is, and what uses it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from controller.cli.options import Given, output_option, repository_options
from controller.cli.output import say

if TYPE_CHECKING:
    from controller.planning.upkeep import Copy, Stock

KEEP_COMMITS = 20
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@click.command(name="list")
@click.argument("name", required=False)
@click.option(
    "--keep-commits",
    type=click.IntRange(1, 10_000),
    default=KEEP_COMMITS,
    show_default=True,
    metavar="N",
    help="How many of the branch's newest commits count as using an image.",
)
@output_option("table", "wide", "json")
@repository_options
def command(given: Given, name: str | None, keep_commits: int, output: str) -> None:
    """List the images on the Docker Engine and the SIF files on every cluster, all or those called NAME.

    A place that cannot be seen is said to be unknown, and then so is whether anything else is in use.
    """
    from controller.cli.composition import open_reconciler, settings_from
    from controller.cli.output import print_json
    from controller.service.logs import configure_logging

    configure_logging("critical")
    with open_reconciler(settings_from(given), say=lambda key, text: None) as reconciler:
        stock = reconciler.take_stock(keep_commits=keep_commits).stock
    copies = [copy for copy in stock.copies if name is None or copy.name == name]
    if output == "json":
        print_json(document_of(stock, copies))
        return
    if name is not None and not copies:
        from controller.specs.nearest import did_you_mean

        known = sorted({copy.name for copy in stock.copies if copy.name})
        say(f'there is no copy of an image "{name}"{did_you_mean(name, known)}')
    else:
        print_copies(copies, wide=output == "wide", known=not (stock.unseen or stock.unknown))
    if name is None:
        for place, leftovers in stock.leftovers.items():
            for each in leftovers:
                say(f"half-made on {place}: {each.name}, {size_text(each.size)}, {age_text(each.modified)} old")
    print_unknown(stock)


def print_copies(copies: Iterable[Copy], *, wide: bool, known: bool) -> None:
    """Print copies as a table; ``known`` False: what nothing seems to use may be in use all the same."""
    from controller.cli.output import print_table
    from controller.model.digests import short

    nothing = "nothing" if known else "unknown"
    rows = [
        [
            copy.name or "-",
            copy.place,
            copy.identity if wide else short(copy.identity),
            size_text(copy.size),
            age_text(copy.made),
            _words(copy.used_by, wide=wide) or nothing,
        ]
        for copy in copies
    ]
    if rows:
        print_table(["NAME", "WHERE", "IDENTITY", "SIZE", "AGE", "USED BY"], rows, stretch="USED BY")
    else:
        say("no images")


def print_unknown(stock: Stock) -> None:
    """Print what could not be seen, on standard error."""
    for place, why in sorted(stock.unseen.items()):
        say(f"unknown: {place}: {why}", err=True)
    for why in stock.unknown:
        say(f"unknown: {why}", err=True)


def document_of(stock: Stock, copies: Iterable[Copy]) -> dict[str, Any]:
    """Return copies, what is half-made and what is unknown, for programs."""
    return {
        "images": [row_of(copy) for copy in copies],
        "half_made": [
            {"place": place, "name": each.name, "size": each.size, "modified": time_text(each.modified)}
            for place, leftovers in stock.leftovers.items()
            for each in leftovers
        ],
        "unseen": dict(stock.unseen),
        "unknown": list(stock.unknown),
    }


def row_of(copy: Copy) -> dict[str, Any]:
    """Return one copy for programs."""
    return {
        "name": copy.name,
        "place": copy.place,
        "identity": copy.identity,
        "size": copy.size,
        "made": time_text(copy.made),
        "used_by": list(copy.used_by),
    }


def size_text(size: int) -> str:
    """Return a size in powers of 1000, as disks are sold and ``docker images`` counts."""
    value, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 999.5 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if value >= 100 or unit == "B" else f"{value:.1f} {unit}"


def age_text(moment: float) -> str:
    """Return how long ago a moment was, in its largest whole unit."""
    seconds = max(0, int(time.time() - moment))
    return next((f"{seconds // unit} {name}" for unit, name in _UNITS if seconds >= unit), "0 s")


def time_text(moment: float) -> str:
    """Return a moment as ISO 8601 in UTC."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _words(used_by: tuple[str, ...], *, wide: bool) -> str:
    if wide or len(used_by) <= 2:
        return ", ".join(used_by)
    return f"{used_by[0]}, and {len(used_by) - 1} more"
