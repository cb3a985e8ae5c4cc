"""``controller image template``, as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pygit2
import pytest
from click.testing import CliRunner, Result

from controller.cli.image import command as image
from controller.specs.templates import builtin_names


@pytest.fixture(autouse=True)
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pygit2.init_repository(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*args: str) -> Result:
    return CliRunner().invoke(image, ["template", *args])


def test_without_a_name_it_lists_them() -> None:
    told = run("-o", "json")
    assert [each["name"] for each in json.loads(told.stdout)] == list(builtin_names())
    assert "python" in run().output


def test_the_values_of_one() -> None:
    told = json.loads(run("python", "--list", "-o", "json").stdout)
    assert [value["name"] for value in told["values"]] == ["title", "base", "requirements", "system_packages"]


def test_it_writes_what_can_be_committed_and_says_what_is_next(repo: Path) -> None:
    done = run("python", "--set", "requirements=numpy==2.1.3, scipy")
    assert done.exit_code == 0, done.output
    assert (repo / "images/python/requirements.txt").read_text().splitlines()[1:] == ["numpy==2.1.3", "scipy"]
    assert (repo / "images/python.yaml").read_text().endswith("build: {context: images/python}\n")
    assert "wrote images/python/Dockerfile" in done.output
    assert "controller validate" in done.output


def test_a_value_is_given_once() -> None:
    """For a list two of them could mean one after the other, or the last alone."""
    twice = run("python", "--set", "requirements=numpy", "--set", "requirements=scipy")
    assert twice.exit_code == 2
    assert "requirements is given twice; a list is one text with commas" in " ".join(twice.output.split())


def test_it_never_writes_over_what_is_there(repo: Path) -> None:
    run("python")
    (repo / "images/python/requirements.txt").write_text("mine\n")
    again = run("python")
    assert again.exit_code == 2
    assert "images/python/requirements.txt" in again.output
    assert (repo / "images/python/requirements.txt").read_text() == "mine\n"
    assert run("python", "--force").exit_code == 0
    assert (repo / "images/python/requirements.txt").read_text() != "mine\n"


def test_a_template_of_one_s_own(repo: Path) -> None:
    mine = repo / "templates" / "mine"
    mine.mkdir(parents=True)
    (mine / "template.yaml").write_text(
        "description: Mine\nvalues:\n"
        "  n: {type: integer, description: N}\n  b: {type: boolean, description: B, default: true}\n"
    )
    (mine / "Dockerfile.j2").write_text("FROM scratch\nENV N={{ n + 1 }} B={{ b }}\n")
    (mine / "run.sh").write_text("#!/bin/sh\n")
    (mine / "run.sh").chmod(0o755)
    done = run("templates/mine", "--name", "own", "--set", "n=2", "-o", "json")
    assert json.loads(done.stdout)["written"] == ["images/own/Dockerfile", "images/own/run.sh", "images/own.yaml"]
    assert (repo / "images/own/Dockerfile").read_text() == "FROM scratch\nENV N=3 B=True\n"
    assert (repo / "images/own/run.sh").stat().st_mode & 0o111


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["pyhton"], 'there is no template "pyhton"; did you mean "python"?'),
        (["./nothing"], "nothing/template.yaml: No such file or directory"),
        (["python", "--set", "bse=x"], 'bse is no value of the template; did you mean "base"?'),
        (["python", "--set", "base"], "write it as VALUE=TEXT"),
        (["python", "--name", "No"], '"No" cannot name an image'),
    ],
)
def test_mistakes(args: list[str], said: str, repo: Path) -> None:
    done = run(*args)
    assert done.exit_code == 2
    assert said in done.output
    assert not (repo / "images").exists()
