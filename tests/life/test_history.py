"""The branch is forced or reverted: what has run counts, and what runs goes on until somebody approves its end."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.e2e.harness import wait_for
from tests.life.lab import Lab, Person

AT_WORK = {"done": "Succeeded", "long": "Running"}
ENDED = {"done": "Succeeded", "long": "Succeeded"}
ONCE = Counter(done=1, long=1)


@pytest.fixture
def ada(lab: Lab) -> Person:
    """Somebody whose one job has succeeded, while the other runs."""
    lab.commit(lab.specs(lab.quick("done"), lab.long("long")))
    person = lab.person("ada")
    person.passes_until(AT_WORK)
    return person


def finish(lab: Lab, person: Person, *, executed: Counter[str] = ONCE) -> None:
    """Let the long job end; nothing was cancelled, and a pass has nothing left to do."""
    lab.release()
    person.passes_until(ENDED)
    assert (lab.executions(), lab.cancelled()) == (executed, [])
    assert person.one_pass()["actions"] == []


def force(lab: Lab) -> None:
    """Push another history with the files that are there."""
    lab.git("checkout", "-q", "--orphan", "anew")
    lab.git("add", "-A")
    lab.git("commit", "-q", "--allow-empty", "-m", "Anew")
    lab.git("push", "-q", "-f", str(lab.repo), "HEAD:main")


@pytest.mark.parametrize("state", ["kept", "lost"])
def test_a_force_push_of_the_same_specs(lab: Lab, ada: Person, state: str) -> None:
    """Another history, the same work: nothing is held and nothing is done."""
    if state == "lost":
        ada.lose_state()
    force(lab)
    result = ada.one_pass()
    assert (result["actions"], result["held"]) == ([], [])
    finish(lab, ada)


@pytest.mark.parametrize("state", ["kept", "lost"])
def test_a_force_push_without_a_job_that_runs(lab: Lab, ada: Person, state: str) -> None:
    """It goes on: its end waits for an approval, and with the state lost none is planned. Put back, it counts."""
    if state == "lost":
        ada.lose_state()
    whole = lab.specs(lab.quick("done"), lab.long("long"))
    for name, text in lab.specs(lab.quick("done")).items():
        (lab.clone / name).write_text(text)
    force(lab)
    for _ in range(2):
        # With the old history gone nobody knows what its spec said of a removal: it is left alone.
        assert [each["reason"] for each in ada.one_pass()["held"]] == (["NotADescendant"] if state == "kept" else [])
    assert (lab.executions(), lab.cancelled(), lab.running()) == (ONCE, [], 1)
    lab.commit(whole)
    assert ada.one_pass()["held"] == []
    finish(lab, ada)


@pytest.mark.parametrize("state", ["kept", "lost"])
def test_a_change_and_its_revert(lab: Lab, ada: Person, state: str) -> None:
    """The runs of before count again, that of the job which has run in between and that which still runs."""
    finishing = lab.long("long", on_change="finish")
    lab.commit(lab.specs(lab.quick("done"), finishing))
    ada.one_pass()
    before = lab.git("rev-parse", "HEAD")
    lab.commit(lab.specs(lab.quick("done", env={"VERSION": "2"}), {**finishing, "env": {"VERSION": "2"}}))
    wait_for("the change has run", lambda: ada.one_pass() and ada.states()["done"] == "Succeeded", deadline_s=120)
    assert lab.executions() == ONCE + Counter(done=1)
    if state == "lost":
        ada.lose_state()
    lab.git("checkout", "-q", before, "--", ".")
    lab.commit({})
    ada.passes_until(AT_WORK)
    assert lab.running() == 1
    finish(lab, ada, executed=ONCE + Counter(done=1))
