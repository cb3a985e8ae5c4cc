"""``deploy/release``: version and changelog have to agree, and it says how to tag; the version stands in one place."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from controller import __version__
from tests.e2e.harness import COMMAND

ROOT = Path(__file__).parents[3]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with what the script reads, committed."""
    for name in ("deploy/release", "deploy/steps.sh", "controller/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "controller/__init__.py").write_text('__version__ = "0.3.1"\n')
    changelog(tmp_path, "## 0.3.1 (2026-12-01)\n\n- News.\n\n## 0.3.0 (2026-11-01)\n")
    git(tmp_path, "init", "-q", "-b", "main")
    commit(tmp_path)
    return tmp_path


def git(where: Path, *argv: str) -> None:
    """Run git as a person with a name."""
    who = ("-c", "user.name=ada", "-c", "user.email=ada@example.org")
    subprocess.run(["git", *who, *argv], cwd=where, check=True, capture_output=True)


def commit(where: Path) -> None:
    """Commit everything."""
    git(where, "add", "-A")
    git(where, "commit", "-q", "-m", "x", "--allow-empty")


def changelog(where: Path, text: str) -> None:
    """Write the changelog."""
    (where / "CHANGELOG.md").write_text(f"# Changelog\n\n## Unreleased\n\n{text}")


def release(where: Path) -> tuple[int, str, str]:
    """Run the script; return exit code, output and errors."""
    done = subprocess.run([where / "deploy/release", "--no-check"], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_it_says_how_to_tag_and_makes_no_tag(checkout: Path) -> None:
    """Two commands to copy."""
    code, out, err = release(checkout)
    assert (code, err) == (0, "")
    assert "git tag -a v0.3.1 -m 'Release 0.3.1' " in out
    assert "git push origin v0.3.1" in out
    assert subprocess.run(["git", "tag"], cwd=checkout, capture_output=True).stdout == b""


@pytest.mark.parametrize("newest", ["## 0.3.0 (2026-11-01)\n", "", "## 0.3.1\n", "## 0.3.1 (soon)\n"])
def test_a_changelog_that_lacks_the_version_is_refused(checkout: Path, newest: str) -> None:
    """With the line to write."""
    changelog(checkout, newest)
    commit(checkout)
    code, out, err = release(checkout)
    assert (code, out) == (1, "")
    assert "CHANGELOG.md does not begin with 0.3.1" in err
    assert "## 0.3.1 (" in err


def test_a_release_that_is_there_already_is_refused(checkout: Path) -> None:
    """A version has one commit."""
    git(checkout, "tag", "v0.3.1")
    code, _, err = release(checkout)
    assert code == 1
    assert "the tag v0.3.1 is there already" in err


def test_what_is_not_committed_is_refused(checkout: Path) -> None:
    """A tag would not have it."""
    (checkout / "more").touch()
    assert release(checkout)[0] == 1


def test_the_version_stands_in_one_place() -> None:
    """The package has it, the project takes it from there, and the command shows it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "controller/__init__.py"
    shown = subprocess.run([COMMAND, "--version"], capture_output=True, text=True, cwd=ROOT).stdout
    assert shown == f"controller {__version__}\n"
