"""What a change touches: by its place, by its name, by who imports it; no file of the package touches nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "deploy"))

from touched import Choice  # noqa: E402

FILES = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / "controller").rglob("*")
    if path.suffix in (".py", ".sh") and path.name != "__init__.py"
)
CHOSEN = {
    "tests/unit/store/test_journal.py": "tests/unit/store/test_journal.py",
    "tests/unit/planning/values.py": "tests/unit/planning/test_settle.py",
    "tests/contract/remotes/conftest.py": "tests/contract/remotes/test_write.py",
    "controller/store/journal.py": "tests/unit/store/test_journal.py",
    "controller/planning/settle.py": "tests/property/planning/test_machine.py",
    "controller/clusters/remote/job.sh": "tests/contract/schedulers/test_protocol.py",
    "controller/cli/plan.py": "tests/e2e/test_command_line.py",
    "schemas/job.yaml": "tests/unit/specs/test_spec_schemas.py",
    "deploy/cluster/slurm.conf": "tests/contract/schedulers/test_slurm.py",
}


@pytest.fixture(scope="module")
def choice() -> Choice:
    return Choice()


def test_every_file_of_the_package_touches_some_test(choice: Choice) -> None:
    untouched = [path for path in FILES if not choice.add(path)]
    choice.reasons.clear()
    assert untouched == [], "give their place a suite in SUITES of deploy/touched.py"


@pytest.mark.parametrize(("changed", "test"), CHOSEN.items())
def test_what_a_change_touches(choice: Choice, changed: str, test: str) -> None:
    choice.reasons.clear()
    assert choice.add(changed)
    assert test in choice.reasons, choice.reasons


def test_a_page_of_documentation_touches_nothing(choice: Choice) -> None:
    assert not choice.add("docs/status.md")


def test_what_is_printed_are_paths_and_the_reasons_stand_beside_them() -> None:
    """Compared with the commit itself nothing has changed but what is not committed."""
    done = subprocess.run(
        [sys.executable, ROOT / "deploy" / "touched.py", "HEAD"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert all((ROOT / line).is_file() for line in done.stdout.splitlines())
    assert done.stderr.startswith("Changed since HEAD: ")
    assert "deploy/test" in done.stderr.splitlines()[-1]
