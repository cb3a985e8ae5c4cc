"""The child process that renders: JSON on stdin to JSON on stdout, under limits. Run by its file, never imported.

``{"files": {path: text}, "values": {...}}`` becomes ``{"files": {path: base64 of UTF-8}}`` or ``{"error": {"file",
"line", "cause"}}``. Imports nothing of the controller.
"""

from __future__ import annotations

import base64
import json
import resource
import sys
import traceback
from typing import Any

MEMORY_BYTES = 512 << 20
CPU_S = 3
MOST_BYTES = 4 << 20
"""Most that all rendered files have together."""


def main() -> None:
    """Answer one question."""
    for limit, value in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    question = json.load(sys.stdin)
    sys.stdout.write(json.dumps(answer(question["files"], question["values"])))


def answer(files: dict[str, str], values: dict[str, Any]) -> dict[str, Any]:
    """Render every file, or say where and why one cannot be."""
    from jinja2 import StrictUndefined, TemplateSyntaxError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True
    )
    rendered: dict[str, str] = {}
    room = MOST_BYTES
    for path, text in sorted(files.items()):
        try:
            code = environment.compile(text, path, path)
            template = environment.template_class.from_code(environment, code, environment.make_globals(None))
            data = template.render(values).encode("utf-8", "surrogatepass")
        except TemplateSyntaxError as error:
            return _error(path, error.lineno, error.message or "syntax error")
        except MemoryError:
            return _error(path, None, f"it needs more than {MEMORY_BYTES >> 20} MiB of memory")
        except Exception as error:  # whatever a template's expression raises is its author's to know
            return _error(path, _line_in(path, error), f"{error}" or type(error).__name__)
        room -= len(data)
        if room < 0:
            return _error(path, None, f"the rendered files have more than {MOST_BYTES >> 20} MiB")
        rendered[path] = base64.b64encode(data).decode()
    return {"files": rendered}


def _line_in(path: str, error: Exception) -> int | None:
    """Return the line of the template: Jinja2 rewrites tracebacks to name it."""
    lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == path]
    return lines[-1] if lines else None


def _error(path: str, line: int | None, cause: str) -> dict[str, Any]:
    return {"error": {"file": path, "line": line, "cause": " ".join(cause.split())[:500]}}


if __name__ == "__main__":
    main()
