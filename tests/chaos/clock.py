"""One pass of the controller with a clock that is off by so many seconds: ``python -m tests.chaos.clock SECONDS``.

The configuration comes from the environment, as for the command itself.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from controller.cli.composition import open_reconciler, settings_from
from controller.cli.options import Given
from controller.model.failpoints import arm


def main(off_s: float) -> None:
    """Run the pass."""
    config, state_dir = Path(os.environ["CONTROLLER_CONFIG"]), Path(os.environ["CONTROLLER_STATE_DIR"])
    settings = settings_from(Given(repo=None, branch=None, path=None, config=config, state_dir=state_dir))
    if "CONTROLLER_FAILPOINTS" in os.environ:
        arm(Path(os.environ["CONTROLLER_FAILPOINTS"]))
    with open_reconciler(settings, say=lambda key, text: None, clock=lambda: time.time() + off_s) as reconciler:
        reconciler.run_pass()


main(float(sys.argv[1]))
