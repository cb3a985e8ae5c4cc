"""Which options a spec may give to the submit command in ``resources.extra``.

The controller sets some options itself, and a run could not be found again, or would run with a changed environment,
if a spec set them too. Others have a field of their own. Option names are those of sbatch (man page, SLURM 24.11);
sbatch takes any unique beginning of a long name, so beginnings are refused as well.
"""

from __future__ import annotations

import re

_RECOGNISE = "the controller sets it to recognise its jobs"
_ARRAY = "the controller forms job arrays itself"
_FILES = "the controller decides where a run's files are"
_ENVIRONMENT = "the controller decides what environment a job starts with"
_OUTPUT = "it changes what the controller reads from the submit command"
_ELSEWHERE = "the job would run where the controller does not look for it"

OWNED = {
    "job-name": _RECOGNISE,
    "comment": _RECOGNISE,
    "array": _ARRAY,
    "output": _FILES,
    "error": _FILES,
    "input": _FILES,
    "chdir": _FILES,
    "export": _ENVIRONMENT,
    "export-file": _ENVIRONMENT,
    "get-user-env": _ENVIRONMENT,
    "parsable": _OUTPUT,
    "test-only": _OUTPUT,
    "help": _OUTPUT,
    "usage": _OUTPUT,
    "version": _OUTPUT,
    "wait": "the controller does not block while a job runs",
    "wrap": "the controller submits a script of its own",
    "clusters": _ELSEWHERE,
    "cluster": _ELSEWHERE,
}
FIELDS = {
    "partition": "partition",
    "account": "account",
    "qos": "qos",
    "time": "time",
    "nodes": "nodes",
    "cpus-per-task": "cpus",
    "mem": "memory",
    "gpus": "gpus",
}
"""Long option to the field of ``resources`` that stands for it."""

_SHORT = {
    "J": "job-name", "a": "array", "o": "output", "e": "error", "i": "input", "D": "chdir", "W": "wait",
    "V": "version", "h": "help", "M": "clusters",
    "p": "partition", "A": "account", "q": "qos", "t": "time", "N": "nodes", "c": "cpus-per-task", "G": "gpus",
}  # fmt: skip
_WITHOUT_VALUE = frozenset("HIOQsvX")
"""Short options that take no value, behind which getopt would read another option from the same word."""

_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


def refusal(option: str) -> tuple[str, str] | None:
    """Return why an option is refused and what to do instead, or None if it is fine."""
    if _CONTROL.search(option):
        return "must be one line without control characters", ""
    if not option.startswith("-") or option.strip("-") == "":
        return (
            'must be an option that begins with "-"',
            "write option and value as one item: --constraint=avx512",
        )
    name = _long_name(option)
    if name is None:
        return "must be one option an item", f"give {option[:2]} and the rest as items of their own"
    if name in OWNED:
        return f"may not set --{name}: {OWNED[name]}", "remove it"
    if name in FIELDS:
        return f"may not set --{name}: it has a field of its own", f'use "{FIELDS[name]}" of resources'
    return None


def _long_name(option: str) -> str | None:
    """Return the long name of an option ("" for one that is not restricted), None for several in one word."""
    if not option.startswith("--"):
        if option[1] in _WITHOUT_VALUE and len(option) > 2:
            return None
        return _SHORT.get(option[1], "")
    given = option[2:].partition("=")[0]
    for name in (*OWNED, *FIELDS):
        if given == name:
            return name
    return next((name for name in (*OWNED, *FIELDS) if name.startswith(given)), "")
