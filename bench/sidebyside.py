"""Things timed side by side: in turn, many rounds, medians, so that what else the machine does meets all of them."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Container images often set this; every start would then compile all modules again, which no installed one does.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
CONTROLLER = [str(ROOT / ".venv" / "bin" / "python"), "-m", "controller"]


def run(*argv: str | Path, env: Mapping[str, str] | None = None, expect: int = 0) -> str:
    """Run a command; return what it printed. A time means nothing when it did not end as expected: leave then."""
    done = subprocess.run(
        argv, cwd=ROOT, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode != expect:
        sys.exit(f"{' '.join(map(str, argv))}: exit code {done.returncode}, not {expect}\n{done.stderr}")
    return done.stdout


def compare(contenders: Sequence[tuple[str, Callable[[], object]]], *, rounds: int) -> None:
    """Time the contenders in turn; print medians, spread, and the ratio to the first one.

    "cpu" is the processor time of the processes that ended meanwhile: next to nothing for one that goes on, and what
    to look at on a busy machine. One round before the others warms caches and is not counted.
    """
    wall: dict[str, list[float]] = {name: [] for name, _ in contenders}
    cpu: dict[str, list[float]] = {name: [] for name, _ in contenders}
    for number in range(rounds + 1):
        for name, contender in contenders:
            spent, began = _children_s(), time.perf_counter()
            contender()
            if number:
                wall[name].append(time.perf_counter() - began)
                cpu[name].append(_children_s() - spent)
    base = statistics.median(wall[contenders[0][0]])
    width = max(map(len, wall))
    print(f"{rounds} rounds, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print(f"{'':{width}}    median       min       max       cpu   ratio")
    for name, mine in wall.items():
        figures = (statistics.median(mine), min(mine), max(mine), statistics.median(cpu[name]))
        columns = " ".join(f"{figure * 1e3:6.0f} ms" for figure in figures)
        print(f"{name:{width}} {columns} {figures[0] / base:7.2f}")


def _children_s() -> float:
    spent = os.times()
    return spent.children_user + spent.children_system
