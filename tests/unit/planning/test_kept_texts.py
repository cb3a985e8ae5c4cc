"""Text that a run sends is cut and masked where it comes in, whatever its size: the journal never holds more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.model.conditions import TaskState
from controller.model.ledger import end_of
from controller.model.observed import EventKind
from controller.model.texts import MOST_KEPT
from controller.planning.settle import Seen, settle
from tests.hostile_texts import HOSTILE, SECRETS
from tests.unit.planning.values import NOW, event, exited, record

SIXTY_MB = "x" * 60_000_000


@pytest.mark.parametrize("text", [*HOSTILE.values(), SIXTY_MB], ids=[*HOSTILE, "60 MB"])
@pytest.mark.parametrize("kind", [EventKind.EXITED, EventKind.STOPPED])
def test_what_a_run_printed_is_kept_in_a_few_kilobytes(text: str, kind: EventKind) -> None:
    run = record(state=TaskState.RUNNING, started=NOW - 60)
    told = exited(run, 3, stderr_tail=text) if kind is EventKind.EXITED else event(run, kind, stderr_tail=text)
    kept = settle(run, Seen(events=(told,)), now=NOW, grace_s=120.0)
    assert 0 < len(kept.stderr_tail) <= MOST_KEPT
    assert [secret for secret in SECRETS if secret in kept.stderr_tail] == []
    assert kept.stderr_tail.endswith(text[-5:]) or not text.isascii() or "secret" in text
    assert ("characters before this are cut" in kept.stderr_tail) == (len(text) > MOST_KEPT)


def test_an_entry_of_the_ledger_is_short() -> None:
    ended = replace(record(state=TaskState.FAILED), message=HOSTILE["secrets"] + SIXTY_MB, ended=NOW)
    end = end_of(ended, instance="i")
    assert end is not None
    said = end.message
    assert len(said) < 5_000
    assert [secret for secret in SECRETS if secret in said] == []
