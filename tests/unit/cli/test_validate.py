"""``controller validate`` and ``controller schema``, as a person calls them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pygit2
import pytest
from click.testing import CliRunner, Result

from controller.cli.schema import command as schema
from controller.cli.validate import command as validate

GOOD = "kind: Cluster\nname: here\nscheduler: local\n---\nkind: Job\nname: hello\ncluster: here\ncommand: echo hello\n"
BAD = "kind: Job\nname: bad\ncluster: heer\ncommand: x\n"


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pygit2.init_repository(str(tmp_path))
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "bad.yaml").write_text(BAD)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*args: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(validate, args, input=stdin)


def test_all_valid(repo: Path) -> None:
    (repo / "jobs" / "bad.yaml").unlink()
    result = run()
    assert (result.exit_code, result.output) == (0, "2 specs in 1 file, all valid\n")


def test_text(repo: Path) -> None:
    result = run()
    assert result.exit_code == 1
    assert result.output == (
        'jobs/bad.yaml:3:10: there is no Cluster named "heer"; did you mean "here"?\n'
        " 3 | cluster: heer\n"
        "   |          ^\n"
        "\n"
        "1 problem in 1 file, 2 specs valid\n"
    )


def test_json(repo: Path) -> None:
    told = json.loads(run("-o", "json").output)
    assert (told["valid"], told["specs"], told["files"]) == (False, 2, 2)
    (problem,) = told["problems"]
    assert (problem["path"], problem["line"], problem["column"]) == ("jobs/bad.yaml", 3, 10)
    assert problem["resource"] == "Job/bad"


def test_github(repo: Path) -> None:
    (repo / "a,b.yaml").write_text("kind: Job\nname: 50%\n")
    lines = run("-o", "github", "a,b.yaml").output.splitlines()
    assert lines[-1] == (
        '::error file=a%2Cb.yaml,line=2,col=7::"name" must be a-z, 0-9 and dashes, '
        'with no dash at either end, not "50%25"'
    )


def test_a_file_is_checked_within_its_repository(repo: Path) -> None:
    assert run("a.yaml").exit_code == 0
    (repo / "jobs" / "good.yaml").write_text(BAD.replace("bad", "good").replace("heer", "here"))
    result = run("jobs/good.yaml", "a.yaml")
    assert (result.exit_code, result.output) == (0, "3 specs in 2 files, all valid\n")


def test_a_directory_is_a_repository_of_its_own_unless_told_otherwise(repo: Path) -> None:
    (repo / "jobs" / "bad.yaml").write_text(BAD.replace("heer", "here"))
    assert run("jobs").exit_code == 1
    assert run("jobs", "--root", ".").exit_code == 0


def test_an_editors_unsaved_text(repo: Path) -> None:
    fixed = BAD.replace("heer", "here")
    assert run("-", "--filename", "jobs/bad.yaml", stdin=fixed).output == "1 spec in 1 file, all valid\n"
    result = run("-", "--filename", "jobs/new.yaml", "-o", "json", stdin=BAD.replace("bad", "new"))
    assert [problem["path"] for problem in json.loads(result.output)["problems"]] == ["jobs/new.yaml"]


def test_no_specs(repo: Path) -> None:
    (repo / "empty").mkdir()
    result = run("empty")
    assert result.exit_code == 0
    assert result.output.startswith("no specs found")


@pytest.mark.parametrize(
    "args", [["nowhere"], ["-"], ["--filename", "x"], ["-o", "xml"], ["/", "a.yaml", "--root", "jobs"]]
)
def test_usage(repo: Path, args: list[str]) -> None:
    assert run(*args).exit_code == 2


def test_what_git_ignores_is_not_read(repo: Path) -> None:
    (repo / ".gitignore").write_text("jobs/\n")
    assert run().exit_code == 0
    pygit2.Repository(str(repo)).index.add("jobs/bad.yaml")
    index = pygit2.Repository(str(repo)).index
    index.add("jobs/bad.yaml")
    index.write()
    assert run().exit_code == 1, "a tracked file is never ignored"


def test_links_are_not_followed_out(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "x.yaml").write_text(BAD)
    (repo / "jobs" / "bad.yaml").unlink()
    (repo / "dir").symlink_to(outside)
    (repo / "x.yaml").symlink_to(outside / "x.yaml")
    os.mkfifo(repo / "pipe.yaml")
    assert run().exit_code == 0
    (repo / "a.yaml").write_text(GOOD + "files: [dir]\n")
    assert "leads out of the repository" in run().output


def test_colour_only_on_a_terminal(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[" not in run().output
    assert "\x1b[" in CliRunner().invoke(validate, [], color=True).output
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in CliRunner().invoke(validate, [], color=True).output


def test_schema() -> None:
    runner = CliRunner()
    assert json.loads(runner.invoke(schema, ["job", "-o", "json"]).output)["title"] == "Job"
    assert json.loads(runner.invoke(schema, []).output)["title"] == "Spec"
    assert runner.invoke(schema, ["pod"]).exit_code == 2
