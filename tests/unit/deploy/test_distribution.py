"""No document has anybody install a stranger's package: nothing comes from an index by the name of this project."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller import __version__

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
_INSTALL = re.compile(
    r"\b(?:pip3?|pipx|uv tool|uv pip|conda|uv)[\"',\s]+(?:install|add|run)\b([^\n&|;`)]*)|\buvx\b([^\n]*)"
)
_OURS = re.compile(r"(?:controller|hpc[-_.]gitops[-_.]controller)(?:\[[^]]*\])?(?:[=<>~!].*)?", re.IGNORECASE)
_TEXT = {".md", ".py", ".sh", ".service", ".toml", ".yaml", ".yml", ".j2", ".lock", ""}


def documents() -> Iterator[Path]:
    """Yield whatever a person may copy a command from; tests show what must not be said."""
    for top in ("README.md", "CHANGELOG.md", "docs", "deploy", "controller", "specs", "bench", ".github"):
        path = ROOT / top
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file() and file.suffix in _TEXT and "__pycache__" not in file.parts:
                yield file


def strangers(text: str) -> list[str]:
    """Return the names by which a text has this project installed from an index."""
    joined = re.sub(r"\\\n[#\s]*", " ", text)
    said = (found[1] or found[2] or "" for found in _INSTALL.finditer(joined))
    return [word for words in said for word in re.split(r"""[\s"',]+""", words) if _OURS.fullmatch(word)]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("/opt/controller/bin/pip install controller", ["controller"]),
        ("pip install --upgrade \\\n#    controller==1.2 other", ["controller==1.2"]),
        ("python3 -m pip install hpc_gitops_controller", ["hpc_gitops_controller"]),
        ('["pip", "install", "controller"]', ["controller"]),
        ("uv tool install controller[all]", ["controller[all]"]),
        ("uvx controller plan", ["controller"]),
        ("pip install . && systemctl enable controller", []),
        ("pip install git+https://git.example.org/lab/controller", []),
        ("pip install dist/hpc_gitops_controller-0.2.0-py3-none-any.whl", []),
    ],
)
def test_an_installation_by_a_bare_name_is_found(text: str, named: list[str]) -> None:
    assert strangers(text) == named


def test_no_document_installs_this_project_by_a_name_on_an_index() -> None:
    told = {str(path.relative_to(ROOT)): strangers(path.read_text("utf-8", errors="replace")) for path in documents()}
    assert len(told) > 300, "hardly a document was read"
    assert {path: names for path, names in told.items() if names} == {}


def test_the_distribution_has_a_name_of_its_own_and_the_command_keeps_its() -> None:
    assert PROJECT["name"] == "hpc-gitops-controller"
    assert PROJECT["scripts"] == {"controller": "controller.cli:main"}


def test_a_checkout_that_is_not_installed_has_its_version() -> None:
    """Isolated from the packages of the interpreter that runs the tests, in the checkout."""
    said = subprocess.run(
        [sys.executable, "-S", "-c", "from controller import __version__; print(__version__)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (said.stdout, said.returncode) == (f"{__version__}\n", 0), said.stderr
