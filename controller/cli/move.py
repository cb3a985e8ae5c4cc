"""``controller move``: go on after a repository, a cluster or a work directory has moved."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from controller.cli.exits import ATTENTION, DONE, NOT_REACHED
from controller.cli.options import Given, output_option, repository_options
from controller.cli.output import say

if TYPE_CHECKING:
    from collections.abc import Collection

    from controller.reconcile.moving import Step
    from controller.reconcile.passes import Prospect
    from controller.reconcile.reconciler import Reconciler
    from controller.reconcile.settings import Settings
    from controller.store.journal import Journal


@click.command(name="move")
@click.option(
    "--carry", multiple=True, metavar="CLUSTER", help="Its work directory was copied or renamed to the new one."
)
@click.option(
    "--leave", multiple=True, metavar="CLUSTER", help="New work goes to the new place; runs stay in the old one."
)
@click.option(
    "--from",
    "source",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The repository was split: state directory of the controller that had the jobs.",
)
@click.option("--job", "jobs", multiple=True, metavar="NAME", help="With --from: only this job or workflow.")
@click.option("--yes", is_flag=True, help="Do it. Without, only show what would be done.")
@output_option("text", "json")
@repository_options
def command(
    given: Given,
    carry: tuple[str, ...],
    leave: tuple[str, ...],
    source: Path | None,
    jobs: tuple[str, ...],
    yes: bool,
    output: str,
) -> None:
    """Show what is another than before (address, path, branch, account, cluster, work directory); --yes: go on there.

    Writes records only, and touches no job. What is running goes on.

    \b
    Exit codes: 0 nothing has moved, or it is done; 1 something is to be done
    or said; 3 not possible, or a place could not be seen.
    """
    from controller.cli.composition import only_one, open_reconciler, settings_from
    from controller.model.leases import Choice
    from controller.reconcile.moving import unseen_places
    from controller.service.logs import configure_logging

    if jobs and source is None:
        raise click.UsageError("--job goes with --from")
    if both := set(carry) & set(leave):
        raise click.UsageError(f"--carry and --leave exclude each other: {', '.join(sorted(both))}")
    configure_logging("critical")
    settings = settings_from(given)
    settings = replace(settings, choice=Choice.NONE if source is not None else Choice.ADOPT)
    unseen: list[str] = []
    with only_one(settings):
        if source is not None:
            found, done = _split(settings, source.absolute(), jobs, yes=yes)
        else:
            with open_reconciler(settings, say=lambda key, text: None) as reconciler:
                ahead = reconciler.look_ahead()
                unseen = unseen_places(ahead)
                found, done = _move(reconciler, ahead, carry, leave, yes=yes)
    for error in unseen:
        say(f"error: {error}", err=True)
    _show(found, done=done, output=output, unseen=bool(unseen))
    if unseen:
        sys.exit(NOT_REACHED)
    open_steps = [step for step in found if step.how]
    sys.exit(ATTENTION if open_steps or (found and not done) else DONE)


def _move(
    reconciler: Reconciler, ahead: Prospect, carry: tuple[str, ...], leave: tuple[str, ...], *, yes: bool
) -> tuple[list[Step], bool]:
    from controller.reconcile.moving import require_possible, steps_of, write_sites

    ahead.leasing.require()
    require_possible(ahead, carry=carry, leave=leave)
    steps = steps_of(ahead, carry=carry, leave=leave)
    if not yes:
        return steps, False
    if carry or leave:
        write_sites(ahead, reconciler.hands(ahead.desired).journal, carry=carry, leave=leave)
        ahead = reconciler.look_ahead()
    reconciler.take_over(ahead)
    return steps, True


def _split(settings: Settings, source: Path, jobs: tuple[str, ...], *, yes: bool) -> tuple[list[Step], bool]:
    """Follow the runs that another controller of this machine has of the jobs that are here now."""
    from controller.cli.composition import only_one, open_reconciler
    from controller.model.errors import ConfigurationError
    from controller.model.leases import Choice
    from controller.model.resources import owner_of
    from controller.reconcile.leases import instance_in_force
    from controller.reconcile.moving import Step
    from controller.reconcile.sites import Sites
    from controller.store.journal import Journal

    place = source / "journal.sqlite3"
    if not place.exists() or source == settings.state_dir:
        raise ConfigurationError("StateDirectoryUnknown", f"{source} is no state directory of another controller")
    with only_one(replace(settings, state_dir=source)):
        theirs = Journal(place)
        try:
            other = instance_in_force(theirs)
            if other is None:
                raise ConfigurationError("StateDirectoryUnknown", f"no pass has run with {source}")
            with open_reconciler(settings, say=lambda key, text: None) as reconciler:
                ahead = reconciler.look_ahead()
                if ahead.leasing.ruling.refusal is not None:
                    # The status branch that came along with the history is that of the other one.
                    reconciler.settings = replace(settings, choice=Choice.NEW)
                    ahead = reconciler.look_ahead()
                ahead.leasing.require()
                here = {
                    name
                    for name in ahead.desired.jobs
                    if not jobs or {name, owner_of(name).partition("/")[2]} & {*jobs}
                }
                runs = sum(1 for _ in Sites(theirs, ahead.sites.whereabouts(()), other).records_of(here))
                mine = ahead.leasing.instance
                steps = [Step(what="runs", was=f"instance {other}", now=f"instance {mine}", runs=runs)] if runs else []
                if yes and runs:
                    _take(reconciler, ahead, replace(settings, state_dir=source), theirs, here, other)
                return steps, yes
        finally:
            theirs.close()


def _take(
    reconciler: Reconciler, ahead: Prospect, old: Settings, theirs: Journal, jobs: Collection[str], other: str
) -> None:
    """Follow the runs, and publish in both repositories that it is so: a state directory may be lost."""
    from controller.cli.composition import open_mirror
    from controller.model.leases import Choice
    from controller.reconcile.leases import spot_in_force
    from controller.reconcile.moving import leasing_of, take_runs

    spot = spot_in_force(theirs)
    old = replace(
        old, repo=spot.address, path=spot.path, branch=spot.branch or None, instance=other, configured_instance=False
    )
    old = replace(old, choice=Choice.NONE)
    reconciler.take_over(ahead)
    take_runs(
        ahead.sites,
        reconciler.hands(ahead.desired).journal,
        theirs,
        jobs,
        instance=ahead.leasing.instance,
        other=other,
        give=lambda runs: leasing_of(old, open_mirror(old), theirs, other).give(runs),
    )
    reconciler.settings = replace(reconciler.settings, choice=Choice.NONE)
    reconciler.publish(reconciler.look_ahead())


def _show(steps: list[Step], *, done: bool, output: str, unseen: bool) -> None:
    if output == "json":
        from controller.cli.output import print_json

        print_json({"done": done, "steps": [asdict(step) for step in steps]})
        return
    if not steps:
        say("Nothing has moved, as far as could be seen." if unseen else "Nothing has moved.")
        return
    for step in steps:
        where = f" of cluster {step.cluster}" if step.cluster else ""
        runs = f" ({step.runs} runs)" if step.runs else ""
        say(f"{step.what}{where}: {step.was} -> {step.now}{runs}")
        if step.how:
            say(f"     say what it means: {step.how}")
    if not done:
        say("Nothing was changed; with --yes it is written down.")
    else:
        say("Written down; the next pass goes on from there.")
