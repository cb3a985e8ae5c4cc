"""What earlier passes have left in the journal and on the status branch, as a pass asks for it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from controller.model.conditions import ResourceStatus
from controller.model.documents import from_document
from controller.planning.brakes import TRAILER
from controller.reconcile.schedules import Clockwork
from controller.repository.mirror import Mirror
from controller.store.journal import Journal

_LET_GO = "let_go"


def descends(commit: str, journal: Journal, mirror: Mirror, status_branch: str) -> bool:
    """Whether a commit follows on the last one applied; the status branch remembers it when the journal is lost."""
    last = journal.fact("commit")
    if last is None:
        tip = mirror.tip(status_branch)
        last = mirror.commit_info(tip).trailers.get("Spec-Commit") if tip else None
    return last is None or mirror.is_ancestor(last, commit)


def clockworks(journal: Journal) -> dict[str, Clockwork]:
    """Return the time that each scheduled job stood for."""
    known = json.loads(journal.fact("clockworks") or "{}")
    return {name: Clockwork(**value) for name, value in known.items()}


def earlier_statuses(journal: Journal) -> dict[str, ResourceStatus]:
    """Return what was said last of each resource, by ``Kind/name``, without its tasks."""
    return {key: from_document(json.loads(text)) for key, text in journal.statuses().items()}


def approved(trailers: Mapping[str, str]) -> bool:
    """Whether a commit's trailers approve what the brakes hold back."""
    return trailers.get(TRAILER, "").strip().lower() in ("yes", "true")


def let_go(journal: Journal) -> dict[str, str]:
    """Return which versions of jobs an approval has let run again; that lasts while a limit keeps some waiting."""
    found: dict[str, str] = json.loads(journal.fact(_LET_GO) or "{}")
    return found


def remember_let_go(journal: Journal, jobs: Mapping[str, str]) -> None:
    """Remember that of some more jobs."""
    known = let_go(journal)
    if known != {**known, **jobs}:
        journal.save_fact(_LET_GO, json.dumps({**known, **jobs}))
