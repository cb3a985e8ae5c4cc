"""Exit codes that scripts can rely on, JSON that programs can read, and text that fits where it is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeProject
from tests.e2e.harness import COMMAND, Project, documents, job, on_terminal

ESCAPE = "\x1b"


@pytest.fixture(scope="module")
def finished(make_project: MakeProject) -> Project:
    """A project with one job done and one failed."""
    project = make_project("finished")
    failed = job("failed-at-something", "echo 'a message that is longer than a narrow terminal' >&2; exit 4")
    project.commit({"specs.yaml": documents(project.here(), job("fine", "echo out; echo err >&2"), failed)})
    project.settle()
    return project


def test_plan_says_by_its_exit_code_whether_there_is_something_to_do(project: Project, tmp_path: Path) -> None:
    """0: nothing to do; 1: changes pending, or invalid; 3: it could not be seen. It changes nothing."""
    project.commit({"specs.yaml": documents(project.here(), job("one", "true"))})
    pending = project.controller("plan", expect=1)
    assert "1. submit one to cluster here" in pending.out
    assert "because: new" in pending.out
    assert project.status_tip() is None
    assert not (project.workdir / project.instance).exists()
    assert project.controller("plan", expect=1).out == pending.out
    project.settle()
    assert "Nothing to do." in project.controller("plan", expect=0).out
    project.commit({"specs.yaml": documents(project.here(), job("one", "true", rerun="again"))})
    assert "because: changed since the last run" in project.controller("plan", expect=1).out
    missing = project.controller("plan", "--repo", str(tmp_path / "nowhere"), expect=3)
    assert missing.err.startswith("error: ")
    project.commit({"specs.yaml": "kind: Jobb\n"})
    assert "specs.yaml:1:" in project.controller("plan", expect=1).err


def test_reconcile_says_by_its_exit_code_how_it_went(project: Project, tmp_path: Path) -> None:
    """0: the pass completed; 1: with invalid specs; 2: usage or configuration; 3: it could not run."""
    project.commit({"specs.yaml": documents(project.here(), job("one", "true"))})
    project.controller("reconcile", "--wait", expect=0)
    project.commit({"more.yaml": "kind: Job\nname: two\nclustre: here\n"})
    ran = project.controller("reconcile", "--once", expect=1)
    assert "more.yaml:3:1" in ran.err
    assert "cluster" in ran.err
    said = project.controller("logs", "two", expect=None).err
    assert "Job/two has not run yet" in said
    assert "more.yaml:1:1" in said
    assert "--twice" in project.controller("reconcile", "--twice", expect=2).err
    project.controller("reconcile", "--once", "--wait", expect=2)
    (tmp_path / "wrong.yaml").write_text("intervall: 5m\n")
    ran = project.controller("reconcile", "--config", str(tmp_path / "wrong.yaml"), expect=2)
    assert "wrong.yaml:1:1" in ran.err
    assert "interval" in ran.err
    ran = project.controller("reconcile", "--repo", str(tmp_path / "nowhere"), expect=3)
    assert "nowhere" in ran.err
    assert len(ran.err.strip().splitlines()) == 1


def test_what_programs_read_is_json(finished: Project) -> None:
    """With ``-o json`` standard output is one JSON value, with every field that is promised."""
    for item in finished.controller("status", "-o", "json", expect=0).json:
        assert {"kind", "name", "digest", "commit", "conditions", "tasks"} <= set(item)
        assert [c["type"] for c in item["conditions"]] == ["Ready", "Reconciling", "Stalled"]
        for task in item["tasks"]:
            promised = {"id", "state", "reason", "job_id", "attempt", "started", "ended", "exit_code", "run_dir"}
            assert promised <= set(task)
    (only,) = finished.controller("status", "fine", "-o", "json", expect=0).json
    assert only["tasks"][0]["state"] == "Succeeded"
    assert finished.controller("plan", "-o", "json", expect=1).json["actions"] == []
    passed = finished.controller("reconcile", "-o", "json", expect=0).json
    assert {"commit", "status_commit", "in_progress", "problems", "held", "actions", "resources"} <= set(passed)


def test_problems_are_in_the_json_too(project: Project) -> None:
    """What is wrong with a spec has its place in ``reconcile -o json``."""
    project.commit({"broken.yaml": "{"})
    broken = project.controller("reconcile", "-o", "json", expect=1).json
    assert [problem["path"] for problem in broken["problems"]] == ["broken.yaml"]


def test_a_name_that_is_not_there_is_answered_with_the_nearest(finished: Project) -> None:
    """A mistyped name ends with 2 and the name that was meant."""
    for verb in ("status", "logs"):
        assert 'did you mean "fine"?' in finished.controller(verb, "fien", expect=2).err
    assert finished.controller("logs", "fine", expect=0).out == "out\n"
    assert finished.controller("logs", "fine", "--stderr", expect=0).out == "err\n"


@pytest.mark.parametrize("argv", [["status"], ["status", "failed-at-something"], ["plan"], ["reconcile"]])
def test_colour_is_for_terminals_alone(finished: Project, argv: list[str]) -> None:
    """Neither a pipe nor a terminal with NO_COLOR gets an escape code."""
    piped = finished.controller(*argv)
    assert ESCAPE not in piped.out + piped.err
    env = finished.environment({"NO_COLOR": "1"})
    assert ESCAPE not in on_terminal([str(COMMAND), *argv], columns=100, env=env, cwd=finished.directory)


def test_a_terminal_gets_colour(finished: Project) -> None:
    """On a terminal states are coloured."""
    shown = on_terminal([str(COMMAND), "status"], columns=100, env=finished.environment(), cwd=finished.directory)
    assert ESCAPE in shown


def test_a_narrow_terminal_shows_names_and_states_whole(finished: Project) -> None:
    """At 60 columns no line is longer, and neither name nor state is cut."""
    env = finished.environment({"NO_COLOR": "1"})
    shown = on_terminal([str(COMMAND), "status"], columns=60, env=env, cwd=finished.directory)
    assert max(len(line) for line in shown.splitlines()) <= 60, shown
    for word in ("failed-at-something", "Failed", "Succeeded", "fine", "ExitCode"):
        assert word in shown, shown
    assert json.loads(finished.controller("status", "-o", "json").out)
