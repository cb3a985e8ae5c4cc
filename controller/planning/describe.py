"""Plans in words: what each action does, why, and what it waits for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from controller.model.digests import short
from controller.model.plans import Action, BuildImage, CancelRun, Plan, PublishImage, StageFiles, SubmitBatch, TestImage
from controller.model.resources import task_id_of
from controller.planning.routes import in_words


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One action as a person reads it. ``after`` holds the numbers (from 1) of the steps that have to succeed first."""

    number: int
    key: str
    kind: str
    what: str
    why: str
    after: tuple[int, ...]


def steps_of(plan: Plan) -> list[Step]:
    """Return the plan's actions in an order in which they could run one after another."""
    actions = {action.key: action for action in plan.actions}
    ordered: dict[str, int] = {}

    def place(key: str) -> None:
        if key in ordered or key not in actions:
            return
        for need in plan.needs.get(key, ()):
            place(need)
        ordered[key] = len(ordered) + 1

    for key in actions:
        place(key)
    return [
        Step(
            number=number,
            key=key,
            kind=kind_of(actions[key]),
            what=title(actions[key]),
            why=actions[key].why,
            after=tuple(sorted(ordered[need] for need in plan.needs.get(key, ()) if need in ordered)),
        )
        for key, number in ordered.items()
    ]


def kind_of(action: Action) -> str:
    """Return the verb of an action: build, test, publish, stage, submit or cancel."""
    match action:
        case BuildImage():
            return "build"
        case TestImage():
            return "test"
        case PublishImage():
            return "publish"
        case StageFiles():
            return "stage"
        case SubmitBatch():
            return "submit"
        case CancelRun():
            return "cancel"
        case _:
            assert_never(action)


def title(action: Action) -> str:
    """Return what an action does, as the start of a sentence."""
    match action:
        case BuildImage():
            return f"build image {action.image.name} ({short(action.image.identity)})"
        case TestImage():
            return f"test image {action.image.name} ({short(action.image.identity)})"
        case PublishImage():
            return f"image {action.image.name}: {in_words(action.route, action.image, action.cluster)}"
        case StageFiles():
            return f"upload {len(action.files.entries)} files to cluster {action.cluster.name}"
        case SubmitBatch():
            count = len(action.runs)
            what = action.runs[0].run.id if count == 1 else f"{count} runs"
            return f"submit {task_id_of(action.job.name, '')} to cluster {action.cluster.name} ({what})"
        case CancelRun():
            job = f", job {action.record.job_id}" if action.record.job_id else ""
            return f"cancel run {action.record.id} on cluster {action.cluster.name}{job}"
        case _:
            assert_never(action)
