"""From what a person types to the document that it names."""

from __future__ import annotations

import pytest

from controller.specs.addresses import Address, NotFoundError, find
from controller.specs.compile import load
from tests.unit.specs.trees import MemoryTree

CLUSTER = "kind: Cluster\nname: here\nscheduler: local\ncontainers: none\n"
TRAIN = "kind: Job\nname: train\ncluster: here\ncommand: x\n"
SWEEP = TRAIN.replace("train", "sweep") + "matrix: {lr: [1, 2]}\n"
BANDS = """\
kind: Workflow
name: bands
cluster: here
steps:
  relax: {command: x, matrix: {lr: [1, 2]}}
  scf:
    command: y
"""


def found(wanted: str, **files: str) -> Address:
    given = {"c.yaml": CLUSTER, "train.yaml": TRAIN, "more.yaml": f"{SWEEP}---\n{BANDS}"}
    tree = MemoryTree({**given, **{f"{name}.yaml": text for name, text in files.items()}})
    return find(tree, load(tree), wanted)


@pytest.mark.parametrize(
    ("wanted", "title", "place"),
    [
        ("train", "job train", ("train.yaml", 0, 1)),
        ("Job/train", "job train", ("train.yaml", 0, 1)),
        ("sweep/lr=1", "task sweep/lr=1", ("more.yaml", 0, 1)),
        ("bands", "workflow bands", ("more.yaml", 1, 7)),
        ("bands/relax", "step bands/relax", ("more.yaml", 1, 11)),
        ("bands/scf", "step bands/scf", ("more.yaml", 1, 12)),
        ("Workflow/bands/relax/lr=2", "task bands/relax/lr=2", ("more.yaml", 1, 11)),
    ],
)
def test_what_is_found(wanted: str, title: str, place: tuple[str, int, int]) -> None:
    address = found(wanted)
    assert address.title == title
    assert (address.path, address.number, address.line) == place


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("trian", 'no job or workflow "trian"; did you mean "train"'),
        ("here", 'no job or workflow "here"'),
        ("train/lr=1", "no matrix"),
        ("sweep/lr=3", 'no task "lr=3"; did you mean "lr=2"'),
        ("bands/rlax", 'no step "rlax"; did you mean "relax"'),
        ("bands/relax/x", 'no task "x"; they are like "lr=1"'),
        ("bands/scf/lr=1", "bands/scf has no matrix"),
    ],
)
def test_what_is_not(wanted: str, message: str) -> None:
    with pytest.raises(NotFoundError, match=message):
        found(wanted)


def test_one_name_for_two_things() -> None:
    with pytest.raises(NotFoundError, match=r"Job/train in train\.yaml:1 and Job/train in other\.yaml:1; rename"):
        found("train", other=TRAIN)
    with pytest.raises(NotFoundError, match="say which, by its kind"):
        found("train", other=BANDS.replace("bands", "train"))
    assert found("Workflow/train", other=BANDS.replace("bands", "train")).title == "workflow train"


def test_a_job_that_is_not_valid_is_found_but_not_its_tasks() -> None:
    """Suspending a job must not wait until its spec is mended."""
    wrong = SWEEP.replace("sweep", "wrong") + "nonsense: 1\n"
    assert found("wrong", wrong=wrong).title == "job wrong"
    with pytest.raises(NotFoundError, match="not valid at present"):
        found("wrong/lr=1", wrong=wrong)
