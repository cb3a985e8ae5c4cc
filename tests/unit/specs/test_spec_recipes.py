"""What a digest covers: nothing of a field at its default, and what ran under an earlier recipe is known."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from controller.model.resources import Place
from controller.specs.compile import load
from controller.specs.recipes import ALWAYS, DEFAULTS, RECIPES, Recipe
from controller.specs.schemas import schema_of
from tests.unit.specs.test_spec_golden import answers, digests_of, golden, repository
from tests.unit.specs.trees import MemoryTree, headlines

CLUSTER = {"kind": "Cluster", "name": "good", "scheduler": "local", "containers": "apptainer"}
IMAGE = {"kind": "Image", "name": "img", "build": {"context": "img"}, "test": {"run_command": "true"}}
JOB = {"kind": "Job", "name": "job", "cluster": "good", "image": "img", "command": "x"}
FLOW = {"kind": "Workflow", "name": "flow", "cluster": "good", "steps": {"one": {"command": "x"}}}
SWEEP = {**JOB, "name": "sweep", "matrix": {"k": [1, 2]}}

WORK = {
    "description": "",
    "labels": {},
    "files": [],
    "binds": [],
    "env": {},
    "needs": [],
    "resources": {},
    "retries": 0,
    "retries.max": 0,
    "retries.on": ["NodeFail", "Preempted", "BootFail"],
    "retries.backoff": "30s",
    "retries.grow": {},
    "retries.grow.memory": 1,
    "retries.grow.time": 1,
    "on_change": "replace",
    "on_remove": "cancel",
    "suspend": False,
    "priority": 0,
    "results": {},
    "results.files": [],
    "results.metrics": {},
}
"""Field of a Job to its default."""

ONLY_BY_ITSELF = {
    "kind", "name", "cluster", "image", "command", "matrix", "steps", "max_running", "schedule", "rerun", "was",
    # Left out it is what the cluster says, so what a job says itself is never the default (docs/decisions/0071).
    "shell",
}  # fmt: skip
"""Fields of a Job that have no default: what is left out is not there."""

IMAGES = {
    "description": "",
    "labels": {},
    "build.dockerfile": "Dockerfile",
    "build.args": {},
    "test.repo_url": None,
    "test.placeholders": {},
    "test.env": {},
    "test.gpus": False,
    "test.time": "30m",
    "test.required": False,
}
IMAGES_ONLY_BY_ITSELF = {
    "kind", "name", "registry", "build", "build.context", "build.repo", "build.ref", "build.template", "build.values",
    "build.target", "test", "test.run_command", "test.ref", "test.dataset_command", "test.repo_url", "test.shell",
    "from", "sif", "sif.path", "sif.sha256", "rebuild",
}  # fmt: skip


def with_field(document: dict[str, object], dotted: str, value: object) -> dict[str, object]:
    """Return a document with one field more."""
    first, _, rest = dotted.partition(".")
    if not rest:
        return document | {first: value}
    inner = document.get(first)
    inner = inner if isinstance(inner, dict) else {"max": 0} if first == "retries" else {}
    return document | {first: with_field(inner, rest, value)}


def digests(*documents: object) -> dict[str, str]:
    """Return every digest of a commit with these specs."""
    text = yaml.safe_dump_all([CLUSTER, *documents], sort_keys=False)
    result = load(MemoryTree({"a.yaml": text, "img/Dockerfile": "FROM x\n"}))
    assert headlines(result) == []
    return digests_of(result)


def cases() -> Iterator[tuple[str, str, object]]:
    """Yield a kind, a field, and its default."""
    for kind, fields in (("Job", WORK), ("Workflow", WORK), ("Step", WORK), ("Sweep", WORK), ("Image", IMAGES)):
        for field, value in fields.items():
            if field.partition(".")[0] in schema(kind) and value is not None:
                yield kind, field, value


def schema(kind: str) -> dict[str, object]:
    """Return the fields of a kind, or of a step."""
    if kind == "Step":
        found: dict[str, object] = schema_of("Workflow")["steps"]["valuesrules"]["schema"]
        return found
    return schema_of("Job" if kind == "Sweep" else kind)


@pytest.mark.parametrize(("kind", "field", "value"), [*cases()])
def test_a_field_at_its_default_contributes_nothing(kind: str, field: str, value: object) -> None:
    """Said or left out: the same digest."""
    without = digests(IMAGE, JOB, FLOW, SWEEP)
    match kind:
        case "Job":
            given = digests(IMAGE, with_field(JOB, field, value), FLOW, SWEEP)
        case "Sweep":
            given = digests(IMAGE, JOB, FLOW, with_field(SWEEP, field, value))
        case "Workflow":
            given = digests(IMAGE, JOB, with_field(FLOW, field, value), SWEEP)
        case "Step":
            given = digests(IMAGE, JOB, with_field(FLOW, f"steps.one.{field}", value), SWEEP)
        case _:
            given = digests(with_field(IMAGE, field, value), JOB, FLOW, SWEEP)
    assert given == without


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        ("Job", {*WORK, *ONLY_BY_ITSELF}),
        ("Step", {*WORK, *ONLY_BY_ITSELF}),
        ("Workflow", {*WORK, *ONLY_BY_ITSELF}),
        ("Image", {*IMAGES, *IMAGES_ONLY_BY_ITSELF}),
    ],
)
def test_the_default_of_every_field_is_known_here(kind: str, known: set[str]) -> None:
    """A field that is added to a schema is added to the tables above, with its default."""
    fields = set(schema(kind))
    if kind == "Image":
        inner = schema_of("Image")
        fields |= {f"{field}.{name}" for field in ("build", "test", "sif") for name in inner[field]["schema"]}
    assert fields - known == set()


def test_nothing_is_added_to_what_is_always_covered() -> None:
    """A new field goes into ``DEFAULTS``: here it would change the digest of every spec there is."""
    assert {
        "task": {"command", "env", "image", "files", "rerun"},
        "sweep": {"axes", "env", "image", "files", "needs"},
        "build": {"context", "dockerfile", "args", "target"},
        "from": {"from"},
        "sif": {"sif", "sha256"},
    } == ALWAYS
    assert ALWAYS.keys() == DEFAULTS.keys()


@given(kind=st.sampled_from(sorted(ALWAYS)), data=st.data())
def test_a_default_is_left_out_and_all_else_is_in(kind: str, data: st.DataObject) -> None:
    """By construction, whatever the field: only what differs from its default is hashed."""
    values = st.one_of(st.none(), st.just({}), st.just([]), st.text(max_size=3), st.lists(st.text(max_size=2)))
    said = {name: data.draw(values, name) for name in sorted(ALWAYS[kind] | DEFAULTS[kind].keys())}
    covered = RECIPES[0].covered(kind, said)
    assert covered.pop("version") == 1
    left_out = {name for name in DEFAULTS[kind] if said[name] == DEFAULTS[kind][name]}
    assert covered == {name: value for name, value in said.items() if name not in left_out}


@pytest.mark.parametrize("kind", sorted(ALWAYS))
@pytest.mark.parametrize("change", ["more", "less"])
def test_a_field_that_no_table_has_is_refused(kind: str, change: str) -> None:
    """Nothing gets into a digest past the tables, nor out of it."""
    said: dict[str, object] = dict.fromkeys(ALWAYS[kind] | DEFAULTS[kind].keys())
    if change == "more":
        said["colour"] = None
    else:
        said.popitem()
    with pytest.raises(KeyError, match="covers"):
        RECIPES[0].covered(kind, said)


@pytest.mark.parametrize("images", [1, 2])
def test_what_ran_under_an_earlier_recipe_is_known(images: int) -> None:
    """With a recipe that gives every task another digest, each names the one that it had."""
    before = golden()
    later = (Recipe(version=2, images=images), *RECIPES)
    after = load(MemoryTree(repository()), resolve=answers, recipes=later)
    for name, job in after.jobs.items():
        for was, now in zip(before.jobs[name].tasks, job.tasks, strict=True):
            assert now.digest != was.digest
            assert Place(name, was.key, was.digest) in now.earlier
            assert set(was.earlier) <= set(now.earlier)
    same = [after.images[name].identity == image.identity for name, image in before.images.items()]
    assert same == [images == 1] * len(same)


def test_with_one_recipe_and_no_renames_there_is_nothing_earlier() -> None:
    """What has no other digest costs nothing."""
    jobs = golden().jobs
    assert {task.earlier for name in ("plain", "full", "sweep") for task in jobs[name].tasks} == {()}
