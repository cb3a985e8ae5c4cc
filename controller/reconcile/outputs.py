"""Which directories of runs a look asks for: those that what is due is to be given, which may have been purged."""

from __future__ import annotations

from controller.model.conditions import ACTIVE, TaskState
from controller.model.observed import Observed
from controller.model.resources import Desired
from controller.model.runs import RunRecord
from controller.planning.history import History, latest_by_task
from controller.planning.recall import recalled


def directories_of(desired: Desired, history: History) -> dict[str, tuple[str, ...]]:
    """Return place (a cluster or a site) -> ``RUN PATH`` of each run whose directory a task is due to be given.

    ``history`` is what is known before the look: records, and what ledger and statuses tell.
    """
    records = {**history.runs, **recalled(desired, Observed(engine=None), history)}
    latest = latest_by_task(records.values())
    found: dict[str, dict[str, None]] = {}
    for job in desired.jobs.values():
        needed = {late.job for task in job.tasks[:1] for late in task.late if late.what in ("run_dir", "table")}
        if not needed or all(_has_begun(latest.get((job.name, task.key, task.digest))) for task in job.tasks):
            continue
        for name in needed & desired.jobs.keys():
            for task in desired.jobs[name].tasks:
                record = latest.get((name, task.key, task.digest))
                if record is not None and record.state is TaskState.SUCCEEDED and record.run_dir is not None:
                    found.setdefault(record.where, {})[f"{record.id} {record.run_dir}"] = None
    return {where: tuple(paths) for where, paths in found.items()}


def _has_begun(record: RunRecord | None) -> bool:
    return record is not None and (record.state in ACTIVE or record.state is TaskState.SUCCEEDED)
