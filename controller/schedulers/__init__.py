"""Dialects of schedulers: commands out, text in. Nothing here runs anything.

A scheduler is one module that offers an object of the ``Scheduler`` protocol (see ``dialect.py``) under the name
``SCHEDULER``. The registry finds it by the name that specs use; the contract suite runs over every one there is.
"""

from __future__ import annotations

from importlib import import_module

from controller.schedulers.dialect import Scheduler

NAMES = ("slurm", "local")


def scheduler_named(name: str) -> Scheduler:
    """Return the dialect of that name.

    Raises:
        KeyError: there is none; specs are checked against ``NAMES`` long before.
    """
    if name not in NAMES:
        raise KeyError(name)
    scheduler: Scheduler = import_module(f"controller.schedulers.{name}").SCHEDULER
    return scheduler
