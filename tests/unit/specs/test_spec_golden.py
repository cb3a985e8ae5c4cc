"""Digests of a whole repository, kept as text: whoever changes how a digest is made sees what that changes.

``tests/golden/digests.txt`` is made anew by ``python -m tests.unit.specs.test_spec_golden``. That is right when a spec
in ``tests/golden/repository`` was added, and wrong in every other case.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from controller.model.resources import Desired
from controller.specs.compile import load
from controller.specs.outside import Answer, GitSource, PinnedDigest, PinnedTree, RegistrySource, Source
from controller.specs.schemas import KINDS, schema_of
from controller.specs.yaml_loader import load as load_yaml
from tests.unit.specs.trees import MemoryTree, headlines

GOLDEN = Path(__file__).parents[2] / "golden"
REPOSITORY, DIGESTS = GOLDEN / "repository", GOLDEN / "digests.txt"

MEANING = """
These digests are not what they were. With them an upgrade runs work of every lab again that has ended, and builds
images again. If the recipe (controller/specs/recipes.py, tasks.py, images.py) was changed, take that back: a new field
gets a default in recipes.DEFAULTS. Where the change cannot be avoided, it is a recipe of its own, and the one before
stays in RECIPES, so that what ran under it counts. If a built-in template was changed, whoever uses it builds again
and runs again: that has to be worth it, and is said in CHANGELOG.md.
"""


def answers(sources: Iterable[Source]) -> Mapping[Source, Answer]:
    """Return what is in force outside of the commit."""
    elsewhere = MemoryTree({"torch/Dockerfile": "FROM x\n", "torch/a": "a"}, commit="d" * 40)
    known = {
        GitSource: PinnedTree(tree=elsewhere),
        RegistrySource: PinnedDigest(digest="sha256:" + "3" * 64),
    }
    return {source: known[type(source)] for source in sources}


def repository() -> dict[str, bytes]:
    """Return the files of the example repository."""
    paths = sorted(path for path in REPOSITORY.rglob("*") if path.is_file())
    return {path.relative_to(REPOSITORY).as_posix(): path.read_bytes() for path in paths}


def golden() -> Desired:
    """Load the example repository."""
    result = load(MemoryTree(repository()), resolve=answers)
    assert headlines(result) == []
    return result


def digests_of(desired: Desired) -> dict[str, str]:
    """Return every digest of a commit by what it is of."""
    found = {f"Image/{name}": image.identity for name, image in desired.images.items()}
    found |= {f"Image/{name} test": image.test.digest for name, image in desired.images.items() if image.test}
    found |= {f"files of {name}": job.files.tree for name, job in desired.jobs.items() if job.files}
    return found | {f"task {task.id}": task.digest for job in desired.jobs.values() for task in job.tasks}


def kept() -> dict[str, str]:
    """Return the digests that are kept as text."""
    rows = (line.rpartition(" ") for line in DIGESTS.read_text().splitlines())
    return {what: digest for what, _, digest in rows}


def test_no_digest_changes() -> None:
    """What has run does not run again because the controller is newer."""
    now, before = digests_of(golden()), kept()
    changed = [f"{what}: it was {before[what]}, and is {now.get(what)}" for what in before]
    changed = [line for line, what in zip(changed, before, strict=True) if now.get(what) != before[what]]
    assert not changed, MEANING + "\n".join(changed)
    assert now.keys() == before.keys(), "add the digests of new specs: python -m tests.unit.specs.test_spec_golden"


def fields_of(rules: Mapping[str, Any], path: str) -> Iterator[str]:
    """Yield the dotted names of all fields of a schema."""
    for name, rule in rules.items():
        yield f"{path}.{name}"
        inner = rule.get("schema", {})
        if "dict" in rule["type"] and "list" not in rule["type"]:
            yield from fields_of(inner, f"{path}.{name}")
        if (each := rule.get("valuesrules", {})).get("schema") and "dict" in each["type"]:
            yield from fields_of(each["schema"], f"{path}.{name}.*")


def fields_in(value: Any, path: str, known: set[str]) -> Iterator[str]:
    """Yield the dotted names of the fields that a document uses."""
    for name, each in value.items() if isinstance(value, dict) else ():
        field = f"{path}.{name}" if f"{path}.{name}" in known else f"{path}.*"
        yield field
        yield from fields_in(each, field, known)


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_in_the_example(kind: str) -> None:
    """A field that is added to a schema is added there, and so is seen to change no digest beside its own."""
    known = {field for field in fields_of(schema_of(kind), kind) if not _is_of_job(field)}
    used: set[str] = set()
    for path, data in repository().items():
        for document in load_yaml(data).documents if path.endswith(".yaml") and "/" not in path else ():
            if document.value["kind"] == kind:
                used |= set(fields_in(document.value, kind, known))
    assert known - used == set(), f"fields of {kind} that tests/golden/repository does not use"


def _is_of_job(field: str) -> bool:
    """What stands below these is the same in a Job, where all of it is used; it is no part of a digest."""
    kind, *parts = field.split(".")
    return kind == "Workflow" and bool({"resources", "retries", "results"} & set(parts[:-1]))


if __name__ == "__main__":
    DIGESTS.write_text("".join(f"{what} {digest}\n" for what, digest in sorted(digests_of(golden()).items())))
