"""Much that has succeeded would run again by accident: it is held until somebody approves, and says what differs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import documents
from tests.life.lab import Lab, Person

MANY, FEW = 30, 5


def sweep(lab: Lab, name: str, count: int, **fields: Any) -> dict[str, Any]:
    """Return a sweep that runs a script of the repository."""
    command = f"{lab.site.counting()}\ntrue ${{{{ matrix.n }}}}"
    files = ["shared/train.sh"]
    return {**lab.quick(name), "command": command, "matrix": {"n": list(range(count))}, "files": files, **fields}


def specs(lab: Lab, script: str, *jobs: dict[str, Any]) -> dict[str, str]:
    """Return the files of a cluster, jobs, and the script that they share."""
    return {**lab.specs(*jobs), "shared/train.sh": script}


@pytest.fixture
def ada(lab: Lab) -> Person:
    """Somebody with two sweeps of fifteen tasks each that have succeeded, by one script."""
    lab.commit(specs(lab, "echo one\n", sweep(lab, "left", 15), sweep(lab, "right", 15)))
    person = lab.person("ada")
    until_done(person)
    assert lab.executions() == ONCE
    return person


ONCE = Counter(left=15, right=15)


def until_done(person: Person) -> None:
    """Run passes until all has succeeded."""
    person.controller("reconcile", "--wait", "--timeout", "200s")
    assert set(person.states().values()) == {"Succeeded"}


def edit(lab: Lab) -> str:
    """Edit a comment in the script that both share; return the commit before."""
    before = lab.git("rev-parse", "HEAD")
    lab.commit({"shared/train.sh": "# A remark\necho one\n"})
    return before


def test_an_edited_comment_in_a_shared_script_runs_nothing_again(lab: Lab, ada: Person) -> None:
    """Held in plan, status and JSON, with what differs; other jobs go on; a revert takes it back."""
    before = edit(lab)
    plan = ada.controller("plan", expect=1).out
    assert "MassRerun" in plan
    assert "would run 30 tasks again, of 30 that have succeeded" in plan
    assert "left (15): files differ (shared/train.sh)" in plan
    lab.commit({"more.yaml": documents(lab.quick("other"))})
    result = ada.one_pass()
    assert [hold["reason"] for hold in result["held"]] == ["MassRerun"]
    (hold,) = ada.controller("plan", "-o", "json", expect=1).json["held"]
    assert len(hold["subjects"]) == 30
    ada.passes_until({**{task: "Waiting" for task in ada.states() if task != "other"}, "other": "Succeeded"})
    status = ada.controller("status", "left").out
    assert "MassRerun" in status
    assert "MassRerun" in ada.controller("reconcile", "--wait", "--timeout", "20s", expect=1).err
    assert lab.executions() == ONCE + Counter(other=1)
    lab.git("checkout", "-q", before, "--", "shared")
    lab.commit({})
    assert ada.one_pass()["actions"] == []
    assert ada.one_pass()["held"] == []
    assert lab.executions() == ONCE + Counter(other=1)


def test_what_runs_of_a_held_job_is_left_alone(lab: Lab) -> None:
    """It goes on and is shown; a revert finds it running; after an approval it is replaced, once."""
    slots = Path(lab.site.workdir) / "local" / "slots"
    slots.mkdir(parents=True)
    (slots / "count").write_text("10\n")
    wait = f"[ ${{{{ matrix.n }}}} -lt 25 ] || while [ ! -e {lab.gate} ]; do sleep 0.2; done"
    lab.commit(specs(lab, "echo one\n", sweep(lab, "left", MANY, command=lab.counting(wait))))
    ada = lab.person("ada")
    ada.passes_until({f"left/n={n}": "Succeeded" if n < 25 else "Running" for n in range(MANY)})
    before = edit(lab)
    plan = ada.controller("plan", expect=1).out
    assert "would run 30 tasks again, of 30 that have succeeded or run" in plan
    assert plan.count("would run 30 tasks") == 1
    assert "Waiting: left/n=3: MassRerun: held back, see above" in plan
    for _ in range(3):
        result = ada.one_pass()
        assert ([hold["reason"] for hold in result["held"]], result["actions"]) == (["MassRerun"], [])
    assert "left/n=27" in ada.controller("status", "left").out
    assert ada.controller("approve", "--dry-run").out.count("Running") == 5
    lab.git("checkout", "-q", before, "--", "shared")
    lab.commit({})
    assert ada.one_pass()["actions"] == []
    assert Counter(ada.states().values()) == {"Succeeded": 25, "Running": 5}
    assert (lab.executions(), lab.cancelled(), lab.running()) == (Counter(left=MANY), [], 5)
    edit(lab)
    ada.one_pass()
    lab.approve()
    ada.one_pass()
    lab.release()
    until_done(ada)
    assert lab.executions() == Counter(left=2 * MANY)
    assert len(lab.cancelled()) == 5


def test_an_approval_lets_it_go_on_also_after_the_next_commit(lab: Lab, ada: Person) -> None:
    """The limit of the cluster keeps most of it waiting while a colleague commits something else."""
    edit(lab)
    ada.one_pass()
    said = ada.controller("approve", "--dry-run").out
    assert "MassRerun" in said
    assert "left/n=3" in said
    cluster = {**lab.site.cluster(), "limits": {"max_queued": 4}}
    lab.commit({"cluster.yaml": documents(cluster)})
    lab.approve()
    ada.one_pass()
    lab.commit({"README.md": "More\n"})
    until_done(ada)
    assert lab.executions() == ONCE + ONCE


def test_with_the_state_lost_it_is_held_as_well(lab: Lab, ada: Person) -> None:
    """The ledger tells what has succeeded before."""
    edit(lab)
    ada.lose_state()
    assert [hold["reason"] for hold in ada.one_pass()["held"]] == ["MassRerun"]
    assert lab.executions() == ONCE


def test_a_fork_with_much_done_waits(lab: Lab, ada: Person) -> None:
    """It inherited the original's ledger."""
    bob = lab.person("bob", repo=str(lab.fork("fork.git")))
    result = bob.one_pass("--new-instance")
    assert [hold["reason"] for hold in result["held"]] == ["MassRerun"]
    assert "has done the same" in result["held"][0]["message"]
    assert lab.executions() == ONCE
    assert ada.one_pass()["held"] == []


def test_what_somebody_asks_for_by_name_is_not_held(lab: Lab, ada: Person) -> None:
    """``rerun``, by the spec's own word."""
    again = [sweep(lab, name, 15, rerun="1") for name in ("left", "right")]
    lab.commit(specs(lab, "echo one\n", *again))
    until_done(ada)
    assert lab.executions() == ONCE + ONCE


def test_a_rename_of_much_is_held(lab: Lab, ada: Person) -> None:
    """The same work under other names, without ``was``."""
    lab.commit(specs(lab, "echo one\n", sweep(lab, "west", 15), sweep(lab, "east", 15)))
    planned = ada.controller("plan", expect=1)
    assert 'if it was renamed, add "was: right" to it (jobs.yaml:1)' in planned.err
    (hold,) = ada.one_pass()["held"]
    assert "left/n=0, which is gone, has done the same" in hold["message"]
    assert lab.executions() == ONCE


def test_a_small_sweep_in_work_is_not_bothered(lab: Lab) -> None:
    """Its script is edited again and again, beside a large one that is done; nor is a limit that a site has raised."""
    ada = lab.person("ada")
    lab.commit(specs(lab, "echo one\n", sweep(lab, "small", FEW)))
    until_done(ada)
    for number in range(2):
        lab.commit({"shared/train.sh": f"echo {number}\n"})
        until_done(ada)
    assert lab.executions() == Counter(small=3 * FEW)
    lab.commit(specs(lab, "echo one\n", sweep(lab, "small", FEW), sweep(lab, "large", 25)))
    until_done(ada)
    edit(lab)
    assert [hold["reason"] for hold in ada.one_pass()["held"]] == ["MassRerun"]
    ada.configure(mass_rerun={"tasks": MANY})
    until_done(ada)
    assert lab.executions() == Counter(small=4 * FEW, large=50)
