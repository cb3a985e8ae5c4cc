"""The run of the whole suite: nothing that goes wrong in a shard is lost in its account."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.harness import wait_for

ROOT = Path(__file__).parents[2]
PASSES = "def test_passes(): pass\n"
FAILS = """
import pytest
@pytest.fixture
def broken():
    raise OSError("broken before")
@pytest.fixture
def left():
    yield
    raise OSError("broken behind")
def test_fails(): assert "this" == "that"
def test_before(broken): pass
def test_behind(left): pass
def test_skips(): pytest.skip("no sshd")
"""
UNMARKED = """
import pytest
@pytest.fixture
def engine(): pass
def test_builds(engine): pass
@pytest.mark.docker
def test_builds_too(engine): pass
"""
SUITES: dict[str, tuple[str, str, list[str]]] = {
    "all is well": (PASSES, "1 passed, 0 failed", ["test_passes"]),
    "failures": (
        PASSES + FAILS,
        "1 passed, 3 failed, 1 skipped",
        ["- that", "broken before", "broken behind", "no sshd"],
    ),
    "a worker that dies": (
        "import os\ndef test_dies(): os._exit(3)\n",
        "0 passed, 2 failed",
        ["error: shard local broke off"],
    ),
    "a file that cannot be read": ("import nothing_of_that_name\n", "0 passed, 1 failed", ["nothing_of_that_name"]),
    "a file without tests": ("", "0 passed, 1 failed", ["error: no test ran"]),
    "tests of a shard that does not run": (
        PASSES + UNMARKED,
        "1 passed, 2 failed",
        ["needs pytest.mark.docker", "error: 1 tests belong to the shard cluster, which was not run"],
    ),
    "a shard that hangs": (
        PASSES + "import threading\ndef test_hangs(): threading.Event().wait(600)\n",
        "1 passed, 1 failed",
        ["error: shard local took longer than"],
    ),
}


@pytest.mark.parametrize("name", SUITES)
def test_the_account_of_a_shard(tmp_path: Path, name: str) -> None:
    """The last line has the counts alone, what went wrong is above it, and the exit code says whether anything did."""
    text, last, said = SUITES[name]
    (tmp_path / "test_this.py").write_text(text)
    limit = ["--limit", "0.1"] if "hangs" in name else []
    with started(tmp_path, *limit) as process:
        out = process.communicate(timeout=300)[0]
    assert out.splitlines()[-1] == last, out
    assert [text for text in said if text not in out] == [], out
    assert process.returncode == (0 if " 0 failed" in last else 1), out


def test_an_interrupted_run_is_accounted_for(tmp_path: Path) -> None:
    """Ended from outside, it still says what has run and what has failed."""
    mark = tmp_path / "begun"
    hangs = f"def test_hangs():\n  open({str(mark)!r}, 'w')\n  threading.Event().wait(600)\n"
    (tmp_path / "test_this.py").write_text(f"import threading\n{PASSES}{hangs}")
    with started(tmp_path) as process:
        wait_for("the test runs", mark.exists, deadline_s=120)
        process.terminate()
        out = process.communicate(timeout=300)[0]
    assert out.splitlines()[-1] == "1 passed, 1 failed", out
    assert "error: shard local was interrupted" in out
    assert process.returncode == 1


def started(suite: Path, *options: str) -> subprocess.Popen[str]:
    """Start the shard that needs no backend on a suite."""
    return subprocess.Popen(
        [sys.executable, ROOT / "deploy" / "shards.py", "--sandboxes", "0", "--workers", "1", *options, suite],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
