"""Print the tests that a change touches, one path a line, and on standard error what was chosen and why.

Changed is what differs from BASE (default: where this branch left main), committed or not. A changed file chooses
  itself, when it is a test; a helper of tests chooses the tests that import it;
  the tests that mirror it: ``controller/store/journal.py`` those of ``tests/*/store``, by name where there is one;
  the tests that import it, by name, directly or by a helper of tests;
  what ``SUITES`` says of its place.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
SUITES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("controller/clusters/remote/*", ("tests/contract/schedulers", "tests/contract/images", "tests/contract/storage")),
    ("controller/clusters/remote/job*", ("tests/e2e/test_survival.py",)),
    ("controller/schedulers/*", ("tests/contract/schedulers",)),
    ("controller/clusters/*", ("tests/contract/schedulers", "tests/contract/transports")),
    ("controller/containers/*", ("tests/contract/engines", "tests/contract/containers")),
    ("controller/repository/*", ("tests/contract/remotes",)),
    ("controller/planning/*", ("tests/property/planning",)),
    ("controller/specs/*", ("tests/property/test_specs.py", "tests/property/test_sweeps.py")),
    ("schemas/*", ("tests/unit/specs", "tests/property/test_specs.py")),
    ("controller/cli/*", ("tests/e2e/test_command_line.py", "tests/e2e/test_spec_verbs.py")),
    ("controller/reconcile/*", ("tests/e2e/test_command_line.py", "tests/e2e/test_status_branch.py")),
    ("controller/*/leases.py", ("tests/life",)),
    ("controller/reconcile/own*", ("tests/life",)),
    ("controller/service/*", ("tests/e2e/test_service.py",)),
    ("controller/rendering/*", ("tests/unit/test_rendering.py",)),
    ("deploy/cluster/*", ("tests/contract/schedulers", "tests/contract/storage")),
    ("deploy/demo", ("tests/e2e/test_demo.py",)),
    ("specs/*", ("tests/e2e/test_examples.py", "tests/e2e/test_digits.py")),
)
"""Place of a changed file -> the suites over it that no import leads to, since they start the command or a script."""
EVERYTHING = ("pyproject.toml", "deploy/requirements-dev.lock", "deploy/requirements.lock", "tests/conftest.py")
"""What touches every test."""


def changed(base: str) -> list[str]:
    """Return the paths that differ from ``base``, and those that git does not know yet."""
    differ = _git("diff", "--name-only", base)
    return sorted({*differ, *_git("ls-files", "--others", "--exclude-standard")})


def base_of_branch() -> str:
    """Return the commit where this branch left main, or the last one but one on main itself."""
    for name in ("main", "origin/main"):
        found = _git("merge-base", "HEAD", name, check=False)
        if found and found != _git("rev-parse", "HEAD"):
            return found[0]
    return "HEAD" if _git("status", "--porcelain") else "HEAD~1"


def imports(path: Path) -> set[str]:
    """Return the modules that a file imports, and those that it may: ``from a import b`` is ``a`` and ``a.b``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def module_of(path: str) -> str:
    """Return the module of a Python file."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


class Choice:
    """The tests that were chosen, each with the first reason."""

    def __init__(self) -> None:
        files = sorted((ROOT / "tests").rglob("*.py"))
        self._imports = {str(path.relative_to(ROOT)): imports(path) for path in files}
        self._tests = [path for path in self._imports if PurePosixPath(path).name.startswith("test_")]
        self.reasons: dict[str, str] = {}

    def add(self, path: str) -> bool:
        """Choose the tests that a changed file touches; return whether there are any."""
        before = len(self.reasons)
        found = False
        for test, reason in self._touched(path):
            found = True
            self.reasons.setdefault(test, reason)
        return found or len(self.reasons) > before

    def _touched(self, path: str) -> Iterator[tuple[str, str]]:
        if path in self._tests:
            yield path, "changed"
        elif path.startswith("tests/"):
            below = str(PurePosixPath(path).parent)
            users = self._below([below]) if path.endswith("conftest.py") else self._users(module_of(path))
            yield from ((test, f"uses {path}") for test in users)
        else:
            yield from ((test, f"mirrors {path}") for test in self._mirrors(path))
            if path.endswith(".py"):
                yield from ((test, f"imports {path}") for test in self._users(module_of(path)))
            for pattern, suites in SUITES:
                if fnmatch(path, pattern):
                    yield from ((test, f"{pattern} changed") for test in self._below(suites))

    def _mirrors(self, path: str) -> list[str]:
        package, stem = PurePosixPath(path).parent, PurePosixPath(path).stem
        if package.parts[:1] != ("controller",):
            return []
        below = "/".join(package.parts[1:])
        near = [test for test in self._tests if PurePosixPath(test).match(f"tests/*/{below}/test_*.py")]
        return [test for test in near if stem in test] or [test for test in near if test.startswith("tests/unit/")]

    def _users(self, module: str) -> list[str]:
        reached, wave = {module}, {module}
        while wave:
            users = {path for path, names in self._imports.items() if names & wave}
            wave = {module_of(path) for path in users} - reached
            reached |= wave
        return [test for test in self._tests if module_of(test) in reached]

    def _below(self, folders: Iterable[str]) -> list[str]:
        places = [PurePosixPath(folder) for folder in folders]
        return [t for t in self._tests if any(PurePosixPath(t).is_relative_to(place) for place in places)]


def _git(*argv: str, check: bool = True) -> list[str]:
    done = subprocess.run(["git", *argv], cwd=ROOT, capture_output=True, text=True)
    if done.returncode and check:
        raise SystemExit(f"error: git {' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout.splitlines() if done.returncode == 0 else []


def say(text: str) -> None:
    """Tell the person at the terminal."""
    print(text, file=sys.stderr)


def main(base: str) -> None:
    """Print what is touched since ``base``."""
    paths, choice = changed(base), Choice()
    everywhere = [path for path in paths if path in EVERYTHING]
    nowhere = [path for path in paths if path not in everywhere and not choice.add(path)]
    say(f"Changed since {base[:12]}: {len(paths)} files, which touch {len(choice.reasons)} files of tests.")
    for test, reason in sorted(choice.reasons.items()):
        say(f"  {test}: {reason}")
        print(test)
    if nowhere:
        say(f"No test is known to be touched by: {', '.join(nowhere)}")
    if everywhere:
        say(f"Every test is touched by: {', '.join(everywhere)}")
    say("This is a guess. Everything: deploy/test; every quick test: deploy/check.")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else base_of_branch())
