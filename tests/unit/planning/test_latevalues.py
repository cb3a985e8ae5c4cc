"""Look-ups that are filled in when a run begins: quoted, and never looked into."""

from __future__ import annotations

import subprocess

import pytest

from controller.model.conditions import TaskState
from controller.model.observed import Observed
from controller.model.plans import PlannedRun
from controller.model.resources import Desired
from controller.model.runs import RunRecord, run_of
from controller.planning.draft import Draft
from controller.planning.history import History
from controller.planning.latevalues import filled
from controller.planning.verdicts import Wait
from tests.unit.specs.trees import GOOD, desired, headlines

SPEC = (
    GOOD
    + """---
kind: Job
name: up
cluster: good
command: x
results: {metrics: {a: {json: m.json, path: a}, b: {json: m.json, path: b}}}
---
kind: Job
name: sweep
cluster: good
command: x ${{ matrix.k }}
matrix: {k: ["1", "a b"]}
results: {metrics: {acc: {json: m.json, path: acc}}}
---
kind: Job
name: down
cluster: good
needs: [up, sweep]
command: >-
  printf '%s\\n' ${{ needs.up.results.a }} ${{needs.up.results.b}} ${{ needs.up.run_dir }} ${{ needs.sweep.table }}
env: {A: "a=${{ needs.up.results.a }}"}
"""
)


def planned(results: dict[str, str]) -> PlannedRun | Wait:
    """Return the run of ``down`` after ``up`` has left these results."""
    commit = desired({"a.yaml": SPEC})
    assert headlines(commit) == []
    runs = {}
    for name in ("up", "sweep"):
        for number, task in enumerate(commit.jobs[name].tasks):
            run = run_of(task, attempt=1, cluster="good", commit="c")
            found = results if name == "up" else {"acc": f"0.{number}"}
            runs[run.id] = RunRecord(
                run=run, batch="b", index=0, state=TaskState.SUCCEEDED, run_dir=f"/r/{name}{number}", results=found
            )
    return filled(
        _draft(commit, runs),
        run_of(commit.jobs["down"].tasks[0], attempt=1, cluster="good", commit="c"),
        commit.jobs["down"].tasks[0],
    )


def _draft(commit: Desired, runs: dict[str, RunRecord]) -> Draft:
    return Draft(desired=commit, observed=Observed(engine=None), history=History(runs=runs), now=0.0)


@pytest.mark.parametrize(
    "values",
    [
        ("0.5", "1"),
        ("$(id) `id` 'x' \"y\" ; # \\", "a\nb"),
        ("${{ needs.up.results.b }}", "'; exit 1; '"),
        ("it's ${{ needs.up.run_dir }}", "${{ needs.up.results.a }}"),
    ],
)
def test_the_shell_gets_the_very_values(values: tuple[str, str]) -> None:
    run = planned({"a": values[0], "b": values[1]})
    assert isinstance(run, PlannedRun)
    said = subprocess.run(["sh", "-c", run.task.command], capture_output=True, text=True, check=True).stdout
    assert said == f"{values[0]}\n{values[1]}\n/r/up0\nneeds/sweep.csv\n"
    assert run.task.env == {"A": f"a={values[0]}"}


def test_the_table_has_a_line_for_each_task() -> None:
    run = planned({"a": "1", "b": "2"})
    assert isinstance(run, PlannedRun)
    assert run.tables == {
        "needs/sweep.csv": "task,run_dir,k,acc\nsweep/k=1,/r/sweep0,1,0.0\nsweep/k=a%20b,/r/sweep1,a b,0.1\n"
    }


def test_a_missing_result_is_waited_for() -> None:
    wait = planned({"a": "1"})
    assert isinstance(wait, Wait)
    assert wait.reason == "ResultMissing"
    assert "b" in wait.message
