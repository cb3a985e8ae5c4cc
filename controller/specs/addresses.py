"""What a person types, such as ``train/lr=0.1`` or ``bands/relax``, to the document that it names.

Looks at the documents themselves, so that a job whose spec is not valid can be found as well. Must not decide what is
done with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from controller.model.resources import Desired
from controller.specs.discovery import fault_of_name, spec_files
from controller.specs.keys import meant_key
from controller.specs.nearest import did_you_mean
from controller.specs.requests import Subject
from controller.specs.tree import Tree
from controller.specs.yaml_loader import MAX_BYTES, Path, load

_KINDS = ("Job", "Workflow")
_MOST_NEAR = 2000


class NotFoundError(Exception):
    """There is nothing of that name, or more than one thing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A job, a step or a task, and where it stands: path below the tree, document from 0, line from 1."""

    kind: str
    name: str
    subject: Subject
    path: str
    data: bytes
    number: int
    line: int
    step_lines: Mapping[str, int]

    @property
    def title(self) -> str:
        """What is meant, for a sentence: ``job train``, ``step bands/relax``, ``task train/lr=0.1``."""
        parts = [part for part in (self.name, self.subject.step, self.subject.key) if part]
        what = "task" if self.subject.key else "step" if self.subject.step else self.kind.lower()
        return f"{what} {'/'.join(parts)}"


def find(tree: Tree, desired: Desired, wanted: str) -> Address:
    """Return what ``[Kind/]NAME[/STEP][/TASK]`` names in a commit; ``desired`` is the same commit compiled.

    Raises:
        NotFoundError: the message has the nearest name there is.
    """
    kind, name, rest = _parts(wanted)
    found = [each for each in _documents(tree, name) if kind in (None, each.kind)]
    if not found:
        for key in (f"{each}/{name}" for each in _KINDS if kind in (None, each)):
            if (problem := next((each for each in desired.problems if each.resource == key), None)) is not None:
                raise NotFoundError(f"{key} cannot be changed: {problem.headline()}; {problem.remedy}")
        known = {key.partition("/")[2] for key in desired.broken if key.startswith(_KINDS)}
        known |= {job for job, each in desired.jobs.items() if each.workflow is None} | set(desired.workflows)
        raise NotFoundError(f'there is no job or workflow "{name}"{did_you_mean(name, sorted(known))}')
    if len(found) > 1:
        places = " and ".join(f"{each.kind}/{name} in {each.path}:{each.line}" for each in found[:3])
        remedy = "say which, by its kind" if len({each.kind for each in found}) > 1 else "rename or remove one of them"
        raise NotFoundError(f'"{name}" is there more than once: {places}; {remedy}')
    return _inside(found[0], rest, desired)


def _parts(wanted: str) -> tuple[str | None, str, list[str]]:
    first, *rest = wanted.strip("/").split("/")
    if first in _KINDS and rest:
        return first, rest[0], rest[1:]
    return None, first, rest


def _documents(tree: Tree, name: str) -> Iterator[Address]:
    candidates, _ = spec_files(tree, tree.entries())
    for entry in candidates:
        if fault_of_name(entry.path):
            continue
        data = tree.read(entry.oid, limit=MAX_BYTES + 1)
        if name.encode() not in data:
            continue
        for number, document in enumerate(load(data).documents):
            value = document.value
            if isinstance(value, dict) and value.get("name") == name and value.get("kind") in _KINDS:
                yield Address(
                    kind=value["kind"],
                    name=name,
                    subject=Subject(document=value),
                    path=entry.path,
                    data=data,
                    number=number,
                    line=document.keys.get(("kind",), (document.line, 1))[0],
                    step_lines={str(key[1]): at[0] for key, at in document.keys.items() if _is_step(key)},
                )


def _is_step(path: Path) -> bool:
    return len(path) == 2 and path[0] == "steps"


def _inside(whole: Address, rest: list[str], desired: Desired) -> Address:
    document, step = whole.subject.document, None
    if whole.kind == "Workflow" and rest:
        step, *rest = rest
        steps = document.get("steps")
        known = [name for name, own in steps.items() if isinstance(own, dict)] if isinstance(steps, dict) else []
        if step not in known:
            raise NotFoundError(f'workflow {whole.name} has no step "{step}"{did_you_mean(step, known)}')
    job = desired.jobs.get(whole.name if step is None else f"{whole.name}.{step}")
    keys = [task.key for task in job.tasks] if job is not None else []
    key = meant_key("/".join(rest), keys)
    label = whole.name if step is None else f"{whole.name}/{step}"
    if key and job is None:
        raise NotFoundError(f"the spec of {label} is not valid at present, so its tasks are not known: {whole.path}")
    if key and keys == [""]:
        raise NotFoundError(f"{label} has no matrix, so it has no task but itself: name it {label}")
    if key and key not in keys:
        near = did_you_mean(key, islice(keys, _MOST_NEAR)) or f'; they are like "{keys[0]}"'
        raise NotFoundError(f'{label} has no task "{key}"{near}')
    subject = Subject(document=document, step=step, key=key, keys=keys)
    line = whole.line if step is None else whole.step_lines.get(step, whole.line)
    return replace(whole, subject=subject, line=line)
