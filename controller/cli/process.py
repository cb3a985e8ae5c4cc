"""What the process needs of the machine before a verb runs. Must not import anything of the verbs."""

from __future__ import annotations

import os
import resource
import sys

from controller.model.errors import ConfigurationError

LEAST_FILES = 256
"""A pass of a few clusters and sources has about a hundred files open."""
WANTED_FILES = 4096


def prepare() -> None:
    """Open what is closed of the three standard streams, and raise the limit of open files as far as is allowed.

    Raises:
        ConfigurationError: ``PythonOptimized``, ``TooManyOpenFiles``.
    """
    _fill_closed()
    if sys.flags.optimize >= 2:
        raise ConfigurationError(
            "PythonOptimized",
            "Python's optimisation level 2 takes away what cerberus needs: unset PYTHONOPTIMIZE, or leave -OO out",
        )
    _raise_limit()


def _fill_closed() -> None:
    # The next file that is opened would get the number, and be written to as if it were the terminal.
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    for name, at in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(at, "r" if at == 0 else "w", closefd=False))


def _raise_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_FILES if hard == resource.RLIM_INFINITY else min(WANTED_FILES, hard)
    if 0 <= soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if wanted < LEAST_FILES:
        raise ConfigurationError(
            "TooManyOpenFiles",
            f"this process may have only {hard} files open and needs {LEAST_FILES}: raise the limit (ulimit -Hn, or"
            " LimitNOFILE= in the unit)",
        )
