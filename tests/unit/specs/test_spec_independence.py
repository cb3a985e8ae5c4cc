"""No error hides another, and none brings another about: pairs of faults in one document, and what is said of both."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from itertools import combinations
from typing import Any

import pytest
import yaml

from controller.model.resources import Desired
from tests.unit.specs.trees import GOOD, desired

JOB: dict[str, Any] = {
    "kind": "Job",
    "name": "bad",
    "cluster": "good",
    "image": "tool",
    "files": ["img"],
    "needs": ["good"],
    "matrix": {"lr": [1, 2]},
    "command": "echo ${{ matrix.lr }} ${{ needs.good.run_dir }}",
    "env": {"A": "x"},
    "resources": {"cpus": 1, "memory": "1G"},
    "retries": {"max": 1},
    "results": {"metrics": {"loss": {"json": "m.json"}}},
}
IMAGE: dict[str, Any] = {
    "kind": "Image",
    "name": "bad",
    "build": {"context": "img", "args": {"A": "x"}},
    "test": {"run_command": "true", "env": {"A": "x"}},
    "labels": {"team": "a"},
}
WORKFLOW: dict[str, Any] = {
    "kind": "Workflow",
    "name": "bad",
    "cluster": "good",
    "needs": ["good"],
    "steps": {
        "one": {"command": "echo"},
        "two": {"command": "echo", "needs": ["one"], "files": ["img"]},
        "three": {"command": "echo ${{ steps.two.run_dir }}", "needs": ["two"], "env": {"A": "x"}},
    },
}
AROUND = {
    "good.yaml": GOOD.replace("containers: none", "containers: apptainer"),
    "tool.yaml": "kind: Image\nname: tool\nfrom: docker://python@sha256:" + "0" * 64 + "\n",
    "img/Dockerfile": "FROM scratch\n",
}


def at(*path: str | int, value: Any) -> Callable[[Any], None]:
    """Return the change that puts a value at a path."""

    def change(document: Any) -> None:
        for part in path[:-1]:
            document = document[part]
        document[path[-1]] = value

    return change


JOB_FAULTS: dict[str, Callable[[Any], None]] = {
    "no such cluster": at("cluster", value="godo"),
    "no cluster": lambda document: document.pop("cluster"),
    "a cluster that is a number": at("cluster", value=3),
    "no such image": at("image", value="tol"),
    "no such file": at("files", value=["img", "imgs"]),
    "a file that is a list": at("files", value=["img", []]),
    "needs nothing": at("needs", value=["good", "goood"]),
    "a need that is no name": at("needs", value=["good", 3]),
    "an empty command": at("command", value=""),
    "no command": lambda document: document.pop("command"),
    "a look-up of nothing": at("env", value={"A": "${{ matrix.rl }}"}),
    "a metric that is not there": at("env", value={"A": "${{ needs.good.results.loss }}"}),
    "an axis that is empty": at("matrix", "lr", value=[]),
    "an unknown field": at("comand", value="x"),
    "cpus that are text": at("resources", "cpus", value="many"),
    "growth of nothing": at("retries", value={"max": 1, "grow": {"time": 2}}),
    "a task that is not there": at("suspend", value=["lr=3"]),
    "a metric called as an axis": at("results", value={"metrics": {"lr": {"json": "m.json"}}}),
    "a path that leads out": at("results", "files", value=["../x"]),
}
IMAGE_FAULTS: dict[str, Callable[[Any], None]] = {
    "no such context": at("build", "context", value="imgs"),
    "no context": lambda document: document["build"].pop("context"),
    "an argument that is a number": at("build", "args", value={"A": 3}),
    "a placeholder without a value": at("test", "run_command", value="run <YOUR_X>"),
    "no command": lambda document: document["test"].pop("run_command"),
    "a label that is a number": at("labels", value={"team": 3}),
    "an unknown field": at("tset", value="x"),
}
WORKFLOW_FAULTS: dict[str, Callable[[Any], None]] = {
    "no such cluster": at("cluster", value="godo"),
    "no cluster": lambda document: document.pop("cluster"),
    "needs nothing": at("needs", value=["goood"]),
    "needs no step": at("steps", "two", "needs", value=["one", "noe"]),
    "an unknown field": at("steps", "one", "comand", value="x"),
    "a name that is none": at("steps", "Four!", value={"command": "echo"}),
    "no such file": at("steps", "two", "files", value=["imgs"]),
    "no command": lambda document: document["steps"]["one"].pop("command"),
    "a variable that is a list": at("steps", "three", "env", "A", value=[]),
    "a circle": at("steps", "one", "needs", value=["three"]),
}
KINDS = {"Job": (JOB, JOB_FAULTS), "Image": (IMAGE, IMAGE_FAULTS), "Workflow": (WORKFLOW, WORKFLOW_FAULTS)}
TOGETHER = {
    # Two ways to break one field cannot be in one document; one message then stands for both.
    *(("no such cluster", other) for other in ("no cluster", "a cluster that is a number")),
    ("no cluster", "a cluster that is a number"),
    ("needs nothing", "a need that is no name"),
    ("no such file", "a file that is a list"),
    ("an empty command", "no command"),
    ("a look-up of nothing", "a metric that is not there"),
    ("no such context", "no context"),
    ("a placeholder without a value", "no command"),
    # What these speak of is the very thing that the other has taken away.
    ("an axis that is empty", "a task that is not there"),
    ("an axis that is empty", "a metric called as an axis"),
    ("no such cluster", "growth of nothing"),
    ("no cluster", "growth of nothing"),
    ("a cluster that is a number", "growth of nothing"),
    ("no command", "an unknown field"),
    ("no cluster", "a name that is none"),
}


def loaded(document: Mapping[str, Any]) -> Desired:
    return desired({**AROUND, "bad.yaml": yaml.safe_dump(document, sort_keys=False)})


def said(kind: str, *faults: str) -> list[str]:
    """Return what is said of a document with some faults, without the places."""
    base, known = KINDS[kind]
    document = deepcopy(base)
    for fault in faults:
        known[fault](document)
    result = loaded(document)
    assert f"{kind}/bad" in result.broken or not faults
    return sorted(problem.message for problem in result.problems)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_fault_nothing_is_said(kind: str) -> None:
    assert said(kind) == []


@pytest.mark.parametrize(("kind", "fault"), [(kind, fault) for kind, (_, known) in KINDS.items() for fault in known])
def test_one_fault_is_one_message(kind: str, fault: str) -> None:
    """What follows from a fault is not told as another; what concerns three steps is told at each of them."""
    each_step = kind == "Workflow" and fault in ("a circle", "no cluster")
    assert len(said(kind, fault)) == (3 if each_step else 1)


@pytest.mark.parametrize("kind", KINDS)
def test_two_faults_are_both_told(kind: str) -> None:
    """Whatever else is wrong with a document, each of two faults that do not speak of one another is told."""
    for one, other in combinations(KINDS[kind][1], 2):
        if (one, other) not in TOGETHER and (other, one) not in TOGETHER:
            assert said(kind, one, other) == sorted({*said(kind, one), *said(kind, other)}), (one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_of_the_yaml_hides_nothing(kind: str) -> None:
    """An anchor, a tag, a key given twice: refused, and the rest of the document is checked as without."""
    for fault, change in KINDS[kind][1].items():
        document = deepcopy(KINDS[kind][0])
        change(document)
        text = yaml.safe_dump(document, sort_keys=False) + "description: &a x\n"
        messages = sorted(problem.message for problem in desired({**AROUND, "bad.yaml": text}).problems)
        assert messages == sorted([*said(kind, fault), "anchors (&a) are not supported"]), fault


def test_a_document_that_is_there_twice_is_checked_twice() -> None:
    text = "---\n".join(yaml.safe_dump({**JOB, "cluster": cluster}, sort_keys=False) for cluster in ("godo", "gud"))
    messages = {problem.message for problem in desired({**AROUND, "bad.yaml": text}).problems}
    assert 'there is no Cluster named "gud"' in messages
    assert 'there is no Cluster named "godo"; did you mean "good"?' in messages


@pytest.mark.parametrize(
    ("field", "written", "message", "remedy"),
    [
        ("env: {A: %s}", "012", "must be a string, not an integer (012)", 'quote it: "012"'),
        ("env: {A: %s}", "1.10", "must be a string, not a number (1.10)", 'quote it: "1.10"'),
        ("env: {A: %s}", "1e3", "must be a string, not a number (1e3)", 'quote it: "1e3"'),
        ("env: {A: %s}", "0x1F", "must be a string, not an integer (0x1F)", 'quote it: "0x1F"'),
        ("env: {A: %s}", "True", "must be a string, not a boolean (True)", 'quote it: "True"'),
        ("env: {A: %s}", "9" * 60, "must be a string, not an integer (" + "9" * 48 + ")", "quote it"),
        ("resources: {cpus: %s}", '"12"', 'must be an integer, not a string ("12")', "remove the quotes"),
        ("resources: {cpus: %s}", '"012"', 'must be an integer, not a string ("012")', ""),
        ("resources: {cpus: %s}", '"١٢"', 'must be an integer, not a string ("١٢")', ""),
        ("resources: {cpus: %s}", "00", "must be at least 1, not 00", ""),
        ("files: %s", "img", 'must be a list, not a string ("img")', "write a list: [img]"),
        ("files: %s", "012", "must be a list, not an integer (012)", "write a list: [012]"),
        ("files: %s", '"a, b"', 'must be a list, not a string ("a, b")', "write a list: [VALUE, VALUE]"),
        (
            "matrix: {lr: %s}",
            "012",
            "must be a list or {range: [first, last]}, not an integer",
            "write a list: [VALUE, VALUE]",
        ),
    ],
)
def test_what_is_suggested_is_what_is_written(field: str, written: str, message: str, remedy: str) -> None:
    """A remedy repeats the text of the file, never what YAML makes of it, and is left out where it might mislead."""
    text = "kind: Job\nname: bad\ncluster: good\ncommand: echo\n" + field % written + "\n"
    (problem,) = desired({**AROUND, "bad.yaml": text}).problems
    assert problem.message.endswith(message)
    assert problem.remedy == remedy


ITEMS = [
    {"kind": "Job", "name": "one", "cluster": "good", "command": "echo"},
    {"kind": "Job", "name": "two", "cluster": "good", "command": "echo"},
]


@pytest.mark.parametrize("text", [json.dumps(ITEMS), yaml.safe_dump(ITEMS), "---\n" + yaml.safe_dump(ITEMS) + "---\n"])
def test_a_list_of_specs_is_an_error(text: str) -> None:
    """Each of them is named, is known to be there, and the remedy is the separator."""
    result = desired(
        {**AROUND, "bad.yaml": text, "user.yaml": "kind: Job\nname: u\ncluster: good\ncommand: x\nneeds: [one]\n"}
    )
    assert {(problem.resource, problem.message) for problem in result.problems} == {
        ("Job/one", "a spec stands by itself, not in a list"),
        ("Job/two", "a spec stands by itself, not in a list"),
        ("Job/u", "needs Job/one, which is not valid"),
    }
    assert all("---" in problem.remedy for problem in result.problems if problem.path == "bad.yaml")
    assert result.broken == {"Job/one", "Job/two", "Job/u"}
    assert "bad.yaml" in result.broken_paths


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1\n---\n{job}", "a spec must be a mapping, not a list"),
        ("plain words\n---\n{job}", "a spec must be a mapping, not a string"),
        ("a: 1\n---\n{job}", 'missing field "kind"'),
        ("---\n---\n{job}", ""),
        ("{job}---\n---\n# nothing\n", ""),
        ("null\n---\n{job}...\n", ""),
    ],
)
def test_other_shapes_beside_a_spec(text: str, message: str) -> None:
    """What is no spec beside one is an error, nothing at all is not; the spec itself is read either way."""
    job = "kind: Job\nname: one\ncluster: good\ncommand: echo\n"
    result = desired({**AROUND, "bad.yaml": text.replace("{job}", job)})
    assert [problem.message for problem in result.problems] == ([message] if message else [])
    assert "one" in result.jobs


@pytest.mark.parametrize(
    "text", ["- 1\n- a: b\n", "plain words\n", "a: 1\n", "", "---\n---\n", "- {kind: Pod, name: x}\n"]
)
def test_files_of_others_are_passed_over(text: str) -> None:
    result = desired({**AROUND, "bad.yaml": text})
    assert not result.problems
    assert not result.broken_paths


def test_a_file_that_is_too_large_invents_nothing() -> None:
    """Only the file is a problem; what may stand in it is neither listed nor said to be missing."""
    many = "".join(f"---\nkind: Job\nname: job-{n}\ncluster: x\ncommand: echo\n# {'x' * 4000}\n" for n in range(400))
    large = many + "---\nkind: Cluster\nname: far\nscheduler: local\n"
    user = "kind: Job\nname: user\ncluster: far\ncommand: echo\nneeds: [job-399]\n"
    result = desired({**AROUND, "large.yaml": large, "user.yaml": user})
    assert [(problem.path, problem.resource) for problem in result.problems] == [
        ("large.yaml", ""),
        ("user.yaml", "Job/user"),
        ("user.yaml", "Job/user"),
    ]
    assert {problem.message for problem in result.problems if problem.resource} == {
        'Cluster "far" may stand in large.yaml, which could not be read',
        'Job or Workflow "job-399" may stand in large.yaml, which could not be read',
    }
    assert "Job/user" in result.broken
    assert "Job/user" not in result.suspects
    assert result.suspects >= {"Job/job-1"}


def test_a_file_that_is_not_yaml_invents_nothing() -> None:
    """Which name goes with which kind is not known: what needs one is told of the file, once, and of nothing else."""
    garbled = "kind: Workflow\nname: one\nsteps: [\nkind: Job\nname: two\nkind: Cluster\nname: far\n"
    user = "kind: Job\nname: user\ncluster: far\ncommand: echo\nneeds: [one, two]\n"
    other = "kind: Job\nname: other\ncluster: near\ncommand: echo\n"
    result = desired({**AROUND, "garbled.yaml": garbled, "user.yaml": user, "other.yaml": other})
    assert [(problem.path, problem.message) for problem in result.problems if problem.path != "garbled.yaml"] == [
        ("other.yaml", 'there is no Cluster named "near"'),
        ("user.yaml", 'Cluster "far" may stand in garbled.yaml, which could not be read'),
        ("user.yaml", 'Job "one" may stand in garbled.yaml, which could not be read'),
        ("user.yaml", 'Job "two" may stand in garbled.yaml, which could not be read'),
    ]
    assert result.suspects >= {"Job/one", "Workflow/one", "Cluster/two"}
