"""Needs, workflows, and the fields that jobs and steps have in common."""

from __future__ import annotations

import pytest

from controller.model.resources import RETRY_REASONS, Desired, Job, LateValue, Metric, Resources, Results, Retries
from controller.specs.schemas import schema_of
from tests.unit.specs.test_spec_compile import FILES, FULL
from tests.unit.specs.trees import GOOD, desired, headlines

FLOW = """\
kind: Workflow
name: flow
cluster: good
env: {A: "1", B: "2"}
resources: {cpus: 2, memory: 1G}
retries: 1
priority: 5
needs: [good]
steps:
  prepare:
    command: make
    results: {metrics: {rows: {json: rows.json}}}
  train:
    command: train ${{ matrix.k }} ${{steps.prepare.run_dir}} ${{ needs.good.run_dir }} ${{ step.name }}
    needs: [prepare]
    matrix: {k: [1, 2]}
    env: {B: "3 ${{ steps.prepare.results.rows }}"}
    resources: {memory: 2G}
    retries: {max: 2, on: [Timeout], backoff: 1m}
    max_running: 1
  report: {command: 'report ${{ steps.train.table }}', needs: [train], priority: 6, suspend: true}
"""


def job(name: str, fields: str = "", command: str = "x") -> str:
    return f"---\nkind: Job\nname: {name}\ncluster: good\ncommand: {command}\n{fields}\n"


def load(*texts: str) -> Desired:
    result = desired({"a.yaml": GOOD + "".join(text if text.startswith("---") else "---\n" + text for text in texts)})
    assert headlines(result) == []
    return result


def digests(each: Job) -> list[str]:
    return [task.digest for task in each.tasks]


def test_a_digest_of_a_plain_job_never_changes() -> None:
    """What has run does not run again because the controller is newer."""
    (task,) = load().jobs["good"].tasks
    assert task.digest == "fa7454f088ad0f8dbf0f654f6dd082285846e284a95024ba8e9175914223f817"
    full = desired({**FILES, "specs/all.yaml": FULL})
    assert full.images["torch"].identity == "12477753be27b41b9b6ba3f5b354a4a1c92a5d785a98b62d219bf9983a5317f5"
    (task,) = full.jobs["train"].tasks
    assert task.digest == "5eae4ada6518b71eea89f7bbec6c825d0e4e7ab425c9b194a211a7346acae1d1"


def test_a_workflow_is_its_steps() -> None:
    result = load(FLOW)
    assert result.workflows["flow"].steps == ("flow.prepare", "flow.train", "flow.report")
    assert list(result.jobs) == ["good", "flow.prepare", "flow.train", "flow.report"]
    prepare, train, report = (result.jobs[name] for name in result.workflows["flow"].steps)
    assert [each.workflow for each in (prepare, train, report)] == ["flow"] * 3
    assert [each.source.line - prepare.source.line for each in (prepare, train, report)] == [0, 3, 10]
    assert [task.id for task in train.tasks] == ["flow/train/k=1", "flow/train/k=2"]
    assert (prepare.needs, train.needs, report.needs) == (
        ("good",),
        ("good", "flow.prepare"),
        ("good", "flow.train"),
    )
    assert prepare.resources == Resources(cpus=2, memory_mib=1024)
    assert train.resources == Resources(cpus=2, memory_mib=2048)
    assert prepare.retries == Retries(max=1)
    assert train.retries == Retries(max=2, on=frozenset({"Timeout"}), backoff_s=60)
    assert (train.max_running, prepare.max_running) == (1, None)
    assert (train.priority, report.priority, report.suspend) == (5, 6, True)
    assert prepare.results == Results(metrics={"rows": Metric(file="rows.json", path="")})


def test_late_look_ups_stay_in_the_texts_in_one_spelling() -> None:
    first, _ = load(FLOW).jobs["flow.train"].tasks
    assert first.command == "train 1 ${{ steps.prepare.run_dir }} ${{ needs.good.run_dir }} train"
    assert first.env == {"A": "1", "B": "3 ${{ steps.prepare.results.rows }}"}
    assert first.late == (
        LateValue(text="${{ steps.prepare.run_dir }}", job="flow.prepare", what="run_dir"),
        LateValue(text="${{ needs.good.run_dir }}", job="good", what="run_dir"),
        LateValue(text="${{ steps.prepare.results.rows }}", job="flow.prepare", what="results.rows"),
    )


def test_needs_of_jobs_and_workflows() -> None:
    command = "y ${{ needs.flow.prepare.results.rows }} ${{ needs.flow.train.table }} ${{ needs.up.table }}"
    result = load(FLOW, job("up"), job("down", "needs: [flow, up, flow]", command))
    assert result.jobs["down"].needs == ("flow.prepare", "flow.train", "flow.report", "up")
    (task,) = result.jobs["down"].tasks
    assert [(late.job, late.what) for late in task.late] == [
        ("flow.prepare", "results.rows"),
        ("flow.train", "table"),
        ("up", "table"),
    ]


def test_a_change_upstream_is_a_change_downstream() -> None:
    def chain(command: str, fields: str = "") -> dict[str, Job]:
        return dict(load(job("a", fields, command), job("b", "needs: [a]"), job("c", "needs: [b]"), job("d")).jobs)

    before, after = chain("x"), chain("y")
    changed = [name for name in before if digests(before[name]) != digests(after[name])]
    assert changed == ["a", "b", "c"]
    assert digests(chain("x", "priority: 3\nretries: 2")["c"]) == digests(before["c"])
    more = chain("x ${{ matrix.k }}", "matrix: {k: [1, 2]}"), chain("x ${{ matrix.k }}", "matrix: {k: [1, 2, 3]}")
    assert digests(more[0]["c"]) != digests(more[1]["c"])


def test_needs_that_change_places_are_a_change() -> None:
    command = "x ${{ needs.a.run_dir }} ${{ needs.b.run_dir }}"
    one = load(job("a", "", "x"), job("b", "", "y"), job("c", "needs: [a, b]", command)).jobs["c"]
    other = load(job("a", "", "y"), job("b", "", "x"), job("c", "needs: [a, b]", command)).jobs["c"]
    again = load(job("a", "", "x"), job("b", "", "y"), job("c", "needs: [b, a]", command)).jobs["c"]
    assert digests(one) != digests(other)
    assert digests(one) == digests(again)


def test_a_broken_step_breaks_the_workflow_and_what_needs_it_and_no_more() -> None:
    broken = FLOW.replace("command: make", "comand: make")
    down = job("down", "needs: [flow]")
    result = desired({"a.yaml": GOOD + "---\n" + broken, "b.yaml": down + job("other")})
    assert result.broken == {"Workflow/flow", "Job/down"}
    assert set(result.jobs) == {"good", "other"}
    assert headlines(result) == [
        'a.yaml:21:5: unknown field "comand" in steps.prepare; did you mean "command"?',
        "b.yaml:6:9: needs Workflow/flow, which is not valid",
    ]


def test_what_needs_a_circle_is_not_in_it() -> None:
    texts = [job("a", "needs: [b]"), job("b", "needs: [a]"), job("c", "needs: [a]"), job("d", "needs: [d]")]
    result = desired({"a.yaml": GOOD + "".join(texts)})
    assert [line.partition(": ")[2] for line in headlines(result)] == [
        "needs go round in a circle: a -> b -> a",
        "needs go round in a circle: b -> a -> b",
        "needs Job/a, which is not valid",
        "needs go round in a circle: d -> d",
    ]
    assert set(result.jobs) == {"good"}


def test_many_circles_are_told_in_time() -> None:
    texts = [job(f"a{n}", f"needs: [b{n}]") + job(f"b{n}", f"needs: [a{n}]") for n in range(1_000)]
    result = desired({"a.yaml": GOOD} | {f"{number}.yaml": text for number, text in enumerate(texts)})
    assert len(result.broken) == 2_000
    assert set(result.jobs) == {"good"}


def test_one_task_is_enough_for_its_directory() -> None:
    command = "y ${{ needs.up.run_dir }}"
    load(job("up", "matrix: {k: [1]}", "x ${{ matrix.k }}"), job("down", "needs: [up]", command))


def test_schedules_are_five_fields() -> None:
    assert load(job("a", "schedule: '@daily'")).jobs["a"].schedule == "0 0 * * *"
    assert load(job("a", "schedule: ' 0  3 * * * '")).jobs["a"].schedule == "0 3 * * *"


def test_growth_may_rest_on_the_clusters_defaults() -> None:
    grow = job("a", "retries: {max: 1, on: [OutOfMemory], grow: {memory: 2, time: 1.5}}")
    spec = GOOD.replace("containers: none\n", "containers: none\ndefaults: {memory: 1G, time: 1h}\n") + grow
    result = desired({"a.yaml": spec})
    assert headlines(result) == []
    assert result.jobs["a"].retries == Retries(
        max=1, on=frozenset({"OutOfMemory"}), grow_memory=2.0, grow_time=1.5, backoff_s=30
    )


def test_the_schema_knows_the_reasons_of_the_model() -> None:
    assert tuple(schema_of("Job")["retries"]["schema"]["on"]["schema"]["allowed"]) == RETRY_REASONS


def test_every_field_of_a_job_is_one_of_a_step() -> None:
    step = set(schema_of("Workflow")["steps"]["valuesrules"]["schema"])
    assert set(schema_of("Job")) - step == {"kind", "name", "labels", "schedule"}
    assert step <= set(schema_of("Job"))


@pytest.mark.parametrize("quoted", ['"${{ needs.up.results.n }}"', "'${{ needs.up.results.n }}'"])
def test_a_result_may_not_stand_in_quotes(quoted: str) -> None:
    up = job("up", "results: {metrics: {n: {json: n.json}}}")
    result = desired({"a.yaml": GOOD + up + job("down", "needs: [up]", "|\n  echo " + quoted)})
    (line,) = headlines(result)
    assert "stands inside quotes, where a value that is not known yet cannot be quoted" in line
    load(up, job("down", "needs: [up]", '|\n  echo "${{ needs.up.run_dir }}" ${{ needs.up.results.n }}'))
