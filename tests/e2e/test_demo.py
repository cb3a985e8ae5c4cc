"""The demo from a clean clone: what a new user runs first does what it says, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Sandbox

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of what is committed, with no virtual environment yet."""
    clone = tmp_path_factory.mktemp("clean") / "controller"
    subprocess.run(["git", "-c", "safe.directory=*", "clone", "-q", str(ROOT), str(clone)], check=True)
    return clone


def demo(clone: Path, scratch: Path, *options: str, **environment: str) -> str:
    """Run the demo in a pipe; return everything it printed, once it has ended well."""
    scratch.mkdir(exist_ok=True)
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("CONTROLLER_", "SANDBOX_"))}
    done = subprocess.run(
        [clone / "deploy" / "demo", *options],
        cwd=scratch,
        env={**mine, "TMPDIR": str(scratch), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=550,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    return done.stdout


def in_order(text: str, *pieces: str) -> None:
    """Assert that the pieces stand in the text one after another."""
    place = 0
    for piece in pieces:
        found = text.find(piece, place)
        assert found >= 0, f"{piece!r} is not in, or not in its place in:\n{text}"
        place = found + len(piece)


def test_the_demo_shows_the_loop(clone: Path, tmp_path: Path) -> None:
    """From a clean clone the demo plans, runs, changes and runs again, in plain text where it is piped."""
    said = demo(clone, tmp_path / "scratch")
    in_order(
        said,
        "$ controller plan --repo specs.git",
        "submit primes to cluster here",
        "$ controller reconcile --wait --repo specs.git",
        "tasks: 1 Succeeded",
        "primes below 3000: 430",
        "+command: sh src/primes.sh 10000",
        "$ controller plan --repo specs.git",
        "tasks: 1 Succeeded",
        "primes below 10000: 1229",
        "nothing to do, status unchanged",
        "Spec-Commit: ",
        "That is all",
    )
    assert re.search(r"^Job +primes +Succeeded +1/1 ", said, re.MULTILINE)
    assert "\x1b" not in said


def test_the_demo_cleans_up_after_itself(clone: Path, tmp_path: Path) -> None:
    """Nothing is left where temporary files go; with --keep all of it is, and the hint it ends with works."""
    scratch = tmp_path / "scratch"
    said = demo(clone, scratch, "--keep")
    hint = next(line for line in said.splitlines() if line.startswith("  cd "))
    shown = subprocess.run(
        ["bash", "-c", f"{hint}\ncontroller status"], capture_output=True, text=True, timeout=60, check=True
    )
    assert re.search(r"^Job +primes +Succeeded", shown.stdout, re.MULTILINE)
    other = tmp_path / "other"
    demo(clone, other)
    assert list(other.iterdir()) == []


@pytest.mark.sandbox
@pytest.mark.docker
def test_the_full_demo_trains_on_the_cluster(clone: Path, tmp_path: Path, sandbox: Sandbox, engine: None) -> None:
    """With --full the same goes through Docker, Apptainer and SLURM over SSH, to an accuracy."""
    if subprocess.run(["git", "-C", ROOT, "diff", "--quiet", "HEAD", "--", "deploy/cluster"]).returncode:
        pytest.skip("deploy/cluster is changed and not committed: the clone would replace the sandbox")
    home = str(sandbox.ssh_config.parent)
    said = demo(clone, tmp_path / "scratch", "--full", "--yes", SANDBOX_NAME=sandbox.container, SANDBOX_HOME=home)
    in_order(
        said,
        "submit digits to cluster sandbox",
        "tasks: 1 Succeeded",
        "images 1797 gamma 0.001 accuracy 0.9",
        "images 1797 gamma 0.0005 accuracy 0.9",
        "That is all",
    )
    assert list((tmp_path / "scratch").iterdir()) == []
