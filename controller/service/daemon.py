"""``controller run``, put together: loop, signals and, when asked for, the HTTP port.

The one place in the service that builds things; the web libraries are imported here, only when a port was
asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from controller.model.errors import ConfigurationError
from controller.service.loop import Companion, PassObserver, RunPass, Service
from controller.service.pacing import Pace
from controller.service.signals import Signals

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOptions:
    """What a person may set of the service."""

    pace: Pace = field(default_factory=Pace)
    listen: str | None = None
    """``127.0.0.1:8080``, ``:8080``, ``[::1]:8080``; port 0 takes a free one. None: no port at all."""
    webhook_secret_file: Path | None = None
    """None: no webhook."""
    watched_ref: str | None = None
    """Full name of the branch that specs are read from (``refs/heads/main``): other pushes are ignored."""
    own_refs: tuple[str, ...] = ()
    """Full names of the branches that the controller pushes to: a push to them never asks for a pass."""
    stop_timeout_s: float = 60.0
    version: str = "unknown"


def serve(run_pass: RunPass, options: ServiceOptions, companions: Sequence[Companion] = ()) -> int:
    """Run passes until SIGTERM or SIGINT; the exit code of a clean stop. Call it from the main thread.

    ``companions`` are stopped after the last pass, within the time that a stop may take.

    Raises:
        ConfigurationError: a setting is wrong, the port is in use, the webhook's secret cannot be read. No
        pass was
            run.
    """
    if options.webhook_secret_file is not None and options.listen is None:
        raise ConfigurationError(
            "ListenAddressMissing",
            "There is a secret for the webhook but no address to listen on: give both or neither.",
        )
    if options.listen is None:
        _run(Service(run_pass, pace=options.pace), options, companions)
    else:
        _serve_http(run_pass, options, options.listen, companions)
    return 0


def _serve_http(run_pass: RunPass, options: ServiceOptions, listen: str, companions: Sequence[Companion]) -> None:
    from controller.service.http import build_app
    from controller.service.listener import Listener, open_port
    from controller.service.metrics import Metrics
    from controller.service.secret import SecretFile

    secret = None
    if options.webhook_secret_file is not None:
        secret = SecretFile(options.webhook_secret_file)
        secret.read()
    with open_port(listen) as port:
        metrics = Metrics(version=options.version)
        observers: list[PassObserver] = [metrics]
        service = Service(run_pass, pace=options.pace, observers=observers)
        app = build_app(service, metrics, secret=secret, watched_ref=options.watched_ref, own_refs=options.own_refs)
        if secret is None:
            log.info("webhook_off", remedy="Set a secret file to let a Git host announce pushes.")
        _run(service, options, [Listener(app, port), *companions])


def _run(service: Service, options: ServiceOptions, companions: Sequence[Companion] = ()) -> None:
    signals = Signals(
        on_stop=service.stop,
        on_hangup=lambda: service.request_pass("SIGHUP"),
        stop_timeout_s=options.stop_timeout_s,
    )
    service.run([signals, *companions])
