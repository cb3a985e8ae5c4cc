"""Builds as a user meets them: what is sent, what is logged, what a failure says."""

from __future__ import annotations

import signal
import stat
from pathlib import Path

import pytest

from tests.e2e.harness import Project, documents, wait_for

pytestmark = pytest.mark.docker
IMAGE = {"kind": "Image", "name": "box", "build": {"context": "box"}}


def test_an_ignored_file_is_neither_sent_nor_a_reason_to_build(
    project: Project, own_images: None, session_name: str
) -> None:
    """What ``.dockerignore`` names is not in the image; a change of it plans nothing; the log is kept and shown."""
    steps = f"FROM debian:trixie-slim\nCOPY . /context\nRUN ls -A /context && echo from-{session_name}\n"
    project.commit(
        {
            "specs.yaml": documents(IMAGE),
            "box/Dockerfile": steps,
            "box/.dockerignore": "*.log\n",
            "box/run.log": "first\n",
            "box/app.py": "pass\n",
        }
    )
    assert project.planned() == ["build"]
    project.one_pass()
    said = project.controller("image", "log", "box", expect=0).out
    assert f"from-{session_name}\n" in said
    assert "\napp.py\n" in said
    assert "\nrun.log\n" not in said
    [path] = project.controller("image", "log", "box", "--list", expect=0).out.split()
    assert project.resource("Image", "box")["details"]["build_log"] == path
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600

    project.commit({"box/run.log": "second\n"})
    assert project.planned() == []
    listed = project.controller("image", "list", "box", "-o", "json", expect=0).json["images"]
    assert [
        each["used_by"][0] for each in listed if each["identity"] == project.resource("Image", "box")["digest"]
    ] == ["the newest commit"]


def test_a_failed_build_says_where_and_its_log_is_kept(project: Project, own_images: None, session_name: str) -> None:
    """The step and its line in the message; every line in the log; an older log is there as well."""
    first = f"FROM debian:trixie-slim\n\nRUN echo {session_name}-one \\\n && exit 3\n"
    project.commit({"specs.yaml": documents(IMAGE), "box/Dockerfile": first})
    ran = project.controller("reconcile", "--once", expect=1)
    assert "(Dockerfile line 3) failed: " in ran.err
    project.commit({"box/Dockerfile": first.replace("one", "two")})
    project.controller("reconcile", "--once", expect=1)
    assert f"\n{session_name}-two\n" in project.controller("image", "log", "box", expect=0).out
    assert f"\n{session_name}-one\n" in project.controller("image", "log", "box", "--before", "1", expect=0).out
    none = project.controller("image", "log", "box", "--before", "2", expect=3)
    assert "NoBuildLog" in none.err
    assert "2 kept" in none.err
    assert 'none is kept; did you mean "box"?' in project.controller("image", "log", "boxes", expect=3).err


def test_ctrl_c_lets_a_build_end_and_begins_nothing_new(project: Project, own_images: None, session_name: str) -> None:
    """It says so at once; a second one does not wait."""
    steps = f"FROM debian:trixie-slim\nRUN echo {session_name}; sleep 5\n"
    project.commit({"specs.yaml": documents(IMAGE), "box/Dockerfile": steps})
    process = project.start("reconcile", "--once")
    wait_for("the build has begun", lambda: "Step 2/" in project.said())
    process.send_signal(signal.SIGINT)
    wait_for("it is said", lambda: "finishing what is under way" in project.said())
    assert process.wait(60) == 130
    assert project.condition("Image", "box", "Ready")[0] == "True"

    project.commit({"box/Dockerfile": steps.replace("sleep 5", "sleep 600")})
    said = len(project.said())
    process = project.start("reconcile", "--wait")
    wait_for("the build has begun", lambda: "Step 2/" in project.said()[said:])
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        wait_for("it is said", lambda: "finishing what is under way" in project.said()[said:])
    assert process.wait(20) == 130


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("RUN --mount=type=cache,target=/c true", "In line 2, RUN --mount needs BuildKit"),
        ("RUN <<E\ntrue\nE", "In line 2, a heredoc (<<E) needs BuildKit"),
    ],
)
def test_what_only_buildkit_has_is_said_before_and_not_tried_again(
    project: Project, own_images: None, session_name: str, step: str, said: str
) -> None:
    """A warning of ``validate``, then Stalled with what to write instead; the next Dockerfile is tried at once."""
    project.commit({"specs.yaml": documents(IMAGE), "box/Dockerfile": f"FROM debian:trixie-slim\n{step}\n"})
    checked = project.controller("validate", "-o", "json", expect=0, where=project.clone).json
    assert "only BuildKit and Podman 5 or later understand" in checked["warnings"][0]["message"]
    project.controller("reconcile", "--once", expect=1)
    assert project.condition("Image", "box", "Stalled")[:2] == ("True", "BuildKitNeeded")
    message = project.condition("Image", "box", "Ready")[2]
    assert said in message
    assert "docs/images.md" in message
    assert project.planned() == []
    project.commit({"box/Dockerfile": f"FROM debian:trixie-slim\nRUN echo {session_name}-{len(step)}\n"})
    assert project.planned() == ["build"]
    project.one_pass()
    assert project.condition("Image", "box", "Stalled")[0] == "False"
