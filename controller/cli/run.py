"""``controller run``: passes for as long as the process lives."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from controller import __version__
from controller.cli.options import Given, repository_options

if TYPE_CHECKING:
    from controller.reconcile.passes import PassResult
    from controller.reconcile.reconciler import Reconciler
    from controller.reconcile.settings import Settings
    from controller.reconcile.workshop import Workshop
    from controller.service.summary import PassSummary

_SOON_S = 10.0
_PATIENCE_S = 10.0
"""How long a pass waits for a build or a conversion before it leaves that to go on beside the next passes."""


@click.command(name="run")
@click.option("--interval", metavar="T", help="Time between passes.  [default: 60s]")
@click.option("--listen", metavar="ADDR:PORT", help="Open a port for the webhook, /healthz and /metrics.")
@click.option(
    "--webhook-secret-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File with the secret that pushes are signed with.",
)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
@click.option("--log-format", type=click.Choice(["auto", "json", "console"]), default="auto", show_default=True)
@repository_options
def command(
    given: Given,
    interval: str | None,
    listen: str | None,
    webhook_secret_file: Path | None,
    log_level: str,
    log_format: str,
) -> None:
    """Run passes until SIGTERM: every interval, and soon after each push that a webhook tells of."""
    from controller.cli.composition import open_reconciler, settings_from
    from controller.reconcile.workshop import Workshop
    from controller.repository.heartbeat import branch_of
    from controller.service.daemon import ServiceOptions, serve
    from controller.service.logs import LogFormat, configure_logging
    from controller.service.pacing import Pace
    from controller.specs.quantities import duration_s

    # A reload may come before the handler is there, and asks for a pass that begins anyway.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    configure_logging(log_level, LogFormat(log_format))
    settings = settings_from(given)
    try:
        interval_s = float(duration_s(interval)) if interval else settings.interval_s
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--interval") from error
    settings = replace(settings, interval_s=interval_s)
    options = ServiceOptions(
        pace=Pace(interval_s=interval_s, jitter_s=interval_s / 10),
        listen=listen or settings.listen,
        webhook_secret_file=webhook_secret_file or settings.webhook_secret_file,
        watched_ref=f"refs/heads/{settings.branch}" if settings.branch else None,
        own_refs=tuple(f"refs/heads/{name}" for name in (settings.status_branch, branch_of(settings.status_branch))),
        version=__version__,
    )
    workshop = Workshop(_PATIENCE_S)
    with open_reconciler(settings, say=lambda key, text: None, workshop=workshop) as reconciler:
        code = serve(lambda stop: _one_pass(reconciler, settings, stop), options, [workshop])
    _leave(code, workshop)


def _leave(code: int, workshop: Workshop) -> None:
    """End the process, also when a build goes on: a thread cannot be ended, and the next start begins it again."""
    import structlog

    if left := sorted(workshop.underway):
        structlog.get_logger().info("work_left", actions=left, remedy="The next start begins it again.")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _one_pass(reconciler: Reconciler, settings: Settings, stop: threading.Event) -> PassSummary:
    from controller.cli.composition import only_one

    began = time.monotonic()
    with only_one(settings):
        result = reconciler.run_pass(stop=stop)
    return summary_of(result, began, time.monotonic())


def _next_pass_in_s(result: PassResult, now: float) -> float | None:
    """Soon while something is in progress, and sooner where a limit lets something go on before that."""
    if not result.in_progress:
        return None
    return _SOON_S if result.resume_at is None else min(_SOON_S, max(0.0, result.resume_at - now))


def summary_of(result: PassResult, began: float, ended: float) -> PassSummary:
    """Return a pass in numbers, for log and metrics."""
    from controller.model.errors import WaitingError
    from controller.planning.describe import kind_of
    from controller.service.summary import FAILED_OUTCOME, PassSummary

    actions: Counter[tuple[str, str]] = Counter()
    for action in result.plan.actions:
        error = result.outcomes.get(action.key)
        begun = action.key in result.outcomes
        outcome = "done" if begun else "underway" if action.key in result.underway else "skipped"
        if error is not None:
            outcome = "waiting" if isinstance(error, WaitingError) else FAILED_OUTCOME
        actions[(kind_of(action), outcome)] += 1
    return PassSummary(
        pass_id=result.pass_id,
        commit=result.desired.commit,
        started_s=began,
        ended_s=ended,
        actions=actions,
        tasks=Counter(task.state for status in result.statuses for task in status.tasks),
        invalid_specs=len(result.desired.problems),
        clusters={name: seen.reachable for name, seen in result.observed.clusters.items()},
        next_pass_in_s=_next_pass_in_s(result, time.time()),
    )
