"""Makes a pass for every line on standard input, in one process: what a service does. Used by ``noop_pass``."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path

from controller.cli.composition import open_reconciler, settings_from
from controller.cli.options import Given
from controller.service.logs import configure_logging

configure_logging("critical")
given = Given(**{**{field.name: None for field in fields(Given)}, "config": Path(sys.argv[1])})
with open_reconciler(settings_from(given), say=lambda key, text: None) as reconciler:
    for _ in sys.stdin:
        result = reconciler.run_pass()
        idle = not result.plan.actions and result.status_commit is None
        print(
            "nothing done" if idle else f"{len(result.plan.actions)} actions, status {result.status_commit}", flush=True
        )
