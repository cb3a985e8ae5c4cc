"""One table of exit codes for all verbs: ``docs/commands.md`` has it, and every verb holds to it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.cli import VERBS
from tests.e2e.conftest import MakeProject
from tests.e2e.harness import Project, documents, job

DOCS = Path(__file__).parents[2] / "docs" / "commands.md"
IDENTITY = {
    f"GIT_{who}_{what}": text
    for who in ("AUTHOR", "COMMITTER")
    for what, text in (("NAME", "Ada"), ("EMAIL", "ada@example.org"))
}


@pytest.fixture(scope="module")
def fine(make_project: MakeProject) -> Project:
    """All that is asked for is done."""
    project = make_project("fine")
    project.commit({"specs.yaml": documents(project.here(), job("one", "echo out"))})
    project.settle()
    return project


@pytest.fixture(scope="module")
def pending(make_project: MakeProject) -> Project:
    """Something is to be done, and waits for nobody."""
    project = make_project("pending")
    project.commit({"specs.yaml": documents(project.here(), job("one", "true"))})
    return project


@pytest.fixture(scope="module")
def failed(make_project: MakeProject) -> Project:
    """One of three has failed; nothing is to be done by itself."""
    project = make_project("failed")
    work = [job("one", "true"), job("two", "true"), job("bad", "echo no >&2; exit 3")]
    project.commit({"specs.yaml": documents(project.here(), *work)})
    project.settle(expect=1)
    return project


@pytest.fixture(scope="module")
def invalid(make_project: MakeProject) -> Project:
    """A spec is wrong."""
    project = make_project("invalid")
    project.commit({"specs.yaml": documents(project.here(), job("one", "true"))})
    project.settle()
    project.commit({"bad.yaml": "kind: Job\nname: bad\ncommnad: true\n"})
    return project


@pytest.fixture(scope="module")
def away(make_project: MakeProject) -> Project:
    """A cluster that nobody can reach, and one where all is done."""
    project = make_project("away")
    far = project.here("far", connection={"host": "127.0.0.1", "port": 1, "user": "nobody"})
    project.commit(
        {"specs.yaml": documents(project.here(), far, job("one", "true"), job("two", "true", cluster="far"))}
    )
    project.controller("reconcile", "--once", expect=3)
    return project


@pytest.fixture(scope="module")
def nowhere(make_project: MakeProject) -> Project:
    """The repository is not there."""
    project = make_project("nowhere")
    project.configure(repo=str(project.directory / "no.git"))
    return project


@dataclass(frozen=True)
class Row:
    """A verb in a situation."""

    verb: str
    situation: str
    code: int
    says: str = ""

    def __str__(self) -> str:
        return f"{self.verb} when {self.situation}"


ROWS = [
    Row("validate clone", "fine", 0), Row("validate clone", "invalid", 1), Row("validate clone --nope", "fine", 2),
    Row("schema Job", "fine", 0), Row("schema Jobb", "fine", 2),
    Row("plan", "fine", 0, "Nothing to do."), Row("plan", "pending", 1, "submit one"),
    Row("plan", "failed", 1, "1 of 3 failed: bad: ExitCode"),
    Row("plan", "invalid", 1, "bad.yaml:3:1"), Row("plan --nope", "fine", 2), Row("plan", "nowhere", 3, "error: "),
    Row("plan", "away", 3, "error: Unreachable: cluster far"), Row("plan -o json", "away", 3),
    Row("reconcile --once", "fine", 0, "nothing to do"), Row("reconcile --once", "failed", 0),
    Row("reconcile --once", "invalid", 1, "bad.yaml:3:1"), Row("reconcile --once --nope", "fine", 2),
    Row("reconcile --once", "nowhere", 3, "error: "), Row("reconcile --once", "away", 3, "error: Unreachable: clu"),
    Row("reconcile --once --quiet", "fine", 0), Row("reconcile --once --quiet", "away", 3),
    Row("reconcile --quiet", "nowhere", 3),
    Row("reconcile --wait", "fine", 0, "nothing to do"), Row("reconcile --wait", "invalid", 1),
    Row("reconcile --wait", "failed", 1, "1 of 3 failed: bad: ExitCode"),
    Row("reconcile --wait", "nowhere", 3), Row("reconcile --wait --once", "fine", 2),
    Row("reconcile --wait --timeout 1s", "away", 3, "error: Unreachable"),
    Row("run --nope", "fine", 2),
    Row("status", "fine", 0), Row("status", "failed", 0), Row("status", "away", 0), Row("status nosuch", "fine", 2),
    Row("status", "nowhere", 3), Row("status", "pending", 3, "NoStatus"),
    Row("logs one", "fine", 0, "out"), Row("logs nosuch", "fine", 2), Row("logs two", "away", 3, "NoOutput"),
    Row("logs one", "nowhere", 3),
    Row("history one", "fine", 0), Row("history nosuch", "fine", 2), Row("history one", "nowhere", 3),
    Row("trace one", "fine", 0), Row("trace nosuch", "fine", 2), Row("trace one", "nowhere", 3),
    Row("suspend one --dry-run", "fine", 0), Row("suspend nosuch", "fine", 2), Row("suspend one", "nowhere", 3),
    Row("resume one", "fine", 0), Row("resume nosuch", "fine", 2), Row("resume one", "nowhere", 3),
    Row("rerun one --dry-run", "fine", 0), Row("rerun nosuch", "fine", 2), Row("rerun one", "nowhere", 3),
    Row("approve", "fine", 3, "NothingHeld"), Row("approve --nope", "fine", 2), Row("approve", "nowhere", 3),
    Row("move", "fine", 0), Row("move --nope", "fine", 2), Row("move --carry nosuch", "fine", 2),
    Row("move", "nowhere", 3), Row("move", "away", 3, "error: "),
    Row("image list", "nowhere", 3), Row("image list --nope", "fine", 2), Row("image prune", "nowhere", 3),
    Row("image test nosuch", "fine", 2), Row("image test x", "nowhere", 3), Row("image log nosuch", "fine", 3),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_every_verb_holds_to_the_table(row: Row, request: pytest.FixtureRequest) -> None:
    """The code, and where something could not be seen its reason in the first line."""
    project: Project = request.getfixturevalue(row.situation)
    ran = project.controller(*row.verb.split(), expect=row.code, env=IDENTITY)
    assert row.says in ran.out + ran.err
    if row.code == 3 and "--quiet" not in row.verb:
        assert ran.err.startswith("error: "), ran.err


def test_the_table_has_every_verb() -> None:
    """A verb that is new says what its exit codes are."""
    rows = re.findall(r"^\| `([a-z]+)", DOCS.read_text().partition("## Exit codes")[2].partition("\n## ")[0], re.M)
    assert set(rows) == set(VERBS)
    assert {row.verb.split()[0] for row in ROWS} == set(VERBS)


def test_the_last_line_says_what_failed(failed: Project) -> None:
    """After ``--wait``, instead of "nothing to do"; programs find it under "wrong"."""
    ran = failed.controller("reconcile", "--wait", expect=1)
    expected = "1 of 3 failed: bad: ExitCode: the command ended with exit code 3; see: controller status bad"
    assert ran.out.splitlines()[-1] == expected
    assert "nothing to do" not in ran.out
    (wrong,) = failed.controller("reconcile", "--wait", "-o", "json", expect=1).json["wrong"]
    assert (wrong["name"], wrong["reason"], wrong["failed"]) == ("bad", "ExitCode", True)


def test_cron_is_told_a_thing_once(make_project: MakeProject) -> None:
    """--quiet prints what the pass before did not say, and the end of it; the exit code is the same each time."""
    project = make_project("cron")
    project.commit({"specs.yaml": documents(project.here(), job("one", "true"))})
    pass_ = ("reconcile", "--once", "--quiet")
    ran = project.controller(*pass_, expect=0)
    assert (ran.out, ran.err) == ("", "")
    project.commit({"bad.yaml": "kind: Job\nname: bad\ncommnad: true\n"})
    ran = project.controller(*pass_, expect=1)
    assert ran.out == ""
    assert 'bad.yaml:3:1: unknown field "commnad"' in ran.err
    ran = project.controller(*pass_, expect=1)
    assert (ran.out, ran.err) == ("", "")
    project.commit({"bad.yaml": None})
    assert project.controller(*pass_, expect=0).err == "all is well again\n"
    project.configure(repo=str(project.directory / "no.git"))
    assert project.controller(*pass_, expect=3).err.startswith("error: ")
    assert project.controller(*pass_, expect=3).err == ""


def test_what_is_only_in_the_checkout_is_said(make_project: MakeProject) -> None:
    """Changes not committed and commits not pushed, beside what the controller reads; nothing is said elsewhere."""
    project = make_project("checkout")
    commit = project.commit({"specs.yaml": documents(project.here(), job("one", "true"))})
    project.settle()
    verbs = [("plan",), ("reconcile", "--once"), ("status",)]
    for verb in verbs:
        assert "not committed" not in project.controller(*verb, where=project.clone, expect=0).err
    (project.clone / "specs.yaml").write_text("")
    (project.clone / "new.yaml").write_text("")
    for verb in verbs:
        said = project.controller(*verb, where=project.clone, expect=0).err
        assert f"2 files changed here are not committed; the controller reads main at {commit[:12]}" in said
        assert "not committed" not in project.controller(*verb, expect=0).err
    project.git("add", "-A")
    project.git("commit", "-q", "-m", "Not pushed")
    for verb in verbs:
        said = project.controller(*verb, where=project.clone, expect=0).err
        assert "not committed" not in said
        assert f"1 commit here is not pushed; the controller reads main at {commit[:12]}" in said


def test_to_wait_is_to_wait_for_all_of_it(make_project: MakeProject) -> None:
    """One task that has failed does not end the wait for the others of its job."""
    project = make_project("sweep")
    sweep = job("sweep", "if [ ${{ matrix.n }} = 1 ]; then exit 3; fi; sleep 6", matrix={"n": [1, 2]})
    project.commit({"specs.yaml": documents(project.here(), sweep)})
    ran = project.controller("reconcile", "--wait", expect=1)
    assert ran.out.splitlines()[-1].startswith("1 of 2 failed: sweep/n=1: ExitCode")
    assert {name: task["state"] for name, task in project.tasks().items()} == {
        "sweep/n=1": "Failed",
        "sweep/n=2": "Succeeded",
    }
