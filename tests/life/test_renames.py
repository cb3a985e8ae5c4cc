"""Jobs, steps and workflows get other names, and a matrix another axis: with ``was`` nothing runs again."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.e2e.harness import job, wait_for
from tests.life.lab import Lab, Person

Specs = list[dict[str, Any]]
AT_WORK = {
    "done": "Succeeded",
    "long": "Running",
    "bad": "Failed",
    "sum": "Succeeded",
    "flow/a": "Succeeded",
    "flow/b": "Succeeded",
}
ONCE = Counter({"done": 1, "long": 1, "bad": 1, "sum": 1, "flow.a": 1, "flow.b": 1})


def specs(lab: Lab) -> Specs:
    """Return work before it is renamed: ended, running, failed, needing another, and a workflow."""
    return [
        lab.quick("done", "echo data >out"),
        lab.long("long"),
        lab.quick("bad", "exit 3"),
        lab.quick("sum", "test -e ${{ needs.done.run_dir }}/out", needs=["done"]),
        flow(lab, "flow", "a", "b"),
    ]


def flow(lab: Lab, name: str, first: str, second: str, **fields: Any) -> dict[str, Any]:
    """Return a workflow of two steps; ``fields`` of the first one."""
    steps = {
        first: {"command": lab.counting("echo data >out"), **fields},
        second: {"command": lab.counting(f"test -e ${{{{ steps.{first}.run_dir }}}}/out"), "needs": [first]},
    }
    return {"kind": "Workflow", "name": name, "cluster": "there", "steps": steps}


def renamed(lab: Lab) -> Specs:
    """Return the same work under other names."""
    return [
        lab.quick("ready", "echo data >out", was="done"),
        lab.long("slow", was="long"),
        lab.quick("wrong", "exit 3", was="bad"),
        lab.quick("total", "test -e ${{ needs.ready.run_dir }}/out", needs=["ready"], was="sum"),
        {**flow(lab, "stream", "one", "b", was="a"), "was": "flow"},
    ]


RENAMED = {
    "ready": "Succeeded",
    "slow": "Running",
    "wrong": "Failed",
    "total": "Succeeded",
    "stream/one": "Succeeded",
    "stream/b": "Succeeded",
}


@pytest.fixture
def ada(lab: Lab) -> Person:
    """Somebody with work in several states."""
    lab.commit(lab.specs(*specs(lab)))
    person = lab.person("ada")
    person.passes_until(AT_WORK)
    return person


@pytest.mark.parametrize("state", ["kept", "lost", "lost after", "only the cluster", "only the branch"])
def test_everything_is_renamed_while_it_is_at_work(lab: Lab, ada: Person, state: str) -> None:
    """Nothing runs again, what runs is followed under its new name, and the verbs find it there."""
    lab.commit(lab.specs(*renamed(lab)))
    if state != "kept":
        if state == "lost after":
            ada.one_pass()
        ada.lose_state()
    if state == "only the cluster":
        lab.delete_status()
    ada.passes_until(RENAMED)
    assert ada.one_pass()["actions"] == []
    assert (lab.executions(), lab.cancelled(), lab.running()) == (ONCE, [], 1)
    lab.release()
    ada.passes_until(RENAMED | {"slow": "Succeeded"})
    assert (lab.executions(), lab.cancelled()) == (ONCE, [])
    if state == "only the branch":
        ada.lose_state()
        lab.purge_runs()
        ada.passes_until(RENAMED | {"slow": "Succeeded"})
        assert lab.executions() == ONCE


def test_the_verbs_find_what_was_renamed(lab: Lab, ada: Person) -> None:
    """``status``, ``logs``, ``trace`` and ``history``, by the new name."""
    lab.commit(lab.specs(*renamed(lab)))
    ada.one_pass()
    assert "runs/done/" in ada.controller("status", "ready", "-o", "json").json[0]["tasks"][0]["run_dir"]
    assert ada.controller("logs", "wrong", "--stderr").out == ""
    links = ada.controller("trace", "ready", "-o", "json").json["links"]
    assert links["up_to_date"]["value"] is True
    rows = ada.controller("history", "ready", "-o", "json").json
    assert [row["task"] for row in rows if row["state"] == "Succeeded"] == ["done", "ready"]
    assert "Removed" not in {row["reason"] for row in rows}
    rows = ada.controller("history", "stream/one", "-o", "json").json
    assert {row["task"] for row in rows} >= {"flow/a", "stream/one"}


@pytest.mark.parametrize("seen", ["each", "last"])
@pytest.mark.parametrize("state", ["kept", "lost"])
def test_renamed_again_and_again(lab: Lab, seen: str, state: str) -> None:
    """Over several commits, each naming the one before; or all at once, where the last one names them all."""
    ada = lab.person("ada")
    lab.commit(lab.specs(lab.quick("a"), lab.long("x")))
    ada.passes_until({"a": "Succeeded", "x": "Running"})
    others = {"a": "x", "b": "y", "c": "z", "d": "w"}
    for old, new in (("a", "b"), ("b", "c"), ("c", "d")):
        before = [each for each in "cba" if each < new]
        was = before[:1] if seen == "each" else before
        lab.commit(lab.specs(lab.quick(new, was=was), lab.long(others[new], was=[others[each] for each in was])))
        if seen == "each":
            if state == "lost":
                ada.lose_state()
            ada.passes_until({new: "Succeeded", others[new]: "Running"})
            assert old not in ada.states()
    if state == "lost":
        ada.lose_state()
    ada.passes_until({"d": "Succeeded", "w": "Running"})
    lab.release()
    ada.passes_until({"d": "Succeeded", "w": "Succeeded"})
    assert (lab.executions(), lab.cancelled()) == (Counter(a=1, x=1), [])


def test_the_line_may_be_taken_out_again_and_the_rename_back(lab: Lab, ada: Person) -> None:
    """What a run counted for is kept; and taking the commit back finds everything as it was."""
    lab.commit(lab.specs(*renamed(lab)))
    ada.one_pass()
    without = [{name: value for name, value in spec.items() if name != "was"} for spec in renamed(lab)]
    without[-1]["steps"]["one"].pop("was")
    lab.commit(lab.specs(*without))
    ada.passes_until(RENAMED)
    lab.commit(lab.specs(*specs(lab)))
    ada.passes_until(AT_WORK)
    assert ada.one_pass()["actions"] == []
    assert (lab.executions(), lab.cancelled(), lab.running()) == (ONCE, [], 1)


def test_a_change_beside_the_rename_is_a_change(lab: Lab, ada: Person) -> None:
    """The old run is replaced as its job says, and not left beside the new one."""
    after = renamed(lab)
    after[1] = lab.quick("slow", "echo changed", was="long")
    lab.commit(lab.specs(*after))
    ada.passes_until(RENAMED | {"slow": "Succeeded"})
    assert lab.executions() == ONCE + Counter(slow=1)
    assert len(lab.cancelled()) == 1


def test_what_fails_is_tried_again_under_the_new_name(lab: Lab, ada: Person) -> None:
    """Attempts are counted on."""
    after = renamed(lab)
    after[2] = lab.quick("wrong", "exit 3", was="bad", retries={"max": 1, "on": ["ExitCode"], "backoff": "1s"})
    lab.commit(lab.specs(*after))
    wait_for("a second attempt", lambda: ada.one_pass() and lab.executions()["wrong"] == 1, deadline_s=120)
    ada.passes_until(RENAMED)
    [status] = ada.controller("status", "wrong", "-o", "json").json
    assert status["tasks"][0]["attempt"] == 2
    assert lab.executions() == ONCE + Counter(wrong=1)


def test_an_axis_is_added(lab: Lab) -> None:
    """Points that are what the tasks of before were run no second time; the others run."""

    def sweep(command: str, **fields: Any) -> dict[str, Any]:
        return job("sweep", lab.counting(command), cluster="there", **fields)

    ada = lab.person("ada")
    lab.commit(lab.specs(sweep(": ${{ matrix.lr }}", matrix={"lr": [1, 2]})))
    ada.passes_until({"sweep/lr=1": "Succeeded", "sweep/lr=2": "Succeeded"})
    was = [{"matrix": {"seed": 0}, "command": lab.counting(": ${{ matrix.lr }}")}]
    matrix = {"lr": [1, 2], "seed": [0, 1]}
    lab.commit(lab.specs(sweep(": ${{ matrix.lr }} ${{ matrix.seed }}", matrix=matrix, was=was)))
    every = {f"sweep/lr={lr},seed={seed}": "Succeeded" for lr in (1, 2) for seed in (0, 1)}
    ada.passes_until(every)
    assert lab.executions() == Counter(sweep=4)
    ada.lose_state()
    ada.passes_until(every)
    assert lab.executions() == Counter(sweep=4)


def test_a_rename_without_was_is_noticed(lab: Lab, ada: Person) -> None:
    """``plan`` and the pass say which line is missing; with it, nothing is left to do."""
    after = [{name: value for name, value in spec.items() if name != "was"} for spec in renamed(lab)]
    lab.commit(lab.specs(after[0], *specs(lab)[1:3]))
    planned = ada.controller("plan", expect=1)
    assert 'add "was: done" to it (jobs.yaml:1)' in planned.err
    assert "it would run again" in planned.err
    lab.commit(lab.specs(renamed(lab)[0], *specs(lab)[1:3]))
    assert "was: done" not in ada.controller("plan", expect=None).err
    ada.passes_until({"ready": "Succeeded", "long": "Running", "bad": "Failed"})
    assert lab.executions() == ONCE


def test_a_rename_that_is_not_valid_changes_nothing(lab: Lab, ada: Person) -> None:
    """The old job stays in force until the new one is valid: its run is not cancelled."""
    after = renamed(lab)
    after[1] = {**after[1], "was": ["long", "done"]}
    after[0] = specs(lab)[0]
    after[3] = specs(lab)[3]
    lab.commit(lab.specs(*after))
    ada.one_pass(expect=1)
    said = ada.controller("plan", expect=1).err
    assert "Job/done is still there, so this was not it" in said
    assert "Job/long stays in force until Job/slow, which was it, is valid" in said
    assert (lab.cancelled(), lab.running()) == ([], 1)
    lab.commit(lab.specs(*renamed(lab)))
    ada.passes_until(RENAMED)
    assert (lab.executions(), lab.cancelled(), lab.running()) == (ONCE, [], 1)


def test_a_name_of_long_ago_in_a_rename_that_is_not_valid(lab: Lab, ada: Person) -> None:
    """Only what is there is shown: the job under its new name, with its last good version."""
    lab.commit(lab.specs(lab.quick("ready", "echo data >out", was="done"), lab.long("long")))
    ada.passes_until({"ready": "Succeeded", "long": "Running"})
    lab.commit(lab.specs(lab.quick("ready", "echo data >out", was=["long", "done"]), lab.long("long")))
    for _ in range(2):
        ada.one_pass(expect=1)
        assert ada.states() == {"ready": "Succeeded", "long": "Running"}
        listed = ada.controller("status", "-o", "json", expect=None).json
        assert sorted(item["name"] for item in listed if item["kind"] == "Job") == ["long", "ready"]
    assert lab.executions() == ONCE
