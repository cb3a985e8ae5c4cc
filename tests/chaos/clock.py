"""One pass of the controller with a clock that is off by so many seconds: ``python -m tests.chaos.clock SECONDS``.

The configuration comes from the environment, as for the command itself.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from controller.cli.composition import open_mirror, open_pins, settings_from
from controller.cli.options import Given
from controller.containers.engine import Engine
from controller.model.failpoints import arm
from controller.reconcile.clients import Clients
from controller.reconcile.reconciler import Reconciler
from controller.store.journal import Journal
from controller.store.verdicts import Verdicts


def main(off_s: float) -> None:
    """Run the pass."""
    config, state_dir = Path(os.environ["CONTROLLER_CONFIG"]), Path(os.environ["CONTROLLER_STATE_DIR"])
    settings = settings_from(Given(repo=None, branch=None, path=None, config=config, state_dir=state_dir))
    if "CONTROLLER_FAILPOINTS" in os.environ:
        arm(Path(os.environ["CONTROLLER_FAILPOINTS"]))
    mirror, engine = open_mirror(settings), Engine()
    reconciler = Reconciler(
        settings,
        mirror=mirror,
        journal=Journal(settings.state_dir / "journal.sqlite3"),
        verdicts=Verdicts(settings.state_dir / "verdicts.sqlite3"),
        engine=engine,
        clients=Clients(settings.instance, ssh_config=settings.ssh_config),
        pins=open_pins(settings, mirror, engine),
        clock=lambda: time.time() + off_s,
        say=lambda key, text: None,
    )
    reconciler.run_pass()
    reconciler.close()


main(float(sys.argv[1]))
