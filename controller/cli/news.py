"""What a pass has to say that the pass before did not say: for cron, which mails whatever is printed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

_FILE = "said.json"


def news(state_dir: Path, lines: Sequence[str]) -> list[str]:
    """Return the lines that were not among those of the last call, and remember these.

    The end of all of them is news as well. What was said is kept in a file of its own: it is lost without harm, and a
    pass that could not open its journal has something to say too.
    """
    file = state_dir / _FILE
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        before = []
    fresh = [line for line in dict.fromkeys(lines) if line not in before]
    if before and not lines:
        fresh = ["all is well again"]
    if list(lines) != before:
        state_dir.mkdir(parents=True, exist_ok=True)
        aside = file.with_suffix(".aside")
        aside.write_text(json.dumps(list(lines)), encoding="utf-8")
        aside.replace(file)
    return fresh
