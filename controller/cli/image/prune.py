"""``controller image prune``: clear away the images and SIF files that nothing uses any more."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from controller.cli.image.list import KEEP_COMMITS, print_copies, row_of, size_text
from controller.cli.options import Given, output_option, repository_options
from controller.cli.output import say

if TYPE_CHECKING:
    from controller.planning.upkeep import Copy
    from controller.reconcile.upkeep import Removal


@click.command(name="prune")
@click.option(
    "--keep-commits",
    type=click.IntRange(1, 10_000),
    default=KEEP_COMMITS,
    show_default=True,
    metavar="N",
    help="Keep what any of the branch's newest N commits uses.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_option("table", "json")
@repository_options
def command(given: Given, keep_commits: int, dry_run: bool, yes: bool, output: str) -> None:
    """Remove the images on the Docker Engine and the SIF files on clusters that nothing uses.

    In use is what one of the newest commits asks for, what an active run is in, and what another controller has marked
    as its own. As long as any of that cannot be seen, nothing is removed. What is needed again is made again.

    \b
    Exit codes: 0 done, or nothing to do; 1 not everything could be removed,
    or nobody said yes; 3 nothing was removed, since not all uses are known.
    """
    from controller.cli.composition import only_one, open_reconciler, settings_from
    from controller.cli.output import print_json
    from controller.reconcile.upkeep import require_all_seen
    from controller.service.logs import configure_logging

    configure_logging("critical")
    settings = settings_from(given)
    with only_one(settings), open_reconciler(settings, say=lambda key, text: None) as reconciler:
        taken = reconciler.take_stock(keep_commits=keep_commits)
        require_all_seen(taken.stock)
        unused = taken.stock.unused
        if output == "table":
            _announce(unused)
        agreed = not dry_run and (yes or not unused or _agrees(unused, output))
        removals = reconciler.clear(taken) if agreed else ()
    failed = [removal for removal in removals if removal.why]
    if output == "json":
        print_json(_document(unused, removals, agreed))
    elif unused and agreed:
        _report(removals)
    if failed or (unused and not agreed and not dry_run):
        sys.exit(1)


def _announce(unused: Sequence[Copy]) -> None:
    from controller.reconcile.upkeep import sizes

    if not unused:
        say("nothing to remove: everything is in use")
        return
    print_copies(unused, wide=False, known=True)
    for place, size in sizes(unused).items():
        count = sum(copy.place == place for copy in unused)
        say(f"{place}: {count} {'file' if count == 1 else 'files'}, {size_text(size)}")


def _agrees(unused: Sequence[Copy], output: str) -> bool:
    if output == "table" and sys.stdin.isatty():
        return click.confirm(f"Remove {len(unused)}?", default=False)
    say("nothing was removed: say --yes, or call it on a terminal", err=True)
    return False


def _report(removals: Sequence[Removal]) -> None:
    gone = [removal.copy for removal in removals if not removal.why]
    say(f"removed {len(gone)} of {len(removals)}, {size_text(sum(copy.size for copy in gone))}")
    for removal in removals:
        if removal.why:
            say(f"kept {removal.copy.name or removal.copy.identity} on {removal.copy.place}: {removal.why}", err=True)


def _document(unused: Sequence[Copy], removals: Sequence[Removal], agreed: bool) -> dict[str, Any]:
    return {
        "unused": [row_of(copy) for copy in unused],
        "removed": [row_of(removal.copy) for removal in removals if not removal.why],
        "kept": [{**row_of(removal.copy), "why": removal.why} for removal in removals if removal.why],
        "agreed": agreed,
    }
