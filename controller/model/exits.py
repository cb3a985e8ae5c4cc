"""Exit codes in words. Above 128 a shell means a signal: 128 and its number.

The numbers are those of Linux (signal(7)), where the runs are, whatever machine the controller is on.
"""

from __future__ import annotations

_SIGNALS = {
    1: "SIGHUP",
    2: "SIGINT",
    3: "SIGQUIT",
    4: "SIGILL",
    6: "SIGABRT",
    7: "SIGBUS",
    8: "SIGFPE",
    9: "SIGKILL",
    10: "SIGUSR1",
    11: "SIGSEGV",
    12: "SIGUSR2",
    13: "SIGPIPE",
    14: "SIGALRM",
    15: "SIGTERM",
    24: "SIGXCPU",
    25: "SIGXFSZ",
}


def exit_words(code: int) -> str:
    """Return ``with exit code 3``, or ``with exit code 138 (signal 10, SIGUSR1)``."""
    name = _SIGNALS.get(code - 128)
    return f"with exit code {code} (signal {code - 128}, {name})" if name else f"with exit code {code}"
