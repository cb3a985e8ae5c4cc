"""Templates of a repository rendered: in a child process with limits, because a template is a program of its author's.

Jinja2's sandbox keeps a template away from Python's insides, but not from memory and time: ``'x' * 10**10`` is one
expression. So the child has little of both, an empty environment and no files to write. Belongs here: the child and
what its answers mean. Does not belong here: which files and values, or where the result goes.
"""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from controller.model.errors import StalledError, TransientError
from controller.model.images import Value
from controller.specs.nearest import printable

WALL_S = 60
"""Longest time for all files of one template; the child's own limit on computing is shorter."""
_CHILD = Path(__file__).with_name("child.py")


def render(files: Mapping[str, str], values: Mapping[str, Value], *, name: str) -> dict[str, str]:
    """Return each text rendered; ``name`` is the template's, for messages.

    Raises:
        StalledError: it does not render (``TemplateFailed``, with file, line and cause).
        TransientError: the child could not be run (``TemplateNotRun``).
    """
    question = json.dumps({"files": dict(files), "values": dict(values)}).encode("utf-8", "surrogatepass")
    try:
        # By its file and isolated: nothing of the environment, the working directory or the user's site counts.
        done = subprocess.run(
            [sys.executable, "-I", str(_CHILD)], input=question, capture_output=True, timeout=WALL_S, env={}, cwd="/"
        )
    except subprocess.TimeoutExpired as error:
        raise _failed(name, f"it computes for too long (more than {WALL_S} s)") from error
    except OSError as error:
        raise TransientError("TemplateNotRun", f"template {name}: no process could be started ({error})") from error
    if done.returncode != 0:
        raise _failed(name, _end_of(done.returncode, done.stderr))
    answer: dict[str, Any] = json.loads(done.stdout)
    if "error" in answer:
        told = answer["error"]
        line = f":{told['line']}" if told["line"] else ""
        raise _failed(name, f"{printable(told['file'])}{line}: {told['cause']}")
    return {path: base64.b64decode(text).decode("utf-8") for path, text in answer["files"].items()}


def _failed(name: str, why: str) -> StalledError:
    return StalledError("TemplateFailed", f"template {name} cannot be rendered: {why}. Correct it in a commit")


def _end_of(code: int, said: bytes) -> str:
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return "it computes for too long"
    last = said.decode("utf-8", "replace").strip().splitlines()[-1:]
    return f"the process ended with {code} ({''.join(last)[:200]})"
