"""The larger examples as they stand in ``specs/``: a sweep of 24 points with its table, a workflow of four steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Sandbox
from tests.e2e.conftest import MakeProject
from tests.e2e.harness import Project

pytestmark = [pytest.mark.sandbox, pytest.mark.docker]

SPECS = Path(__file__).parents[2] / "specs"
Slurm = Callable[..., dict[str, Any]]


def commit_example(project: Project, name: str, slurm: Slurm, session: str) -> str:
    """Commit an example as it is, but for how the cluster is reached; return its specs as text.

    The same further file as in the digits' image gives the images one identity: one conversion serves all. The text is
    changed as text, since PyYAML reads ``on`` as true.
    """
    folder = SPECS / name
    files = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
    connection = json.dumps(slurm()["connection"])
    specs = files[f"{name}.yaml"].replace("{host: sandbox}", connection)
    assert connection in specs
    project.commit({**files, f"{name}.yaml": specs, "images/sklearn/session": session}, f"Run the {name}")
    return specs


def test_a_sweep_of_24_points_is_one_array_and_a_table(
    make_project: MakeProject, own_images: None, sandbox: Sandbox, slurm: Slurm, session_name: str
) -> None:
    """Every point succeeds once, in one job array; the table lists them all; a point more runs that point alone."""
    project = make_project("sweep")
    specs = commit_example(project, "sweep", slurm, session_name)
    project.settle(timeout="15m")
    sweep = project.resource("Job", "sweep")
    assert [task["state"] for task in sweep["tasks"]] == ["Succeeded"] * 24
    assert len({task["job_id"] for task in sweep["tasks"]}) == 1
    best = max(float(task["results"]["accuracy"]) for task in sweep["tasks"])
    assert best > 0.9
    assert float(project.task("table")["results"]["best"]) == pytest.approx(best)
    printed = project.controller("logs", "table", expect=0).out
    assert len(printed.splitlines()) == 25, printed

    more = "  C: [0.1, 1, 10, 100, 1000]\n  exclude: [" + ", ".join(
        f"{{gamma: {gamma}, C: 1000}}" for gamma in ("3e-4", "1e-3", "3e-3", "1e-2", "3e-2")
    )
    changed = specs.replace("  C: [0.1, 1, 10, 100]", more + "]")
    assert changed != specs
    project.commit({"sweep.yaml": changed}, "One point more")
    project.settle(timeout="10m")
    tasks = {task["id"]: task for task in project.resource("Job", "sweep")["tasks"]}
    assert len(tasks) == 25
    before = {task["id"]: task["job_id"] for task in sweep["tasks"]}
    assert {name for name, task in tasks.items() if before.get(name) != task["job_id"]} == {"sweep/gamma=1e-4,C=1000"}


def test_a_workflow_goes_from_data_to_report(
    make_project: MakeProject, own_images: None, sandbox: Sandbox, slurm: Slurm, session_name: str
) -> None:
    """Prepare, train, pick, report: each step gets what it needs from the ones before, by look-ups alone."""
    project = make_project("workflow")
    commit_example(project, "workflow", slurm, session_name)
    project.settle(timeout="15m")
    workflow = project.resource("Workflow", "digits")
    assert {task["state"] for task in workflow["tasks"]} == {"Succeeded"}
    by_step: dict[str, list[dict[str, Any]]] = {}
    for task in workflow["tasks"]:
        by_step.setdefault(task["id"].split("/")[1], []).append(task)
    assert {step: len(tasks) for step, tasks in by_step.items()} == {"prepare": 1, "train": 6, "pick": 1, "report": 1}
    assert max(task["ended"] for task in by_step["train"]) <= by_step["pick"][0]["started"]
    report = sandbox.ssh(f"cat {by_step['report'][0]['run_dir']}/out/report.md")
    assert "accuracy" in report.lower()
    assert [task["attempt"] for task in workflow["tasks"]] == [1] * 9
