"""``controller reconcile``: passes in the foreground, for cron and for people."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from controller.cli.checkout import say_unpublished
from controller.cli.exits import INTERRUPTED, NOT_REACHED
from controller.cli.options import Given, output_option, repository_options
from controller.cli.output import say
from controller.model.errors import ConfigurationError

if TYPE_CHECKING:
    from controller.cli.ended import Ended
    from controller.planning.attention import Notice
    from controller.reconcile.passes import PassResult
    from controller.reconcile.reconciler import Reconciler
    from controller.reconcile.settings import Settings

_FIRST_PAUSE_S = 1.0
_LAST_PAUSE_S = 15.0


@click.command(name="reconcile")
@click.option("--once", is_flag=True, help="Run a single pass (what happens anyway without --wait).")
@click.option("--wait", is_flag=True, help="Go on until nothing is in progress any more.")
@click.option("--timeout", default="10m", show_default=True, metavar="T", help="With --wait: give up after this long.")
@click.option("--adopt", is_flag=True, help="The repository moved: go on as the recorded instance.")
@click.option("--new-instance", is_flag=True, help="A fork, or a second branch: begin an instance of its own.")
@click.option("-q", "--quiet", is_flag=True, help="Say only what the pass before did not say: for cron.")
@click.option("-v", "--verbose", is_flag=True, help="Log every step to standard error.")
@output_option("table", "json")
@repository_options
def command(
    given: Given,
    once: bool,
    wait: bool,
    timeout: str,
    adopt: bool,
    new_instance: bool,
    quiet: bool,
    verbose: bool,
    output: str,
) -> None:
    """Run a pass: read the newest commit, look, plan, act, report.

    \b
    Exit codes: 0 the pass did all it could (or another one is under way),
    1 an invalid spec or a failed action; with --wait also: something that was
    asked for has failed, is Stalled, or is still in progress after --timeout,
    2 usage or configuration,
    3 the repository, a cluster or the engine could not be seen.
    """
    from dataclasses import replace

    from controller.cli.composition import settings_from
    from controller.cli.ended import Ended
    from controller.model.errors import ControllerError
    from controller.model.leases import Choice
    from controller.planning.attention import in_a_line, open_in
    from controller.service.logs import configure_logging
    from controller.specs.quantities import duration_s

    _exclude(("--once", once), ("--wait", wait))
    _exclude(("--adopt", adopt), ("--new-instance", new_instance))
    if quiet and (wait or verbose or output != "table"):
        raise click.UsageError("--quiet goes with single passes alone, without --verbose and -o")
    try:
        patience_s = duration_s(timeout)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--timeout") from error
    configure_logging("info" if verbose else "critical")
    choice = Choice.ADOPT if adopt else Choice.NEW if new_instance else Choice.NONE
    settings = replace(settings_from(given), choice=choice)
    stop = threading.Event()
    try:
        result = _run(settings, patience_s if wait else None, stop, quiet=quiet)
    except ControllerError as error:
        if not quiet or isinstance(error, ConfigurationError):
            raise
        _say_news(settings.state_dir, [f"error: {error.reason}: {error.message}"])
        sys.exit(NOT_REACHED)
    if result is None:
        return
    ended = Ended.of(result)
    if quiet:
        _say_news(settings.state_dir, ended.lines)
    else:
        _say_unseen(() if wait else ended.unseen)
        _show(result, ended, output)
    if stop.is_set():
        sys.exit(INTERRUPTED)
    if wait and result.in_progress:
        open_tasks = ", ".join(f"{count} {state}" for state, count in sorted(open_in(result.statuses).items()))
        say(f"gave up after {timeout}: still in progress: {open_tasks or 'actions of the plan'}", err=True)
    if wait and ended.wrong:
        say(in_a_line(ended.wrong, result.statuses), err=output == "json")
    sys.exit(ended.exit_code(waited=wait))


def _run(settings: Settings, patience_s: float | None, stop: threading.Event, *, quiet: bool) -> PassResult | None:
    """Run one pass, or with ``patience_s`` until nothing is in progress; None where another process runs one."""
    from controller.cli.composition import only_one, open_reconciler
    from controller.model.errors import WaitingError

    narrator = Narrator(muted=quiet)
    try:
        with only_one(settings), _interruptible(stop), open_reconciler(settings, say=narrator.say) as reconciler:
            if patience_s is None:
                result = _one(reconciler, narrator, stop)
            else:
                result = _until_settled(reconciler, narrator, patience_s, stop)
            if not quiet:
                say_unpublished(settings, reconciler.mirror, result.desired.commit)
            return result
    except WaitingError as error:
        if error.reason != "PassUnderway":
            raise
        if not quiet:
            say(f"{error.message}; nothing done", err=True)
        return None


def _exclude(*options: tuple[str, bool]) -> None:
    if all(given for _, given in options):
        raise click.UsageError(f"{' and '.join(name for name, _ in options)} exclude each other")


def _say_unseen(unseen: Sequence[Notice]) -> None:
    for notice in unseen:
        say(f"error: {notice.reason}: {notice.message}", err=True)


def _say_news(state_dir: Path, lines: Sequence[str]) -> None:
    from controller.cli.news import news

    for line in news(state_dir, lines):
        say(line, err=True)


class Narrator:
    """Tells on standard error what goes on, in words of the plan; the same line is not said twice in a row."""

    def __init__(self, *, muted: bool = False) -> None:
        self._muted = muted
        self._titles: dict[str, str] = {}
        self._last: dict[str, str] = {}

    def announce(self, result_plan: Any) -> None:
        """Learn the titles of a plan's actions."""
        from controller.planning.describe import title

        self._titles |= {action.key: title(action) for action in result_plan.actions}

    def say(self, key: str, text: str) -> None:
        """Say how far an action is."""
        if self._last.get(key) != text and not self._muted:
            self._last[key] = text
            say(f"  {self._titles.get(key, key)}: {text}", err=True)


@contextmanager
def _interruptible(stop: threading.Event) -> Iterator[None]:
    """With the first Ctrl+C nothing new begins; the second ends the process, which is safe at any instant."""

    def interrupted(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(INTERRUPTED)
        stop.set()
        # Not by click: a handler runs wherever the program is, and that may be in the middle of a line.
        os.write(2, b"\nfinishing what is under way, nothing new begins; Ctrl+C again ends at once\n")

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _one(reconciler: Reconciler, narrator: Narrator, stop: threading.Event) -> PassResult:
    return reconciler.run_pass(stop, on_plan=narrator.announce)


def _until_settled(reconciler: Reconciler, narrator: Narrator, patience_s: float, stop: threading.Event) -> PassResult:
    """Run passes until nothing is in progress, saying each time what has changed."""
    from controller.planning.attention import unseen_in

    deadline = time.monotonic() + patience_s
    pause_s, said = _FIRST_PAUSE_S, ""
    away: list[Notice] = []
    while True:
        result = _one(reconciler, narrator, stop)
        before, away = away, unseen_in(result.desired, result.observed)
        _say_unseen([notice for notice in away if notice not in before])
        line = _in_a_line(result)
        if line != said:
            say(line, err=True)
            said, pause_s = line, _FIRST_PAUSE_S
        wait_s = pause_s if result.resume_at is None else min(pause_s, max(0.1, result.resume_at - time.time()))
        if not result.in_progress or time.monotonic() + wait_s > deadline or stop.wait(wait_s):
            return result
        pause_s = min(pause_s * 1.5, _LAST_PAUSE_S)


def _in_a_line(result: PassResult) -> str:
    from collections import Counter

    counts = Counter(str(task.state) for status in result.statuses for task in status.tasks)
    return "tasks: " + (", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "none")


def _show(result: PassResult, ended: Ended, output: str) -> None:
    from controller.cli.output import print_json
    from controller.cli.status import print_statuses
    from controller.model.digests import short
    from controller.model.errors import WaitingError
    from controller.planning.describe import title
    from controller.specs.excerpts import draw

    if output == "json":
        print_json(_document(result, ended))
        return
    for note in result.notes:
        say(f"note: {note}", err=True)
    for problem in result.desired.problems:
        say(draw(problem), err=True)
    for hold in result.plan.holds:
        say(f"held back: {hold.reason}: {hold.message}", err=True)
    for action in result.plan.actions:
        error = result.outcomes.get(action.key)
        if error is not None:
            word = "waits" if isinstance(error, WaitingError) else "failed"
            say(f"{word}: {title(action)}: {error.reason}: {error.message}", err=True)
    print_statuses(result.statuses, wide=False)
    say(f"commit {short(result.desired.commit)}: {_summary(result, ended)}")
    if result.report_error is not None:
        error = result.report_error
        say(f"the status could not be pushed: {error.reason}: {error.message}", err=True)
    if result.heartbeat_error is not None:
        error = result.heartbeat_error
        say(f"warning: the heartbeat could not be pushed: {error.reason}: {error.message}", err=True)


def _summary(result: PassResult, ended: Ended) -> str:
    done = sum(error is None for error in result.outcomes.values())
    nothing = "nothing could be done" if ended.unseen else "nothing more was done" if ended.wrong else "nothing to do"
    parts = [f"{done} of {len(result.plan.actions)} actions done" if result.plan.actions else nothing]
    if result.desired.problems:
        parts.append(f"{len(result.desired.problems)} problems in specs")
    parts.append(f"status commit {result.status_commit[:12]}" if result.status_commit else "status unchanged")
    return ", ".join(parts)


def _document(result: PassResult, ended: Ended) -> dict[str, Any]:
    from dataclasses import asdict

    from controller.model.documents import to_document
    from controller.planning.describe import kind_of, title

    actions = []
    for action in result.plan.actions:
        begun = action.key in result.outcomes
        error = result.outcomes.get(action.key)
        actions.append(
            {
                "kind": kind_of(action),
                "what": title(action),
                "why": action.why,
                "outcome": "failed" if error else "done" if begun else "skipped",
                "reason": error.reason if error else "",
                "message": error.message if error else "",
            }
        )
    return {
        "pass_id": result.pass_id,
        "commit": result.desired.commit,
        "status_commit": result.status_commit,
        "in_progress": result.in_progress,
        "unseen": [asdict(notice) for notice in ended.unseen],
        "wrong": [asdict(notice) for notice in ended.wrong],
        "problems": [
            {"path": p.path, "line": p.line, "column": p.column, "message": p.message, "remedy": p.remedy}
            for p in result.desired.problems
        ],
        "notes": list(result.notes),
        "held": [{"reason": hold.reason, "message": hold.message} for hold in result.plan.holds],
        "actions": actions,
        "resources": [to_document(status) for status in result.statuses],
    }
