"""As of when the status is: the heartbeat beside the status branch, and what ``controller status`` says from it."""

from __future__ import annotations

import json
import re
import socket
from datetime import UTC, datetime, timedelta

from tests.e2e.harness import STATUS_BRANCH, Project, documents, job

HEARTBEAT = f"{STATUS_BRANCH}-heartbeat"
ELSEWHERE = {"CONTROLLER_STATE_DIR": "elsewhere"}
"""A clone of somebody who has never run a pass."""


def tip(project: Project) -> str:
    """Return where the heartbeat is on the remote, "" where it is not."""
    return project.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{HEARTBEAT}", where=project.bare)


def last_line(project: Project, *argv: str) -> str:
    """Return the last line that ``controller status`` prints."""
    return project.controller("status", *argv, env=ELSEWHERE, expect=0).out.splitlines()[-1]


def freshness(project: Project) -> dict[str, object]:
    """Return the freshness as programs read it."""
    told: dict[str, object] = project.controller("status", "--freshness", "-o", "json", env=ELSEWHERE, expect=0).json
    return told


def age(project: Project, beat: dict[str, object], minutes: int) -> None:
    """Let the remote's heartbeat be so old."""
    at = (datetime.now(UTC) - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
    project.git("checkout", "-q", "--orphan", f"old-{minutes}")
    project.git("rm", "-rqf", ".")
    (project.clone / "heartbeat.json").write_text(json.dumps({**beat, "at": at, "passed": at}))
    project.git("add", "-A")
    project.git("commit", "-q", "-m", "Pass")
    project.git("push", "-q", "--force", "origin", f"HEAD:{HEARTBEAT}")


def test_status_says_as_of_when_and_what_is_not_applied(served: Project) -> None:
    """By which controller, and which commits are newer; one commit without a parent, replaced when a pass applies."""
    served.commit({"specs.yaml": documents(served.here(), job("one", "true"))})
    served.settle()
    first = tip(served)
    assert re.fullmatch(rf"As of \d\d:\d\d \(.* ago\) by {re.escape(socket.gethostname())}", last_line(served))
    told = freshness(served)
    assert (told["overdue"], told["result"]) == (False, "completed")
    assert told["controller"]["instance"] == served.instance  # type: ignore[index]
    assert f"`{HEARTBEAT}`" in served.status_files()["README.md"]

    served.one_pass()
    assert tip(served) == first, "a pass that changes nothing writes nothing for five minutes"

    served.commit({}, "Say nothing new")
    newest = served.commit({}, "Change the learning rate")
    assert last_line(served, "one").endswith(
        f"; main has 2 newer commits not applied yet ({newest[:12]} Change the learning rate)"
    )
    assert freshness(served)["specs"]["not_applied"] == 2  # type: ignore[index]
    served.one_pass()
    assert "not applied" not in last_line(served)
    assert tip(served) != first
    assert served.git("rev-list", "--count", HEARTBEAT, where=served.bare) == "1"
    assert "Last pass" in served.git("show", f"{HEARTBEAT}:README.md", where=served.bare)


def test_a_controller_that_stopped_is_seen(project: Project) -> None:
    """Ten minutes and an interval after its last pass; a list for programs stays a list."""
    project.configure(interval="2m")
    project.commit({"specs.yaml": documents(project.here())})
    project.one_pass()
    beat = json.loads(project.git("show", f"{HEARTBEAT}:heartbeat.json", where=project.bare))
    for minutes, overdue in ((11, False), (13, True)):
        age(project, beat, minutes)
        assert freshness(project)["overdue"] is overdue
        assert ("the controller may have stopped" in last_line(project)) is overdue
        listed = project.controller("status", "-o", "json", env=ELSEWHERE, expect=0)
        assert [item["kind"] for item in listed.json] == ["Cluster"]
        assert ("No pass since" in listed.err) is overdue
    project.one_pass()
    project.controller("status", env=ELSEWHERE, expect=0)


def test_a_heartbeat_that_is_refused_fails_no_pass(served: Project) -> None:
    """It is a warning, and the next pass says so on the page; status says that it does not know."""
    served.hook("update", f'[ "$1" != refs/heads/{HEARTBEAT} ] || {{ echo "only Ada may" >&2; exit 1; }}\n')
    served.commit({"specs.yaml": documents(served.here(), job("one", "true"))})
    ran = served.controller("reconcile", "--once", expect=0)
    assert "warning: the heartbeat could not be pushed: PushRefused" in ran.err
    served.settle()
    assert "It cannot be written there: PushRefused" in served.status_files()["README.md"]
    assert last_line(served).startswith("It is not known when a pass last ended")
    assert freshness(served)["at"] is None
    assert served.state("one") == "Succeeded"


def test_passes_that_cannot_run_are_told_of(project: Project) -> None:
    """A branch that is gone ends every pass; the status says since when, and why."""
    project.commit({"specs.yaml": documents(project.here())})
    project.one_pass()
    project.configure(branch="gone")
    project.controller("reconcile", "--once", expect=3)
    assert re.match(
        r"No pass could be completed since \d\d:\d\d, last tried at .*: BranchNotFound: ", last_line(project)
    )


def test_a_stranger_to_the_branch_does_not_tell_of_its_own_mistake(project: Project) -> None:
    """A new state directory and a branch that is not there: the heartbeat stays that of the controller at work."""
    project.commit({"specs.yaml": documents(project.here())})
    project.one_pass()
    before = tip(project)
    ran = project.controller("reconcile", "--once", "--branch", "mine", env=ELSEWHERE, expect=3)
    assert "BranchNotFound" in ran.err
    assert tip(project) == before


def test_a_branch_of_somebody_else_is_not_replaced(project: Project) -> None:
    """A branch that happens to have the heartbeat's name keeps its commits; the pass warns and goes on."""
    theirs = project.commit({"specs.yaml": documents(project.here())})
    project.git("push", "-q", "origin", f"HEAD:{HEARTBEAT}")
    ran = project.controller("reconcile", "--once", expect=0)
    assert "HeartbeatBranchTaken" in ran.err
    assert tip(project) == theirs
