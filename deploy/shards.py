"""Run the whole suite as shards side by side, and close with one account of them all.

``local`` needs no backend and runs while the sandboxes come up; ``cluster`` has a sandbox for each of its workers. What
is in which shard is said by ``tests/shards.py``. The last line is ``N passed, N failed``, with ``, N skipped`` behind
it where some were; the exit code is 1 when anything failed: a test, a shard that crashed, took too long or ran nothing,
or a test that no shard ran.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

DEPLOY = Path(__file__).parent
SUITE = DEPLOY.parent / "pyproject.toml"
PYTEST = ("-m", "pytest", "-c", str(SUITE), "-p", "tests.shards", "--dist=loadfile", "--no-loadscope-reorder")
PROGRESS_S = 30.0
GRACE_S = 30.0
"""How long a shard that is stopped has to say what it was at."""
SLOWEST = 20


@dataclass
class Shard:
    """One pytest with its workers, what it prints and what it reports."""

    name: str
    directory: Path
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None
    process: subprocess.Popen[bytes] | None = None
    problems: list[str] = field(default_factory=list)

    def start(self, workers: int, arguments: argparse.Namespace, env: dict[str, str]) -> None:
        """Start it in a session of its own, so that all it has started can be ended."""
        coverage = ["-m", "coverage", "run"] if arguments.coverage else []
        options = [f"--numprocesses={workers}", "--max-worker-restart=0", f"--shard={self.name}"]
        marks = [] if arguments.long else ["-m", "not long"]
        argv = [
            sys.executable,
            *coverage,
            *PYTEST,
            *options,
            f"--shard-report={self._report}",
            *marks,
            *arguments.paths,
        ]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **env},
                start_new_session=True,
            )

    def running(self, limit_s: float) -> bool:
        """Look whether it runs; past the limit it is stopped, which is a failure."""
        if self.process is None or self.ended is not None:
            return False
        if self.process.poll() is None and time.monotonic() - self.began < limit_s:
            return True
        if self.process.returncode is None:
            self.problems.append(f"took longer than {limit_s / 60:.0f} min and was stopped")
            self.stop()
        self.ended = time.monotonic()
        return False

    def stop(self) -> None:
        """Interrupt it as a terminal does, so that it says where it was; then end all of its session."""
        if self.process is None or self.process.poll() is not None:
            return
        os.killpg(self.process.pid, signal.SIGINT)
        try:
            self.process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(GRACE_S)

    def tests(self) -> dict[str, dict[str, object]]:
        """Return what is reported so far, by test."""
        return {line["test"]: line for line in self._lines() if "test" in line}

    def shards(self) -> dict[str, int] | None:
        """Return how many tests each shard has, as this one has counted them; None before its end."""
        return next((line["shards"] for line in self._lines() if "shards" in line), None)

    def counts(self) -> Counter[str]:
        """Return how many tests passed, failed and were skipped."""
        return Counter(str(test["outcome"]) for test in self.tests().values())

    def judge(self, *, may_be_empty: bool) -> None:
        """Add what is wrong with the shard itself."""
        code = self.process.returncode if self.process else None
        ran, shards = len(self.tests()), self.shards()
        expected = (shards or {}).get(self.name, 0)
        if self.problems:
            return
        if shards is None or (not shards and ran) or code not in (0, 1, 5):
            self.problems.append(f"broke off (exit code {code})")
        elif ran != expected:
            self.problems.append(f"has {expected} tests and ran {ran}")
        if ran == 0 and not may_be_empty:
            self.problems.append("ran no test")
        if code == 1 and self.counts()["failed"] == 0 and not self.problems:
            self.problems.append("pytest failed outside of a test")

    def said(self) -> str:
        """Return the failures whole, or the end of the output where there are none to be found."""
        text = self._log.read_text(errors="replace")
        start = re.search(r"^=+ (ERRORS|FAILURES) =+$", text, re.MULTILINE)
        return text[start.start() :] if start else "\n".join(text.splitlines()[-100:])

    @property
    def _log(self) -> Path:
        return self.directory / f"{self.name}.log"

    @property
    def _report(self) -> Path:
        return self.directory / f"{self.name}.jsonl"

    def _lines(self) -> list[dict[str, dict[str, int]]]:
        if not self._report.exists():
            return []
        # The last line may be half written.
        return [json.loads(line) for line in self._report.read_text().split("\n")[:-1]]


class Sandboxes:
    """Sandbox clusters by name; the first one stays for the next time."""

    def __init__(self, count: int) -> None:
        first = os.environ.get("SANDBOX_NAME") or "controller-sandbox"
        self.names = [first, *(f"{first}-{number}" for number in range(2, count + 1))]
        self._began: list[str] = []

    def up(self, *, anew: bool) -> list[dict[str, str]]:
        """Start them and return the environment of each; the first one makes the image where there is none."""
        _run("engine")
        if anew:
            _side_by_side([self._start(name, "down") for name in self.names])
        for group in (self.names[:1], self.names[1:]):
            self._began += group
            _side_by_side([self._start(name, "up") for name in group])
        return [self._environment(name) for name in self.names]

    def close(self) -> None:
        """Remove all but the first."""
        _side_by_side([self._start(name, "down") for name in self._began[1:]])

    def _start(self, name: str, verb: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([DEPLOY / "sandbox", verb], env=_named(name), stdin=subprocess.DEVNULL)

    def _environment(self, name: str) -> dict[str, str]:
        said = subprocess.run([DEPLOY / "sandbox", "env"], env=_named(name), capture_output=True, text=True, check=True)
        pairs = (shlex.split(line)[0].partition("=") for line in said.stdout.splitlines())
        return {key: value for key, _, value in pairs}


def _named(name: str) -> dict[str, str]:
    home = os.environ.get("SANDBOX_HOME")
    return {**os.environ, "SANDBOX_NAME": name} | ({"SANDBOX_HOME": f"{home}/{name}"} if home else {})


def _run(program: str) -> None:
    _side_by_side([subprocess.Popen([DEPLOY / program], stdin=subprocess.DEVNULL)])


def _side_by_side(processes: list[subprocess.Popen[bytes]]) -> None:
    codes = [process.wait() for process in processes]
    if any(codes):
        # What is wrong was printed by the program itself.
        raise SystemExit(1)


def run(arguments: argparse.Namespace, directory: Path) -> list[Shard]:
    """Run the shards to their end."""
    local, sandboxes = Shard("local", directory), Sandboxes(arguments.sandboxes)
    shards = [local]
    try:
        local.start(arguments.workers, arguments, {})
        if arguments.sandboxes:
            shards.append(Shard("cluster", directory))
            environments = sandboxes.up(anew=os.environ.get("CI") == "true")
            print(f"{len(environments)} sandboxes are up after {time.monotonic() - local.began:.0f} s", file=sys.stderr)
            shards[1].began = time.monotonic()
            shards[1].start(len(environments), arguments, {"SANDBOX_OF_WORKER": json.dumps(environments)})
        _watch(shards, arguments.limit * 60)
    except (KeyboardInterrupt, SystemExit):
        # By a signal, or as no sandbox came up, which was said: what has run until now is still accounted for.
        for shard in shards:
            if shard.ended is None:
                shard.problems.append("was interrupted" if shard.process else "was not started")
    finally:
        for shard in shards:
            shard.stop()
        sandboxes.close()
    return shards


def _watch(shards: list[Shard], limit_s: float) -> None:
    shown = time.monotonic()
    while running := [shard for shard in shards if shard.running(limit_s)]:
        time.sleep(0.5)
        if time.monotonic() - shown > PROGRESS_S:
            shown = time.monotonic()
            now = "; ".join(f"{shard.name}: {_words(shard.counts())}" for shard in running)
            print(f"{shown - shards[0].began:5.0f} s  {now}", file=sys.stderr, flush=True)


def close(shards: list[Shard], *, may_be_empty: bool) -> int:
    """Print the account of all shards and return the exit code."""
    for shard in shards:
        shard.judge(may_be_empty=may_be_empty)
    total, known = Counter[str](), Counter[str]()
    for shard in shards:
        total += shard.counts()
        known |= Counter(shard.shards() or {})
        if shard.counts()["failed"] or shard.counts()["skipped"] or shard.problems:
            print(f"\n######## shard {shard.name} ########\n{shard.said()}")
    print("\nThe slowest tests:")
    every = [test for shard in shards for test in shard.tests().values()]
    for test in sorted(every, key=lambda test: -float(str(test["seconds"])))[:SLOWEST]:
        print(f"{float(str(test['seconds'])):7.1f} s  {test['test']}")
    print("\nThe shards:")
    for shard in shards:
        print(f"{(shard.ended or shard.began) - shard.began:7.1f} s  {shard.name}: {_words(shard.counts())}")
    problems = [f"shard {shard.name} {problem}" for shard in shards for problem in shard.problems]
    for name in known.keys() - {shard.name for shard in shards}:
        problems.append(f"{known[name]} tests belong to the shard {name}, which was not run")
    for problem in problems:
        print(f"error: {problem}")
    if not every and not problems:
        problems.append("no test ran")
        print("error: no test ran")
    total["failed"] += len(problems)
    print(f"\n{_words(total)}", flush=True)
    return 1 if total["failed"] else 0


def _words(counts: Counter[str]) -> str:
    text = f"{counts['passed']} passed, {counts['failed']} failed"
    return text + (f", {counts['skipped']} skipped" if counts["skipped"] else "")


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description="Run the suite as shards side by side; deploy/test calls this.")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 2, help="of the shard local")
    parser.add_argument("--sandboxes", type=int, default=3, help="workers of the shard cluster, a sandbox each")
    parser.add_argument("--limit", type=float, default=60, help="minutes that a shard may take")
    parser.add_argument("--long", action="store_true", help="the long tests too")
    parser.add_argument("--coverage", action="store_true", help="count the lines that run")
    parser.add_argument("paths", nargs="*", help="only these tests")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="shards-") as directory:
        shards = run(arguments, Path(directory))
        print(f"\nAll shards took {time.monotonic() - began:.0f} s.")
        return close(shards, may_be_empty=bool(arguments.paths))


if __name__ == "__main__":
    sys.exit(main())
