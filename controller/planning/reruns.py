"""The brake on running again: work that is known to have succeeded, and would now run once more in great number.

It catches what no record can: an edited comment in a script that many jobs share, a bad merge, a fork. What runs, and
would be cancelled to run again, counts too, and goes on while that is held. What a person asked for by name (``rerun``)
is no part of it, nor what a schedule begins. What differs is said as far as the commits are at hand at which the runs
of before were submitted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from controller.model.conditions import TaskState
from controller.model.digests import short
from controller.model.plans import Hold
from controller.model.resources import Desired, Job, Task
from controller.model.runs import Run, RunRecord
from controller.planning.brakes import TRAILER
from controller.planning.carried import Carried
from controller.planning.draft import Draft
from controller.planning.history import History
from controller.planning.recall import published_ends
from controller.planning.verdicts import Wait

MASS_RERUN = "MassRerun"
_MOST_COMMITS = 20
"""Commits of before that are read at most, to say what differs."""
_MOST_JOBS = 5
_MOST_FILES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """A run of before, whose work a task would do again. ``instance`` is "" for one of our own."""

    run: Run
    took_s: float = 0.0
    instance: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """A task that would run again."""

    job: Job
    task: Task
    earlier: Earlier
    succeeded: bool = False
    counted: bool = True
    """Whether it has succeeded, is running, or was held already; else it is held along with others of its job only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brake:
    """What the brake on running again found: what is held, commits to be read before it can say why, jobs let go."""

    holds: tuple[Hold, ...] = ()
    unread: tuple[str, ...] = ()
    let_go: Mapping[str, str] | None = None


def hold_reruns(draft: Draft, replaced: Mapping[str, Sequence[RunRecord]]) -> Brake:
    """Keep tasks from running again that are more than the limits allow; note what an approval lets go.

    ``replaced`` maps a task's id to the active runs that would be cancelled for it.
    """
    limits, history = draft.history.rerun_limits, draft.history
    due = [(job, task) for job in draft.desired.jobs.values() for task in _unknown_of(draft, job)]
    if len(due) <= limits.tasks:
        return Brake()
    known = _Successes(draft)
    both = [again for job, task in due if (again := _again(draft, known, job, task, replaced)) is not None]
    found = [each for each in both if each.counted]
    total = known.count() + sum(not known.at(each.task) for each in found)
    if not limits.exceeded(len(found), total):
        return Brake()
    if history.approved:
        return Brake(let_go={each.job.name: each.job.version for each in _with_others(draft, found, both)})
    commits = dict.fromkeys(each.earlier.run.commit for each in (*found, *both) if each.earlier.run.commit)
    unread = [commit for commit in list(commits)[:_MOST_COMMITS] if commit not in history.then]
    both = [each for each in both if not _asked_for(draft, each)]
    found = [each for each in both if each.counted]
    if not limits.exceeded(len(found), total):
        return Brake(unread=tuple(unread))
    kept = _with_others(draft, found, both)
    total += sum(not each.counted and not known.at(each.task) for each in kept)
    runs = [record.id for each in kept for record in replaced.get(each.task.id, ())]
    message = _message(draft, kept, total, going_on=len(runs))
    draft.held |= {each.task.id: Wait(MASS_RERUN, message, stalled=True) for each in kept}
    hold = Hold(reason=MASS_RERUN, message=message, subjects=(*(each.task.id for each in kept), *runs))
    return Brake(holds=(hold,), unread=tuple(unread))


def _again(
    draft: Draft, known: _Successes, job: Job, task: Task, replaced: Mapping[str, Sequence[RunRecord]]
) -> Again | None:
    """Return what a task would do again; None for one that is new."""
    success = known.of(task)
    if success is not None:
        return Again(job=job, task=task, earlier=success, succeeded=True)
    going = replaced.get(task.id, ())
    running = next((each for each in going if each.state is TaskState.RUNNING or each.started is not None), None)
    if running is not None:
        return Again(job=job, task=task, earlier=Earlier(run=running.run))
    before = [*going, *draft.before.get((task.job, task.key), ())]
    if not before:
        return None
    # What failed while it was held still counts: else the rest would begin by that.
    return Again(job=job, task=task, earlier=Earlier(run=before[0].run), counted=(task.id, task.digest) in known.held)


def _held_before(history: History) -> frozenset[tuple[str, str]]:
    """Return id and digest of the tasks that this brake held in the last pass."""
    told = {**history.published, **history.statuses}
    return frozenset((e.id, e.digest) for status in told.values() for e in status.tasks if e.reason == MASS_RERUN)


def _with_others(draft: Draft, found: Sequence[Again], both: Sequence[Again]) -> list[Again]:
    """Return what is held with ``found``: all that is changed of these jobs, and of what needs them."""
    names = {each.job.name for each in found}
    needing: dict[str, list[str]] = {}
    for job in draft.desired.jobs.values():
        for name in job.needs:
            needing.setdefault(name, []).append(job.name)
    left = list(names)
    while left:
        more = [name for name in needing.get(left.pop(), ()) if name not in names]
        names.update(more)
        left += more
    return [each for each in both if each.counted or each.job.name in names]


def _unknown_of(draft: Draft, job: Job) -> Iterator[Task]:
    """Yield the tasks of a job of which no run is known as they are now, and that nothing else keeps from running."""
    if job.schedule is not None or job.suspend or draft.history.let_go.get(job.name) == job.version:
        return
    for task in job.tasks:
        if not task.suspended and not draft.runs_of(task):
            yield task


class _Successes:
    """What has succeeded: in the records, in the ledger, in the statuses."""

    def __init__(self, draft: Draft) -> None:
        self._tasks = draft.tasks
        self._by_task: dict[tuple[str, str], Earlier] = {}
        self._by_digest: dict[str, Earlier] = {}
        history, carried = draft.history, Carried(draft.desired)
        self.held = _held_before(history)
        for record in history.runs.values():
            if record.state is TaskState.SUCCEEDED:
                self._add(Earlier(run=record.run, took_s=_took(record.started, record.ended)))
        for end in (*history.ends, *published_ends(history.published)):
            if end.state is TaskState.SUCCEEDED:
                other = end.instance if end.instance not in ("", history.instance) else ""
                self._add(
                    Earlier(run=carried.run(end.run), took_s=_took(end.started, end.ended), instance=other),
                )

    def _add(self, success: Earlier) -> None:
        run = success.run
        self._by_task[run.job, run.key] = success
        # What is there under two names at once was copied on purpose: only what went away counts as the same work.
        if success.instance or (run.job, run.key) not in self._tasks:
            self._by_digest[run.digest] = success

    def of(self, task: Task) -> Earlier | None:
        """Return what a task would do again."""
        return self._by_task.get((task.job, task.key)) or self._by_digest.get(task.digest)

    def at(self, task: Task) -> bool:
        """Whether a task of that name has succeeded."""
        return (task.job, task.key) in self._by_task

    def count(self) -> int:
        """Return how many of the tasks that are asked for have succeeded, as they are now or were."""
        return sum(place in self._tasks for place in self._by_task)


def _took(started: float | None, ended: float | None) -> float:
    return max(0.0, ended - started) if started is not None and ended is not None else 0.0


def _asked_for(draft: Draft, again: Again) -> bool:
    """Whether a person has asked by name that the task, or what it needs, runs again."""
    then = draft.history.then.get(again.earlier.run.commit)
    if then is None:
        return False
    before = _task_then(then, again)
    if before is not None and before.rerun != again.task.rerun:
        return True
    return any(_need_asked_for(draft, then, name) for name in again.job.needs)


def _need_asked_for(draft: Draft, then: Desired, name: str) -> bool:
    before, now = then.jobs.get(name), draft.desired.jobs.get(name)
    if before is None or now is None:
        return False
    words = {task.key: task.rerun for task in before.tasks}
    if any(words.get(task.key, task.rerun) != task.rerun for task in now.tasks):
        return True
    return any(_need_asked_for(draft, then, each) for each in now.needs)


def _task_then(then: Desired, again: Again) -> Task | None:
    place = again.earlier.run.place
    job = then.jobs.get(place.job)
    return next((task for task in job.tasks if task.key == place.key), None) if job is not None else None


def _message(draft: Draft, found: Sequence[Again], total: int, *, going_on: int) -> str:
    by_job: dict[str, list[Again]] = {}
    for each in found:
        by_job.setdefault(each.job.name, []).append(each)
    told = [f"{name} ({len(some)}): {_why(draft, some[0])}" for name, some in list(by_job.items())[:_MOST_JOBS]]
    more = f"; and {len(by_job) - _MOST_JOBS} more jobs" if len(by_job) > _MOST_JOBS else ""
    hours = sum(each.earlier.took_s for each in found) / 3600
    took = f" Those runs took {hours:.1f} h." if hours >= 0.1 else ""
    done = "have succeeded" if all(each.succeeded for each in found) else "have succeeded or run"
    active = f" Their active runs ({going_on}) go on until then." if going_on else ""
    return (
        f"commit {short(draft.desired.commit)} would run {len(found)} tasks again, of {total} that {done}: "
        f"{'; '.join(told)}{more}.{took} To let them run: controller approve, or a commit with the trailer "
        f"'{TRAILER}: yes'.{active} To keep what there is, revert the change"
    )


def _why(draft: Draft, again: Again) -> str:
    """Return what differs between a task and the run of before."""
    earlier, task = again.earlier, again.task
    if earlier.run.digest == task.digest:
        whose = f"instance {earlier.instance}" if earlier.instance else f"{earlier.run.task_id}, which is gone,"
        return f"{whose} has done the same ({short(task.digest)})"
    digests = f"digest {short(earlier.run.digest)}, now {short(task.digest)}"
    then = draft.history.then.get(earlier.run.commit)
    before = _task_then(then, again) if then is not None else None
    if then is None or before is None:
        return f"{digests}; the commit of before ({short(earlier.run.commit)}) cannot be read"
    said = list(_differences(draft.desired, then, again, before))
    return f"{'; '.join(said) or 'how digests are made'} ({digests})"


def _differences(now: Desired, then: Desired, again: Again, before: Task) -> Iterator[str]:
    job, was = again.job, then.jobs[again.earlier.run.place.job]
    if before.command != again.task.command:
        yield "its command differs"
    names = [
        name for name in sorted({*before.env, *again.task.env}) if before.env.get(name) != again.task.env.get(name)
    ]
    if names:
        yield f"its env differs ({_some(names)})"
    if changed := _changed_files(was, job):
        yield f"files differ ({_some(changed)})"
    if _identity(then, was) != _identity(now, job):
        yield f"its image {job.image or was.image} differs"
    if was.binds != job.binds:
        yield "its binds differ"
    if was.shell != job.shell:
        yield "its shell differs"
    needs = [name for name in job.needs if _digests(then, name) != _digests(now, name)]
    if needs or was.needs != job.needs:
        yield f"what it needs differs ({_some(needs or list(job.needs or was.needs))})"


def _changed_files(was: Job, now: Job) -> list[str]:
    sets = [{each.path: (each.mode, each.oid) for each in job.files.entries} if job.files else {} for job in (was, now)]
    return sorted(path for path in {*sets[0], *sets[1]} if sets[0].get(path) != sets[1].get(path))


def _identity(desired: Desired, job: Job) -> str:
    return desired.images[job.image].identity if job.image and job.image in desired.images else ""


def _digests(desired: Desired, name: str) -> list[str]:
    return [task.digest for task in desired.jobs[name].tasks] if name in desired.jobs else []


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_FILES} more" if len(names) > _MOST_FILES else ""
    return ", ".join(names[:_MOST_FILES]) + more
