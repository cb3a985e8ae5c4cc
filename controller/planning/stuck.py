"""Runs that go on only once a person does something: said as such, and otherwise left as they are.

Nothing is cancelled for it: the scheduler may be given what is missing, and a person may know better.
"""

from __future__ import annotations

from collections.abc import Mapping

from controller.model.conditions import TaskState
from controller.model.observed import ClusterObservation, Partition
from controller.model.resources import Resources
from controller.model.runs import RunRecord, place_of, tag_of
from controller.planning.verdicts import Wait, time_text

TOO_LARGE = "TooLarge"
"""Reason of a queued run that no node could ever take, as far as the partitions are known."""
_CHOOSES = ("-p", "--partition", "-C", "--constraint", "-w", "--nodelist", "-M", "--clusters", "--exclusive", "--mem")
"""Options by which ``extra`` may ask for something else than the fields of the spec say."""


def stuck(record: RunRecord, seen: ClusterObservation | None, *, now: float, grace_s: float) -> Wait | None:
    """Return why a run goes on only with a person's help; None while it may go on by itself."""
    if record.state is TaskState.SUBMITTING:
        since = record.unanswered_since
        long = since is not None and now - since >= 2 * grace_s and not record.lapsed
        return _unanswered(record, seen, since) if long else None
    if record.state is not TaskState.QUEUED:
        return None
    if record.needs_person:
        return Wait(record.reason, record.message, stalled=True)
    facts = seen.facts if seen is not None else None
    if record.asked is None or facts is None:
        return None
    beyond = beyond_any_node(record.asked, facts.partitions)
    if beyond is None:
        return None
    message = f"it can never start as asked: {beyond}. Ask for less, then run it again: controller rerun"
    return Wait(TOO_LARGE, f"{message} {record.run.task_id} (the scheduler says {record.reason})", stalled=True)


def beyond_any_node(asked: Resources, partitions: Mapping[str, Partition]) -> str | None:
    """Return what of a request no node of its partition has, in words; None where it fits, or is not known to."""
    if any(option.startswith(_CHOOSES) for option in asked.extra):
        return None
    names = asked.partition.split(",") if asked.partition else [""]
    there = [partitions.get(name) for name in names]
    faults = [_beyond(asked, each, name) for each, name in zip(there, names, strict=True) if each is not None]
    if len(faults) < len(names) or not all(faults):
        return None
    return "; ".join(fault for fault in faults if fault)


def _beyond(asked: Resources, there: Partition, name: str) -> str | None:
    where = f"partition {name}" if name else "the default partition"
    rows = (
        ("cpus", asked.cpus, there.cpus, "CPUs of a node"),
        ("memory", asked.memory_mib, there.memory_mib, "MiB of memory of a node"),
        ("nodes", asked.nodes, there.nodes, "nodes"),
        ("time", asked.walltime_s, there.walltime_s, "seconds"),
    )
    for field, wanted, most, what in rows:
        if wanted is not None and most and wanted > most:
            return f"{field}: {where} has {most} {what} at most, and {wanted} are asked for"
    if asked.gpus is not None and asked.gpus.count and there.gpus is not None:
        most = there.gpus.get(asked.gpus.type or "", 0)
        if asked.gpus.count > most:
            kind = f"GPUs of type {asked.gpus.type}" if asked.gpus.type else "GPUs"
            return f"gpus: {where} has {most} {kind} in a node at most, and {asked.gpus.count} are asked for"
    return None


def _unanswered(record: RunRecord, seen: ClusterObservation | None, since: float | None) -> Wait:
    said = f" ({record.submit_said})" if record.submit_said else ""
    name = tag_of(place_of(record.run_dir)[0], record.batch) if record.run_dir else ""
    look = f"; look with: {seen.find_job.replace('NAME', name)}" if seen is not None and seen.find_job and name else ""
    message = (
        f"not known since {time_text(since)} whether the job was submitted{said}{look}. A job that is found is taken "
        f"over. If there is none and this stays, run it again: controller rerun {record.run.task_id}"
    )
    return Wait("SubmitUnanswered", message, stalled=True)
