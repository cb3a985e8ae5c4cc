"""What an edit of a spec comes to, told by comparing the desired states before and after it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from controller.model.problems import Problem
from controller.model.resources import Desired, Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """``again`` are the ids of tasks with a new digest; ``problems`` those that were not there before."""

    again: tuple[str, ...]
    problems: tuple[Problem, ...]


def effect_of(before: Desired, after: Desired) -> Effect:
    """Return what changes from one desired state to the next."""
    known = {_as_said(problem) for problem in before.problems}
    digests = {task.id: task.digest for job in before.jobs.values() for task in job.tasks}
    return Effect(
        again=tuple(
            task.id for job in after.jobs.values() for task in job.tasks if digests.get(task.id) != task.digest
        ),
        problems=tuple(problem for problem in after.problems if _as_said(problem) not in known),
    )


def jobs_of(desired: Desired, kind: str, name: str, step: str | None) -> list[Job]:
    """Return the jobs that a job's, a workflow's or a step's name stands for."""
    names: Iterable[str] = [name if step is None else f"{name}.{step}"]
    if kind == "Workflow" and step is None:
        workflow = desired.workflows.get(name)
        names = workflow.steps if workflow is not None else ()
    return [desired.jobs[each] for each in names if each in desired.jobs]


def _as_said(problem: Problem) -> tuple[str, str, str]:
    """Without the line, which an edit moves."""
    return problem.path, problem.resource, problem.message
