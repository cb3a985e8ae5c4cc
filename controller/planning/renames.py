"""New work that looks like renamed old work: the same digests under a name that is gone. Said, never acted on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from controller.model.conditions import ACTIVE, ResourceStatus, TaskState
from controller.model.resources import Desired, owner_of
from controller.model.runs import RunRecord
from controller.planning.carried import place_in


def hints(
    desired: Desired,
    runs: Iterable[RunRecord],
    published: Mapping[str, ResourceStatus],
    begun: Iterable[tuple[str, str]],
) -> tuple[str, ...]:
    """Return what to write so that results of jobs that are gone count for the new ones that ask for the same.

    ``begun`` are job and digest of the tasks that are about to run, or would if nothing held them.
    """
    records = list(runs)
    known = {record.run.job for record in records}
    asked = [(job, digest) for job, digest in begun if job not in known]
    if not asked:
        return ()
    gone: dict[tuple[bool, str], str] = {}
    for job, digest in _of_worth(records, published):
        if job not in desired.jobs and owner_of(job) not in desired.broken:
            gone[_is_step(job), digest] = job
    # A Job rather than a step, where both had it: the other cannot be taken over.
    found = ((job, gone.get((own := _is_step(job), digest)) or gone.get((not own, digest))) for job, digest in asked)
    same = Counter((new, old) for new, old in found if old is not None)
    return tuple(_hint(desired, new, old, count) for (new, old), count in sorted(same.items()))


def _of_worth(records: Iterable[RunRecord], published: Mapping[str, ResourceStatus]) -> Iterator[tuple[str, str]]:
    """Yield job and digest of what has succeeded or is under way."""
    for _, status in sorted(published.items()):
        for entry in status.tasks:
            if entry.state in ACTIVE or entry.state is TaskState.SUCCEEDED:
                yield place_in(status, entry.id)[0], entry.digest
    for record in sorted(records, key=lambda record: record.intended_at):
        if record.state in ACTIVE or record.state is TaskState.SUCCEEDED:
            yield record.run.job, record.run.digest


def _is_step(job: str) -> bool:
    return "." in job


def _hint(desired: Desired, new: str, old: str, count: int) -> str:
    job = desired.jobs[new]
    tasks = f"{count} of its {len(job.tasks)} tasks" if len(job.tasks) > 1 else "its task"
    flow, _, step = new.partition(".")
    was_flow, _, was_step = old.partition(".")
    where = f"{job.source.path}:{job.source.line}"
    if not step or not was_step:
        line = f"was: {old}" if not step and not was_step else ""
    elif flow == was_flow:
        line = f"was: {was_step}"
    else:
        line = f"was: {was_flow}"
        where = f"{job.source.path}, Workflow {flow}"
    had = f"{old.replace('.', '/')}, which is gone,"
    said = f"{new.replace('.', '/')} is new, and asks in {tasks} for the very thing that {had} has run or runs"
    remedy = f'if it was renamed, add "{line}" to it ({where})' if line else "a Job and a step cannot take over results"
    return f"{said}: it would run again; {remedy}"
