"""What a person may ask of a job, a step or one of its tasks (suspend, resume, rerun), as fields of a spec.

A field of a step stands before the same field of its workflow, so what is asked of a workflow goes for all its steps.
Pure: which document is meant is found in ``addresses``, and it is written in ``edits``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controller.specs.edits import Value
from controller.specs.yaml_loader import Path

MOST_EXPANDED = 1000


class RequestRefused(Exception):
    """It cannot be asked like this; the message says what to ask instead."""


@dataclass(frozen=True, slots=True)
class FieldEdit:
    """One field to be set, or removed (None), in the mapping at ``where``."""

    where: Path
    name: str
    value: Value | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whom a request is about: a document, maybe one of its steps, maybe one task (``key``) of that.

    ``keys`` are the keys of all tasks of the job or step.
    """

    document: Mapping[str, Any]
    step: str | None = None
    key: str = ""
    keys: Sequence[str] = field(default=())

    @property
    def where(self) -> Path:
        """Where in the document the fields of the job or step stand."""
        return () if self.step is None else ("steps", self.step)

    @property
    def own(self) -> Mapping[str, Any]:
        """The fields of the job or step itself."""
        found: Mapping[str, Any] = self.document if self.step is None else self.document["steps"][self.step]
        return found

    def inherited(self, name: str) -> Any:
        """Return what the workflow says of a field, None where there is no workflow."""
        return None if self.step is None else self.document.get(name)

    def in_force(self, name: str) -> Any:
        """Return the value of a field that counts."""
        return self.own[name] if name in self.own else self.inherited(name)

    def steps_with(self, name: str) -> Iterator[tuple[Path, Any]]:
        """Yield the steps that have a field of their own, if a workflow as a whole is meant."""
        steps = self.document.get("steps") if self.step is None else None
        for step, own in steps.items() if isinstance(steps, dict) else ():
            if isinstance(own, dict) and name in own:
                yield ("steps", step), own[name]


def suspended(subject: Subject) -> list[FieldEdit]:
    """Return the edits after which nothing new of the subject is submitted; none if it is so already."""
    where, now = subject.where, subject.in_force("suspend")
    if now is True:
        return [] if subject.key else _off_in_steps(subject)
    if not subject.key:
        return [FieldEdit(where, "suspend", True), *_off_in_steps(subject)]
    listed = _listed(now)
    if subject.key in listed:
        return []
    return [FieldEdit(where, "suspend", [*listed, subject.key])]


def resumed(subject: Subject) -> list[FieldEdit]:
    """Return the edits after which the subject goes on; none if it does already.

    Raises:
        RequestRefused: one task is meant, and all of them are suspended together.
    """
    where, now = subject.where, subject.in_force("suspend")
    above = subject.inherited("suspend") is True
    if subject.key:
        if now is True:
            raise RequestRefused("all of its tasks are suspended together, so they can only be resumed together")
        left = [key for key in _listed(now) if key != subject.key]
        if subject.key not in _listed(now):
            return []
        return [FieldEdit(where, "suspend", left or (False if above else None))]
    steps = [FieldEdit(step, "suspend", None) for step, value in subject.steps_with("suspend") if value or now is True]
    if not now:
        return steps
    return [FieldEdit(where, "suspend", False if above else None), *steps]


def run_again(subject: Subject, word: str) -> list[FieldEdit]:
    """Return the edits after which the subject runs again; ``word`` is one that was not used for it before.

    Raises:
        RequestRefused: the tasks that are not meant would have to be written down, and there are too many.
    """
    where, now = subject.where, subject.in_force("rerun")
    if not subject.key:
        steps = [FieldEdit(step, "rerun", word) for step, _ in subject.steps_with("rerun")]
        return [FieldEdit(where, "rerun", word), *steps]
    by_task: dict[str, str | int] = {}
    if isinstance(now, dict):
        by_task = dict(now)
    elif now is not None:
        # The word that all of them have so far stays that of the others: only the one is to change.
        if len(subject.keys) > MOST_EXPANDED:
            raise RequestRefused(
                f"rerun: {now} holds for all its {len(subject.keys)} tasks, which would have to be written down one by"
                " one; rerun the whole job, or write the mapping by hand"
            )
        by_task = dict.fromkeys(subject.keys, now)
    return [FieldEdit(where, "rerun", {**by_task, subject.key: word})]


def words_used(subject: Subject) -> set[str]:
    """Return the words that ``rerun`` has for the subject now."""
    values = [subject.in_force("rerun"), *(value for _, value in subject.steps_with("rerun"))]
    inner = [each for value in values for each in (value.values() if isinstance(value, dict) else [value])]
    return {str(each) for each in inner}


def _off_in_steps(subject: Subject) -> list[FieldEdit]:
    return [FieldEdit(step, "suspend", None) for step, value in subject.steps_with("suspend") if value is not True]


def _listed(value: Any) -> list[str]:
    return [str(key) for key in value] if isinstance(value, list) else []
