"""Runs begun under an earlier name, or an earlier recipe of digests, as runs of the tasks that they count for.

On the cluster a run keeps for ever what it was begun under, and the journal keeps that beside what it counts for: so
a rename that is taken back finds it again, and one whose ``was`` is taken out later is not forgotten. Must not plan or
judge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

from controller.model.conditions import ResourceStatus
from controller.model.resources import Desired, Place
from controller.model.runs import Run, RunRecord, place_of

WAS = "was.{}"
"""Name of the detail of a status that holds the names that a job had earlier, newest first."""

_SLASHES = 4
"""In what a run's directory ends in: ``<instance>/runs/<job>/<task>/<attempt>``."""


class Carried:
    """What runs count for in a commit. ``told`` maps ids of runs to what they are published as counting for."""

    def __init__(self, desired: Desired, told: Mapping[str, Place] | None = None) -> None:
        self._desired = desired
        self._told = told or {}
        self._places: dict[Place, Place] = {}
        self._keys: dict[tuple[str, str], tuple[str, str]] = {}
        self._jobs: dict[str, str] = {}
        for job in desired.jobs.values():
            self._jobs.update(dict.fromkeys(job.was, job.name))
            for task in job.tasks:
                for place in task.earlier:
                    self._places[place] = Place(job.name, task.key, task.digest)
                    self._keys[place.job, place.key] = (job.name, task.key)

    def run(self, run: Run) -> Run:
        """Return a run as one of the task that it counts for."""
        begun, last = run.place, Place(run.job, run.key, run.digest)
        told = self._told.get(run.id, last) if self._told else last
        if not self._jobs and not self._places and begun == last == told:
            return run
        place = self._counts_for(begun, told if begun == last else last)
        return run if place == last else run.counting_for(place)

    def records(self, records: Mapping[str, RunRecord]) -> dict[str, RunRecord]:
        """Return records by id, each with its run as one of the task that it counts for."""
        found = {}
        for key, record in records.items():
            run = self.run(record.run)
            found[key] = record if run is record.run else replace(record, run=run)
        return found

    @cached_property
    def _wanted(self) -> frozenset[Place]:
        jobs = self._desired.jobs.values()
        return frozenset(Place(job.name, task.key, task.digest) for job in jobs for task in job.tasks)

    def _counts_for(self, begun: Place, last: Place) -> Place:
        """Return what a run that was begun at one place, and counted for another one lately, counts for now."""
        if begun in self._wanted:
            return begun
        found = self._places.get(begun) or self._places.get(last)
        if found is not None:
            return found
        if last in self._wanted:
            return last
        # At a digest that nobody asks for any more: it is what the task of its name had before.
        for job, key, _ in (begun, last):
            if job not in self._desired.jobs and (named := self._named(job, key)) is not None:
                return Place(*named, begun.digest)
        return begun if begun.job in self._desired.jobs or last.job not in self._desired.jobs else last

    def _named(self, job: str, key: str) -> tuple[str, str] | None:
        named = self._keys.get((job, key))
        return named or ((self._jobs[job], key) if job in self._jobs else None)


def names_in(status: ResourceStatus) -> list[str]:
    """Return the names that a Job or a Workflow had, as its status says."""
    found: dict[str, None] = {}
    for detail, said in status.details.items():
        if detail.startswith(WAS.format("")):
            found |= {name.partition(".")[0]: None for name in said.split(", ")}
    return [name for name in found if name != status.name]


def told_in(published: Mapping[str, ResourceStatus]) -> dict[str, Place]:
    """Return what runs are published as counting for, by their ids."""
    found = {}
    for status in published.values():
        for entry in status.tasks:
            if entry.digest and (run := run_in(entry.run_dir)):
                job, key = place_in(status, entry.id)
                found[run] = Place(job, key, entry.digest)
    return found


def run_in(run_dir: str | None) -> str:
    """Return the id of the run that a published directory is of, "" where there is none."""
    return place_of(run_dir)[1] if run_dir and run_dir.count("/") >= _SLASHES else ""


def place_in(status: ResourceStatus, task_id: str) -> tuple[str, str]:
    """Return job and key of a task of a published resource: ``bands/relax/lr=0.1`` is ``bands.relax``, ``lr=0.1``."""
    rest = task_id.removeprefix(status.name).removeprefix("/")
    if status.kind != "Workflow":
        return status.name, rest
    step, _, key = rest.partition("/")
    return f"{status.name}.{step}", key
