"""What is to become of runs whose spec went away while the journal was lost: ``on_remove`` of the last spec.

And of runs that another instance follows since a split: the status branch knows them also when the journal does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from controller.model.conditions import ACTIVE
from controller.model.resources import Desired, OnRemove
from controller.model.runs import RunRecord
from controller.repository.committree import CommitTree


def with_on_remove(
    records: Mapping[str, RunRecord],
    desired: Desired,
    applied: str,
    tree_of: Callable[[str], CommitTree | None],
    load: Callable[[CommitTree], Desired],
) -> dict[str, RunRecord]:
    """Return the records, each active one of a job that is gone with what its spec said.

    It is read in the commit that was ``applied`` last, as the status branch knows it, else in the run's own commit.
    Where neither can be had it stays unknown, and the run is left alone.
    """
    read: dict[str, Desired | None] = {}

    def said(commit: str, job: str) -> OnRemove | None:
        if commit not in read:
            tree = tree_of(commit)
            read[commit] = None if tree is None else load(tree)
        then = read[commit]
        found = then.jobs.get(job) if then is not None else None
        return found.on_remove if found is not None else None

    known = dict(records)
    for key, record in records.items():
        if record.state not in ACTIVE or record.on_remove is not None or record.run.job in desired.jobs:
            continue
        for commit in filter(None, (applied, record.run.commit)):
            if (on_remove := said(commit, record.run.job)) is not None:
                known[key] = replace(record, on_remove=on_remove)
                break
    return known


def with_given(records: Mapping[str, RunRecord], given: Mapping[str, str]) -> dict[str, RunRecord]:
    """Return the records, each with the instance that follows its run from now on. ``given``: run -> instance."""
    known = dict(records)
    for key, instance in given.items():
        if key in known and not known[key].given:
            known[key] = replace(known[key], given=instance)
    return known


def given_in(records: Mapping[str, RunRecord]) -> dict[str, str]:
    """Return which runs that may be under way another instance follows."""
    return {key: record.given for key, record in records.items() if record.given and record.state in ACTIVE}
