"""``was``: what a task was known as before, and what is said of a ``was`` that cannot be."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from controller.model.resources import Desired, Place
from controller.specs.compile import load
from controller.specs.recipes import RECIPES, Recipe
from tests.unit.specs.trees import GOOD, MemoryTree, desired, headlines


def job(name: str, fields: str = "", command: str = "x") -> str:
    """Return a job as text; its name is on line 3 of it, ``fields`` on line 6."""
    return f"---\nkind: Job\nname: {name}\ncluster: good\ncommand: {command}\n{fields}\n"


def loaded(*texts: str) -> Desired:
    """Load a commit that is valid."""
    result = desired({"a.yaml": GOOD + "".join(texts)})
    assert headlines(result) == []
    return result


def places(result: Desired) -> dict[str, Place]:
    """Return where the runs of every task of a commit are, by its id."""
    return {task.id: Place(job.name, task.key, task.digest) for job in result.jobs.values() for task in job.tasks}


def earlier(result: Desired) -> dict[str, tuple[Place, ...]]:
    """Return the earlier places of every task that has any."""
    return {task.id: task.earlier for job in result.jobs.values() for task in job.tasks if task.earlier}


def test_a_job_and_what_needs_it() -> None:
    """The digest of what needs it holds its name, so that has an earlier place as well."""
    before = loaded(job("train"), job("report", "needs: [train]", "y ${{ needs.train.run_dir }}"))
    after = loaded(job("fit", "was: train"), job("report", "needs: [fit]", "y ${{ needs.fit.run_dir }}"))
    then = places(before)
    assert earlier(after) == {"fit": (then["train"],), "report": (then["report"],)}
    assert after.jobs["fit"].was == ("train",)
    assert places(after)["fit"].digest == then["train"].digest


def test_was_is_no_part_of_a_digest() -> None:
    """Neither of the job's own, nor of what needs it."""
    with_it = loaded(job("fit", "was: train"), job("report", "needs: [fit]"))
    without = loaded(job("fit"), job("report", "needs: [fit]"))
    assert places(with_it) == places(without)


def test_a_name_that_a_command_looks_up() -> None:
    """It is filled in as it was then."""
    before = loaded(job("train", command="x ${{ job.name }}"))
    assert earlier(loaded(job("fit", "was: train", "x ${{ job.name }}"))) == {"fit": (places(before)["train"],)}


FLOW = """\
---
kind: Workflow
name: {flow}
cluster: good
{was}
steps:
  {step}: {{command: 'x ${{{{ workflow.name }}}}/${{{{ step.name }}}}'{step_was}}}
  use: {{command: 'y ${{{{ steps.{step}.run_dir }}}}', needs: [{step}]}}
"""
AFTER = job("after", "needs: [{flow}]", "z ${{{{ needs.{flow}.{step}.run_dir }}}}")


@pytest.mark.parametrize(
    ("flow", "step", "was", "step_was"),
    [("g", "make", "was: f", ""), ("f", "build", "", ", was: make"), ("g", "build", "was: [f]", ", was: [make]")],
)
def test_a_workflow_and_its_steps(flow: str, step: str, was: str, step_was: str) -> None:
    """Renamed by itself, a step of it, or both; and what needs it."""
    texts = FLOW + AFTER
    before = places(loaded(texts.format(flow="f", step="make", was="", step_was="")))
    found = earlier(loaded(texts.format(flow=flow, step=step, was=was, step_was=step_was)))
    assert before["f/make"] in found[f"{flow}/{step}"]
    assert before["f/use"] in found[f"{flow}/use"]
    assert before["after"] in found["after"]


@pytest.mark.parametrize(
    ("then", "key"), [("lr: [0.10, 1e-3]", "lr={lr}"), ("lr: [0.10, 1e-3], n: [x]", "lr={lr},n=x"), ("", "")]
)
def test_an_axis_is_added(then: str, key: str) -> None:
    """Points with the value that the spec gives are what the tasks were; the others are new."""
    command = "x ${{ matrix.lr }}" if then else "x"
    before = places(loaded(job("s", f"matrix: {{{then}}}" if then else "", command)))
    axes, value = (f"{then}, seed: [1, 2.0]", "{seed: 2}") if then else ("lr: [0.10]", "{lr: 0.1}")
    was = f"was: [{{matrix: {value}, command: '{command}'}}]"
    found = earlier(loaded(job("s", f"matrix: {{{axes}}}\n{was}", "x ${{ matrix.lr }} --more")))
    if then:
        tasks = {lr: f"s/{key.format(lr=lr)}" for lr in ("0.10", "1e-3")}
        assert found == {f"{task},seed=2.0": (before[task],) for task in tasks.values()}
    else:
        assert found == {"s/lr=0.10": (before["s"],)}


def test_a_task_that_is_to_run_again_has_not_run() -> None:
    """``rerun`` of one task counts for its earlier forms too."""
    before = places(loaded(job("s", "matrix: {lr: [1, 2]}", "x ${{ matrix.lr }}")))
    was = "was: [{matrix: {seed: 0}, command: 'x ${{ matrix.lr }}'}]\nrerun: {'lr=1,seed=0': again}"
    found = earlier(
        loaded(job("s", f"matrix: {{lr: [1, 2], seed: [0]}}\n{was}", "x ${{ matrix.lr }} ${{ matrix.seed }}"))
    )
    assert found["s/lr=2,seed=0"] == (before["s/lr=2"],)
    assert before["s/lr=1"] not in found["s/lr=1,seed=0"]


def test_another_axis_is_a_change_for_what_needs_the_job() -> None:
    """There are more tasks now, whose results it has not seen."""
    after = job("after", "needs: [s]", "y ${{ needs.s.table }}")
    was = "was: [{matrix: {seed: 0}, command: 'x ${{ matrix.lr }}'}]"
    found = earlier(loaded(job("s", f"matrix: {{lr: [1, 2], seed: [0, 1]}}\n{was}", "x ${{ matrix.lr }}"), after))
    assert "after" not in found


def test_a_rename_and_another_recipe_at_once() -> None:
    """An upgrade and a rename in one go."""
    text = GOOD + job("train")
    then = places(loaded(job("train")))["train"]
    after = GOOD + job("fit", "was: train")
    recipes = (Recipe(version=2), *RECIPES)
    found = load(MemoryTree({"a.yaml": after}), recipes=recipes).jobs["fit"].tasks[0].earlier
    newer = load(MemoryTree({"a.yaml": text}), recipes=recipes).jobs["train"].tasks[0].digest
    assert set(found) == {then, Place("train", "", newer), Place("fit", "", then.digest)}


NAMES = ["a", "b", "c", "d"]
Graph = dict[str, tuple[list[str], bool, bool]]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Return jobs by name: what each needs of those before it, whether it is a sweep, whether it says its name."""
    flags = st.booleans()
    needs = {
        name: draw(st.lists(st.sampled_from(NAMES[:at]), unique=True)) if at else [] for at, name in enumerate(NAMES)
    }
    return {name: (needs[name], draw(flags), draw(flags)) for name in NAMES}


def commit(graph: Graph, names: Mapping[str, str]) -> Desired:
    """Load these jobs, some of them under new names."""
    specs = []
    for name, (needs, swept, says) in graph.items():
        own, looked = names.get(name, name), [names.get(each, each) for each in needs]
        command = " ".join(["x", *(f"${{{{ needs.{each}.table }}}}" for each in looked)])
        command += " ${{ job.name }}" if says else ""
        spec = {"kind": "Job", "name": own, "cluster": "good", "command": command, "needs": looked}
        spec |= {"matrix": {"k": [1, 2]}} if swept else {}
        specs.append(spec | ({"was": name} if name in names else {}))
    return loaded("---\n" + yaml.safe_dump_all(specs))


@given(graph=graphs(), renamed=st.sets(st.sampled_from(NAMES), min_size=1))
def test_whatever_is_renamed_every_task_is_known(graph: Graph, renamed: set[str]) -> None:
    """Any jobs of any graph: each task names the place that it had, or has it still."""
    names = {name: f"new-{name}" for name in renamed}
    before, after = commit(graph, {}), commit(graph, names)
    for name, job_before in before.jobs.items():
        tasks = after.jobs[names.get(name, name)].tasks
        for was, now in zip(job_before.tasks, tasks, strict=True):
            place = Place(name, was.key, was.digest)
            assert place in (*now.earlier, Place(now.job, now.key, now.digest))


ERRORS = {
    "its own name": (job("a", "was: a"), ['15:6: "a" is its own name']),
    "a name that is there": (job("a", "was: good"), ["15:6: Job/good is still there, so this was not it"]),
    "in a list": (job("a", "was: [x, good]"), ["15:10: Job/good is still there, so this was not it"]),
    "an item": (job("a", "was: [{name: good}]"), ["15:14: Job/good is still there, so this was not it"]),
    "claimed twice": (
        job("a", "was: x") + job("b", "was: x"),
        ['15:6: "x" is claimed by Job/b as well', '21:6: "x" is claimed by Job/a as well'],
    ),
    "a circle": (
        job("a", "was: b") + job("b", "was: a"),
        ["15:6: Job/b is still there, so this was not it", "21:6: Job/a is still there, so this was not it"],
    ),
    "nothing said": (job("a", "was: [{}]"), ['15:7: "was[0]" says nothing of what it was']),
    "a command alone": (
        job("a", "was: [{name: x, command: y}]"),
        ['15:26: "command" of an earlier form is of use beside matrix only: a changed command is a change'],
    ),
    "no matrix": (job("a", "was: [{matrix: {k: 1}}]"), ['15:16: "k" is no axis of this job\'s matrix']),
    "another axis": (
        job("a", "matrix: {seed: [1, 2]}\nwas: [{matrix: {sed: 1}}]"),
        ['16:16: "sed" is no axis of this job\'s matrix; did you mean "seed"?'],
    ),
    "another value": (
        job("a", "matrix: {opt: [adam, sgd]}\nwas: [{matrix: {opt: adan}}]"),
        ['16:16: "opt" is "adan", which is no value of axis "opt"; did you mean "adam"?'],
    ),
    "a look-up of the new axis": (
        job("a", "matrix: {k: [1, 2]}\nwas: [{matrix: {k: 1}, command: 'x ${{ matrix.k }}'}]"),
        ['16:33: unknown name "matrix.k"'],
    ),
    "a number": (job("a", "was: 3"), ['15:6: "was" must be a string or a list, not an integer (3)']),
    "an unknown field": (job("a", "was: [{nam: x}]"), ['15:8: unknown field "nam" in was[0]']),
    "a step that is there": (
        "---\nkind: Workflow\nname: f\ncluster: good\nsteps: {a: {command: x, was: b}, b: {command: x}}\n",
        ['14:30: the step "b" is still there, so this was not it'],
    ),
    "two steps": (
        "---\nkind: Workflow\nname: f\ncluster: good\nsteps: {a: {command: x, was: c}, b: {command: x, was: c}}\n",
        ['14:30: "c" is claimed by step b as well', '14:55: "c" is claimed by step a as well'],
    ),
    "a workflow's own name": (
        "---\nkind: Workflow\nname: f\ncluster: good\nwas: f\nsteps: {a: {command: x}}\n",
        ['14:6: "f" is its own name'],
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_cannot_have_been(name: str) -> None:
    """Each with its place; what is not valid says nothing of anything else."""
    text, expected = ERRORS[name]
    found = desired({"a.yaml": GOOD + text})
    said = [line.removeprefix("a.yaml:") for line in headlines(found)]
    assert [line for line in said if "stays in force" not in line] == expected
    assert "good" in found.jobs


@pytest.mark.parametrize("fault", ["was: [x, good]", "was: x\nimage: none", "was: x\npriorty: 3"])
def test_what_a_broken_job_was_is_not_gone(fault: str) -> None:
    """It counts as broken too: its last good version stays in force, and nothing of it is cancelled."""
    found = desired({"a.yaml": GOOD + job("a", fault)})
    assert found.broken == {"Job/a", "Job/x"}
    assert found.former == {"Job/x"}
    assert any("Job/x stays in force until Job/a, which was it, is valid" in line for line in headlines(found))
