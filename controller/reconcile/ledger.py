"""The ledger of ends in a pass: read from the branch where it is not known, kept in the journal, written to the branch.

Nothing is written before a pass acts. What follows from an entry is decided in ``planning/recall.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from controller.model.conditions import TERMINAL, ResourceStatus
from controller.model.ledger import End, end_of, merged
from controller.model.resources import Desired
from controller.model.runs import RunRecord
from controller.planning.history import latest_by_task
from controller.planning.recall import published_ends
from controller.repository.ledgerfiles import LedgerFiles, LedgerRead, ledger_tree
from controller.repository.mirror import Mirror
from controller.store.journal import Journal

_TREE = "ledger_tree"
"""The journal's fact that names the tree of the ledger of which all is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What a pass knows of ends: what it has read of the branch, and the tree that this was."""

    read: LedgerRead
    tree: str


def read_ledger(mirror: Mirror, branch: str, journal: Journal) -> Ledger:
    """Read what the journal does not know of the branch's ledger.

    Raises:
        StalledError: a later version wrote it (``LedgerTooNew``).
        TransientError: the mirror is damaged.
    """
    tip = mirror.tip(branch)
    with mirror.reading():
        tree = ledger_tree(mirror, tip)
        if tree and tree == journal.fact(_TREE):
            return Ledger(read=LedgerRead(), tree=tree)
        return Ledger(read=LedgerFiles(mirror, tip).read(journal.ends.parts()), tree=tree)


def ends_for(
    desired: Desired, records: Mapping[str, RunRecord], ledger: Ledger, journal: Journal
) -> tuple[tuple[End, ...], Mapping[str, str]]:
    """Return the ends of jobs and at digests of which no record says an end, and which shards are damaged."""
    latest = latest_by_task(records.values())
    jobs, digests = set[str](), set[str]()
    for job in desired.jobs.values():
        for task in job.tasks:
            record = latest.get((task.job, task.key, task.digest))
            if record is None or record.state not in TERMINAL:
                jobs |= {task.job, *(place.job for place in task.earlier)}
                digests |= {task.digest, *(place.digest for place in task.earlier)}
    if not digests:
        return (), ledger.read.damaged
    read = [end for end in ledger.read.ends if end.run.job in jobs or end.run.digest in digests]
    return tuple(merged([*journal.ends.of(jobs, digests), *read]).values()), ledger.read.damaged


def keep(ledger: Ledger, journal: Journal) -> None:
    """Write what was read into the journal."""
    read = ledger.read
    if journal.fact(_TREE) == ledger.tree:
        return
    journal.ends.save_parts({path: (part.blob, list(part.ends)) for path, part in read.parts.items()}, there=read.paths)
    healthy = all(part.whole and not part.changed for part in read.parts.values())
    journal.save_fact(_TREE, ledger.tree if healthy else "")


def add_ends(
    journal: Journal,
    changed: Iterable[RunRecord],
    published: Mapping[str, ResourceStatus],
    *,
    instance: str,
) -> None:
    """Enter into the journal's ledger the runs that have ended: those not in it, and what is only in the statuses."""
    ended = [*changed, *journal.runs_of(sorted(journal.ends.missing(instance)))]
    found = [end for record in ended if (end := end_of(record, instance=instance))]
    told = [replace(end, instance=end.instance or instance) for end in published_ends(published)]
    known = {(end.instance, end.run.id) for end in journal.ends.of({end.run.job for end in told}, ())}
    journal.ends.add([*(end for end in told if (end.instance, end.run.id) not in known), *found])


def writer(mirror: Mirror, journal: Journal, *, accept: bool) -> Callable[[str | None], Mapping[str, bytes]]:
    """Return what makes the ledger's files on top of a commit of the status branch.

    With ``accept`` a part of which nothing more can be found counts as it is: a person has approved that.
    """
    ends, known = journal.ends.unpublished(), journal.ends.parts()
    settled = journal.fact(_TREE)

    def added(tip: str | None) -> Mapping[str, bytes]:
        with mirror.reading():
            if not ends and settled and ledger_tree(mirror, tip) == settled:
                return {}
            return LedgerFiles(mirror, tip).with_ends(ends, known, accept=accept)

    return added
