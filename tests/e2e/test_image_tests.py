"""The test of an image as a gate before the queue: what a person sees while it fails, and once it has passed."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.remotes.servers import HttpGit
from tests.e2e.harness import Project, documents, job, wait_for

pytestmark = pytest.mark.docker
Slurm = Callable[..., dict[str, Any]]


def image(test: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "Image", "name": "tiny", "build": {"context": "image"}, "test": test}


def dockerfile(word: str) -> str:
    """Return an image that has nothing but a word."""
    return f"FROM debian:trixie-slim\nRUN echo {word} > /word\n"


def containers(project: Project) -> list[str]:
    """Return the ids of the containers of the project's tests, running or not."""
    mine = ["--filter", "label=controller.trial", "--filter", f"label=controller.instance={project.instance}"]
    argv = ["docker", "ps", "--all", "--quiet", *mine]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60).stdout.split()


@pytest.fixture
def code(project: Project) -> Iterator[str]:
    """The address of a repository with code to be tried out, which anybody can read."""
    bare, work = project.directory / "others" / "code.git", project.directory / "code"
    bare.parent.mkdir()
    project.git("init", "-q", "--bare", "-b", "main", str(bare), where=project.directory)
    project.git("clone", "-q", str(bare), str(work), where=project.directory)
    (work / "train.sh").write_text(
        'echo "trains $(cat /word) on $(cat "$1/set")"; cat "$1/set" >result; test -z "$2"\n'
    )
    project.git("checkout", "-q", "-b", "main", where=work)
    project.git("add", "-A", where=work)
    project.git("commit", "-q", "-m", "Code", where=work)
    project.git("tag", "v1", where=work)
    project.git("push", "-q", "origin", "main", "v1", where=work)
    server = HttpGit(bare.parent, token=None)
    yield server.url(bare)
    server.close()


@pytest.mark.sandbox
def test_jobs_wait_until_the_test_has_passed(
    project: Project, code: str, slurm: Slurm, own_images: None, session_name: str
) -> None:
    """A test that fails keeps the queue free and says why; mended, the job runs, and the data come only once."""
    test = {
        "repo_url": code,
        "ref": "v1",
        "dataset_command": f"echo fetched >&2; echo digits-{session_name} >set",
        "run_command": "sh train.sh <YOUR_DATA_DIRECTORY> <YOUR_FAULT>",
        "placeholders": {"FAULT": "oops"},
        "required": True,
    }
    says = job("says", "cat /word", cluster="hpc", image="tiny")

    def specs(**fields: Any) -> str:
        return documents(slurm(containers="apptainer"), image({**test, **fields}), says)

    project.commit({"specs.yaml": specs(), "image/Dockerfile": dockerfile(f"gate-{session_name}")})
    assert project.planned() == ["build", "test", "publish", "submit"]
    project.one_pass(expect=1)
    task = project.task("says")
    assert (task["state"], task["reason"]) == ("Waiting", "TestFailed")
    assert "run_command of its test ended with exit code 1" in task["message"]
    assert f"trains gate-{session_name} on digits-{session_name}" in task["message"]
    details = project.resource("Image", "tiny")["details"]
    assert details["test"] == "failed (TestFailed)"
    assert "fetched" in Path(details["test.log"]).read_text()
    assert project.condition("Image", "tiny", "Ready")[1] == "TestFailed"
    assert project.planned() == []

    project.commit({"specs.yaml": specs(placeholders={"FAULT": ""})})
    assert project.planned() == ["test", "publish", "submit"]
    project.settle()
    assert project.controller("logs", "says", expect=0).out == f"gate-{session_name}\n"
    found = project.resource("Image", "tiny")
    assert (found["details"]["test"], len(found["details"]["test.commit"])) == ("passed", 40)
    log = Path(found["details"]["test.log"]).read_text()
    assert "fetched" not in log
    assert project.condition("Image", "tiny", "Ready")[:2] == ("True", "Present")
    assert project.planned() == []
    assert containers(project) == []
    assert [path for path in (project.state_dir / "trials").iterdir() if path.is_dir()] == []

    (project.state_dir / "journal.sqlite3").unlink()
    project.one_pass()
    assert project.condition("Image", "tiny", "Ready")[1] == "ImageNotTested"
    assert project.task("says")["state"] == "Succeeded"


def test_a_killed_controller_leaves_nothing_behind(
    project: Project, own_images: None, session_name: str, tmp_path: Path
) -> None:
    """kill -9 in the middle of a test: the next pass takes the container away and starts the test anew."""
    slow = image({"run_command": "[ ! -e /word ] || sleep <YOUR_PAUSE>", "placeholders": {"PAUSE": "600"}})
    slow["test"]["required"] = True
    project.commit({"specs.yaml": documents(slow), "image/Dockerfile": dockerfile(f"killed-{session_name}")})
    process = project.start("reconcile", "--once")
    wait_for("the test runs", lambda: containers(project), deadline_s=120)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(20)
    (left,) = containers(project)
    quick = image({**slow["test"], "placeholders": {"PAUSE": "0"}})
    project.commit({"specs.yaml": documents(quick)})
    project.one_pass()
    assert left not in containers(project)
    assert project.resource("Image", "tiny")["details"]["test"] == "passed"
    assert containers(project) == []


def test_what_takes_too_long_is_said_once(project: Project, own_images: None, session_name: str) -> None:
    """The time limit ends the test; it is not tried again by itself, and nothing is left of it."""
    slow = image({"run_command": "echo begun; sleep 600", "time": "2s", "required": True})
    project.commit({"specs.yaml": documents(slow), "image/Dockerfile": dockerfile(f"slow-{session_name}")})
    project.one_pass(expect=1)
    status, reason, message = project.condition("Image", "tiny", "Stalled")
    assert (status, reason) == ("True", "TestTimeout")
    assert "longer than 2 s" in message
    assert "begun" in message
    assert project.planned() == []
    assert containers(project) == []


def test_an_interrupted_download_is_not_taken_for_done(project: Project, own_images: None, session_name: str) -> None:
    """Data count once their command has ended well: a half of them is thrown away."""
    test = {
        "dataset_command": f"echo half-{session_name} >set; exit 3",
        "run_command": "cat <YOUR_DATA_DIRECTORY>/set",
        "required": True,
    }
    project.commit({"specs.yaml": documents(image(test)), "image/Dockerfile": dockerfile(f"data-{session_name}")})
    project.one_pass(expect=1)
    message = project.condition("Image", "tiny", "Ready")[2]
    assert "dataset_command of its test ended with exit code 3" in message
    assert [path for path in (project.state_dir / "datasets").iterdir() if path.is_dir()] == []


def test_image_test_runs_it_here_and_now(project: Project, code: str, own_images: None, session_name: str) -> None:
    """Built if need be, its output as it comes, exit code 0 or 1; the outcome counts for the passes that follow."""
    test = {
        "repo_url": code,
        "run_command": "cat /word; touch here; sh -c 'exit <YOUR_CODE>'",
        "placeholders": {"CODE": "4"},
    }

    def commit(**fields: Any) -> None:
        specs = documents(image({**test, **fields}), {"kind": "Image", "name": "plain", "build": {"context": "image"}})
        project.commit({"specs.yaml": specs, "image/Dockerfile": dockerfile(f"now-{session_name}")})

    commit()
    assert 'did you mean "tiny"?' in project.controller("image", "test", "tinny", expect=2).err
    assert "has no test" in project.controller("image", "test", "plain", expect=2).err
    ran = project.controller("image", "test", "tiny", expect=1)
    assert f"now-{session_name}\n" in ran.out
    assert "Step 2/" in ran.err
    assert "exit code 4" in ran.err

    commit(placeholders={"CODE": "0"}, required=True)
    ran = project.controller("image", "test", "tiny", "--keep", "-o", "json", expect=0)
    assert ran.json["passed"] is True
    assert ran.json["commit"] == project.git("rev-parse", "v1", where=project.directory / "code")
    assert f"now-{session_name}\n" in ran.err
    assert (Path(ran.json["kept"]) / "repository" / "here").exists()
    assert (Path(ran.json["kept"]) / "repository" / "train.sh").exists()
    assert project.planned() == []
    project.one_pass()
    assert project.resource("Image", "tiny")["details"]["test"] == "passed"

    commit(repo_url=code.replace("code.git", "nothing.git"))
    ran = project.controller("image", "test", "tiny", expect=3)
    assert "CloneFailed" in ran.err
    assert containers(project) == []


def test_one_process_at_a_time_runs_a_test(
    project: Project, own_images: None, session_name: str, tmp_path: Path
) -> None:
    """While a person runs the test, a pass waits for it and says so; no second container is made."""
    slow = image({"run_command": "sleep 600", "required": True})
    project.commit({"specs.yaml": documents(slow), "image/Dockerfile": dockerfile(f"twice-{session_name}")})
    process = project.start("image", "test", "tiny")
    wait_for("the test runs", lambda: containers(project), deadline_s=120)
    project.one_pass()
    assert project.condition("Image", "tiny", "Ready")[1] == "TestRunning"
    assert len(containers(project)) == 1
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert containers(project) == []


def test_an_image_that_is_not_built_is_tested(project: Project, engine: None) -> None:
    """``from:`` is fetched for its test, here from the engine itself; one with ``sif:`` may have no test."""
    test = {"run_command": "cat /etc/debian_version", "required": True}
    spec = {"kind": "Image", "name": "base", "from": "debian:trixie-slim"}
    project.commit({"specs.yaml": documents({**spec, "test": test})})
    ran = project.controller("image", "test", "base", expect=0)
    assert ran.out.splitlines()[0] == "# cat /etc/debian_version"
    project.one_pass()
    assert project.resource("Image", "base")["details"]["test"] == "passed"
    project.commit({"specs.yaml": documents({"kind": "Image", "name": "base", "sif": "/x.sif", "test": test})})
    assert "a SIF that is there already cannot be tested" in project.controller("image", "test", "base", expect=2).err


def test_two_controllers_leave_each_others_tests_alone(project: Project, own_images: None, session_name: str) -> None:
    """With state directories of their own they run the same test at the same time, and both see it pass."""
    test = image({"run_command": "sleep 6; echo fine", "required": True})
    project.commit({"specs.yaml": documents(test), "image/Dockerfile": dockerfile(f"two-{session_name}")})
    first = project.start("reconcile", "--once")
    wait_for("its container runs", lambda: len(containers(project)) == 1, deadline_s=90)
    other = {"CONTROLLER_STATE_DIR": str(project.directory / "other-state")}
    project.controller("reconcile", "--once", env=other, expect=0)
    assert first.wait(60) == 0, project.said()
    assert project.resource("Image", "tiny")["details"]["test"] == "passed"
    assert containers(project) == []
