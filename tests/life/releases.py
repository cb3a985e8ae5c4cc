"""Other versions of the controller: the tree of an earlier commit, and this one with a change."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BEFORE = "5b000c8"
"""The last commit of the version before."""


def tree_of(commit: str, place: Path) -> Path:
    """Write the controller of a commit to a directory; return it."""
    argv = ["git", "-C", str(ROOT), "archive", commit, "controller", "schemas"]
    done = subprocess.run(argv, capture_output=True)
    if done.returncode != 0:
        pytest.fail(
            f"the repository at {ROOT} has no commit {commit}, from which this test upgrades: "
            f"{done.stderr.decode().strip()}. A shallow clone lacks it: git fetch --unshallow"
        )
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        tar.extractall(place, filter="data")
    return place


def changed(place: Path, change: Callable[[Path], object]) -> Path:
    """Write the controller of this checkout to a directory, with a change made to it; return it."""
    for name in ("controller", "schemas"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    change(place)
    return place


def with_another_recipe(place: Path) -> None:
    """Give every task another digest, as an upgrade that cannot do without would."""
    path = place / "controller" / "specs" / "recipes.py"
    text = path.read_text()
    before = "RECIPES = (Recipe(version=1),)"
    assert text.count(before) == 1
    path.write_text(text.replace(before, "RECIPES = (Recipe(version=2), Recipe(version=1))"))
