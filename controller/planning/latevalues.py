"""Look-ups that wait for a run: its directory, its metrics, and the table of a whole sweep, filled in at last."""

from __future__ import annotations

import csv
import io
import re
import shlex
from dataclasses import replace

from controller.model.observed import ClusterObservation
from controller.model.plans import PlannedRun
from controller.model.resources import Job, LateValue, Task
from controller.model.runs import Run, RunRecord
from controller.model.sites import cluster_in, root_of
from controller.model.texts import table_cell
from controller.planning.draft import Draft
from controller.planning.results import unread
from controller.planning.verdicts import Wait


def filled(draft: Draft, run: Run, task: Task) -> PlannedRun | Wait:
    """Return the run with its task's late look-ups filled in, or what is missing for one.

    Everything that the task needs has succeeded already. In the command a value is quoted for the shell.
    """
    tables: dict[str, str] = {}
    if not task.late:
        return PlannedRun(run=run, task=task, tables=tables)
    values: dict[str, str] = {}
    for late in task.late:
        value = _value(draft, run, late, tables)
        if isinstance(value, Wait):
            return value
        values[late.text] = value
    # In one go: a value, which may be what some run has written, is never looked into.
    lookup = re.compile("|".join(map(re.escape, values)))
    command = lookup.sub(lambda match: shlex.quote(values[match[0]]), task.command)
    env = {name: lookup.sub(lambda match: values[match[0]], text) for name, text in task.env.items()}
    return PlannedRun(run=run, task=replace(task, command=command, env=env), tables=tables)


def _value(draft: Draft, run: Run, late: LateValue, tables: dict[str, str]) -> str | Wait:
    upstream = draft.desired.jobs[late.job]
    if late.what == "table":
        path = f"needs/{late.job}.csv"
        records = [draft.runs_of(task)[-1] for task in upstream.tasks]
        # A table across clusters is for its metrics: its spec says so.
        away = [wait for each in records if (wait := _out_of_reach(draft, each, upstream.cluster)) is not None]
        tables[path] = table_of(draft, upstream)
        return away[0] if away and upstream.cluster == run.cluster else path
    record = draft.runs_of(upstream.tasks[0])[-1]
    if late.what == "run_dir":
        if (wait := _out_of_reach(draft, record, run.cluster)) is not None:
            return wait
        return record.run_dir or Wait("NeedUnknown", f"it is not known where {record.id} ran", stalled=True)
    name = late.what.removeprefix("results.")
    if name in record.results:
        return record.results[name]
    fault = record.result_faults.get(name, "")
    if name in unread(record.result_faults):
        return Wait("ResultUnread", f"the result {name} of {record.id} is read in a later pass: {fault}")
    if fault:
        again = f"then run it again: controller rerun {record.run.task_id}"
        return Wait("ResultMissing", f"{record.id} succeeded without the result {name}: {fault}; {again}", stalled=True)
    metric = upstream.results.metrics.get(name)
    where = f"{metric.file} at {metric.path!r}" if metric else "its results"
    return Wait("ResultMissing", f"{record.id} succeeded without the result {name} ({where})", stalled=True)


def _out_of_reach(draft: Draft, record: RunRecord, cluster: str) -> Wait | None:
    """Return why what runs on a cluster cannot be given the directory of a run; None where it can."""
    if record.run_dir is None:
        return None
    where, again = record.where, f"run it again where it is needed: controller rerun {record.run.task_id}"
    if where != cluster and cluster_in(where) != cluster:
        return Wait(
            "NeedElsewhere",
            f"{record.id} ran on cluster {record.run.cluster}, in {record.run_dir}, which cluster {cluster} does not "
            f"have. Look its results up instead of its directory, or {again}",
            stalled=True,
        )
    seen = draft.observed.clusters.get(where)
    if seen is None and where == cluster:
        return None
    if seen is not None and seen.facts is not None and seen.facts.root == root_of(record.run_dir):
        return _purged(record, seen)
    why = seen.error if seen is not None and seen.error else "it is in another work directory, which was not looked at"
    return Wait(
        "OutputsUnseen",
        f"the directory of {record.id} cannot be seen: {why}. If it is in the work directory of now, say so: "
        f"controller move --carry {cluster}; otherwise {again}",
        stalled=True,
    )


def _purged(record: RunRecord, seen: ClusterObservation) -> Wait | None:
    """Return why the directory of a run cannot be handed on though its work directory is there; None where it can."""
    if "gone" in seen.faults:
        fault = seen.faults["gone"]
        return Wait("OutputsUnseen", f"whether the directory of {record.id} is there could not be seen: {fault}")
    if record.run_dir not in (seen.gone or ()):
        return None
    return Wait(
        "OutputsGone",
        f"{record.id} succeeded, and its directory {record.run_dir} is gone (purged?). Put it back from a "
        f"backup, or make it again: controller rerun {record.run.task_id}",
        stalled=True,
    )


def table_of(draft: Draft, job: Job) -> str:
    """Return a CSV with a line for each task of a job: task, run_dir, its matrix values, its metrics."""
    axes = list(job.tasks[0].point)
    metrics = list(job.results.metrics)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["task", "run_dir", *axes, *metrics])
    for task in job.tasks:
        record = draft.runs_of(task)[-1]
        values = [task.point.get(axis, "") for axis in axes]
        found = [record.results.get(name, "") for name in metrics]
        writer.writerow([task.id, record.run_dir or "", *map(table_cell, (*values, *found))])
    return text.getvalue()
