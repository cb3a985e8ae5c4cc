"""A spec that is removed while the state is lost: what it said of its runs still holds, or it is said why not."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.e2e.harness import condition, wait_for
from tests.life.lab import Lab, Person

BOTH = Counter(gone=1, kept=1)


@pytest.fixture
def ada(lab: Lab) -> Person:
    """Somebody with two jobs at work, of which one is to be left alone when its spec is removed."""
    lab.commit(lab.specs(lab.long("gone"), {**lab.long("kept"), "on_remove": "keep"}))
    person = lab.person("ada")
    person.passes_until({"gone": "Running", "kept": "Running"})
    return person


@pytest.mark.parametrize("status", ["there", "deleted"])
def test_what_the_spec_said_still_holds(lab: Lab, ada: Person, status: str) -> None:
    """One is cancelled, one goes on, by the commit that was applied last or by the run's own."""
    ada.lose_state()
    if status == "deleted":
        lab.delete_status()
    lab.commit({"jobs.yaml": None})
    wait_for("one is cancelled", lambda: ada.one_pass() and lab.cancelled(), deadline_s=120)
    assert (len(lab.cancelled()), lab.running(), lab.executions()) == (1, 1, BOTH)
    lab.release()
    wait_for("all have ended", lambda: lab.running() == 0)
    ada.one_pass()
    assert len(lab.cancelled()) == 1


def test_what_cannot_be_known_any_more_is_said(lab: Lab, ada: Person) -> None:
    """With the history rewritten as well, both go on, and the status says what to do."""
    ada.lose_state()
    lab.delete_status()
    lab.git("checkout", "-q", "--orphan", "anew")
    lab.git("rm", "-q", "-f", "jobs.yaml")
    lab.git("commit", "-q", "-m", "Begin again")
    lab.git("push", "-q", "-f", str(lab.repo), "HEAD:main")
    assert ada.one_pass()["actions"] == []
    assert (lab.cancelled(), lab.running(), lab.executions()) == ([], 2, BOTH)
    for item in ada.controller("status", "-o", "json").json:
        if item["kind"] == "Job":
            message = condition(item, "Ready")[2]
            assert "what its spec said of it (on_remove) is not known any more" in message
            assert item["tasks"][0]["job_id"] in message
