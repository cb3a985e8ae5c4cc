"""``controller plan``: what a pass would do, in words that a person can approve."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from controller.cli.checkout import say_unpublished
from controller.cli.exits import ATTENTION, DONE, NOT_REACHED
from controller.cli.options import Given, output_option, repository_options
from controller.cli.output import say

if TYPE_CHECKING:
    from controller.planning.attention import Notice
    from controller.reconcile.passes import Prospect


@click.command(name="plan")
@output_option("table", "json")
@repository_options
def command(given: Given, output: str) -> None:
    """Show what the next pass would do and why, and what keeps tasks waiting. Changes nothing.

    \b
    Exit codes: 0 all could be seen and is done or under way,
    1 something is to be done, or has failed, is invalid, held back or Stalled,
    2 usage or configuration,
    3 the repository, a cluster or the engine could not be seen, or a pass is refused.
    """
    from controller.cli.composition import open_reconciler, settings_from
    from controller.planning.attention import unseen_in, wrong_in
    from controller.service.logs import configure_logging

    configure_logging("critical")
    settings = settings_from(given)
    with open_reconciler(settings, say=lambda key, text: None) as reconciler:
        ahead = reconciler.look_ahead()
        subject = reconciler.mirror.commit_info(ahead.desired.commit).subject
        unseen = unseen_in(ahead.desired, ahead.sight.observed)
        wrong = wrong_in(ahead.plan.statuses)
        for notice in unseen:
            say(f"error: {notice.reason}: {notice.message}", err=True)
        say_unpublished(settings, reconciler.mirror, ahead.desired.commit)
    if output == "json":
        _print_json(ahead, unseen, wrong)
    else:
        _print_text(ahead, subject, unseen, wrong)
    if unseen or ahead.leasing.ruling.refusal is not None:
        sys.exit(NOT_REACHED)
    sys.exit(ATTENTION if ahead.plan.actions or ahead.plan.holds or ahead.desired.problems or wrong else DONE)


def _print_text(ahead: Prospect, subject: str, unseen: Sequence[Notice], wrong: Sequence[Notice]) -> None:
    from controller.model.digests import short
    from controller.planning.describe import steps_of
    from controller.specs.excerpts import draw

    ruling = ahead.leasing.ruling
    if ruling.refusal is not None:
        say(f"A pass is refused: {ruling.refusal.reason}: {ruling.refusal.message}", err=True)
        say(f"As instance {ruling.lease.instance} it would do this:", err=True)
    for note in ahead.notes:
        say(f"note: {note}", err=True)
    for problem in ahead.desired.problems:
        say(draw(problem), err=True)
    for warning in ahead.desired.warnings:
        say(draw(replace(warning, message=f"warning: {warning.message}")), err=True)
    say(f"Commit {short(ahead.desired.commit)}: {subject}")
    steps = steps_of(ahead.plan)
    if not steps:
        say(_nothing(ahead, unseen, wrong))
    for step in steps:
        after = f" (after {', '.join(map(str, step.after))})" if step.after else ""
        say(f"{step.number:3}. {step.what}{after}\n     because: {step.why}")
    for hold in ahead.plan.holds:
        say(f"Held back: {hold.reason}: {hold.message}")
    waiting = [
        task
        for status in ahead.plan.statuses
        for task in status.tasks
        if task.state == "Waiting" and task.reason != "Planned"
    ]
    said = {hold.message for hold in ahead.plan.holds}
    for task in waiting[:50]:
        say(f"Waiting: {task.id}: {task.reason}: {'held back, see above' if task.message in said else task.message}")
    if len(waiting) > 50:
        say(f"Waiting: and {len(waiting) - 50} more tasks")


def _nothing(ahead: Prospect, unseen: Sequence[Notice], wrong: Sequence[Notice]) -> str:
    """Return what is said instead of steps: that all is as wanted only where that is known."""
    from controller.planning.attention import in_a_line, open_in

    if unseen:
        return "No step is planned, but not all could be seen: " + ", ".join(notice.name for notice in unseen)
    held = {hold.message for hold in ahead.plan.holds}
    if wrong := [notice for notice in wrong if notice.message not in held]:
        return f"No step is planned, but not all is as wanted: {in_a_line(wrong, ahead.plan.statuses)}"
    if ahead.plan.holds or ahead.desired.problems:
        return "No step is planned, but not all is as wanted."
    counts = open_in(ahead.plan.statuses)
    under_way = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    return f"Nothing to do now: {under_way}." if counts else "Nothing to do."


def _print_json(ahead: Prospect, unseen: Sequence[Notice], wrong: Sequence[Notice]) -> None:
    from dataclasses import asdict

    from controller.cli.output import print_json
    from controller.model.documents import to_document
    from controller.planning.describe import steps_of

    ruling = ahead.leasing.ruling
    refusal = ruling.refusal
    print_json(
        {
            "commit": ahead.desired.commit,
            "instance": ruling.lease.instance,
            "refused": None if refusal is None else {"reason": refusal.reason, "message": refusal.message},
            "notes": list(ahead.notes),
            "actions": [asdict(step) for step in steps_of(ahead.plan)],
            "held": [asdict(hold) for hold in ahead.plan.holds],
            "problems": [asdict(problem) for problem in ahead.desired.problems],
            "unseen": [asdict(notice) for notice in unseen],
            "wrong": [asdict(notice) for notice in wrong],
            "warnings": [asdict(warning) for warning in ahead.desired.warnings],
            "resources": [to_document(status) for status in ahead.plan.statuses],
        }
    )
