"""Images on their way from a Dockerfile in a commit to a SIF on the cluster, and what happens when one is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Sandbox
from tests.e2e.conftest import MakeProject
from tests.e2e.harness import Project, documents, job, wait_for

pytestmark = [pytest.mark.sandbox, pytest.mark.docker]
Slurm = Callable[..., dict[str, Any]]
IMAGE = {"kind": "Image", "name": "tiny", "build": {"context": "image"}}
NO_ENGINE = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}


def dockerfile(word: str) -> str:
    """Return the smallest Dockerfile that leaves a mark."""
    return f"FROM debian:trixie-slim\nRUN echo {word} > /word\n"


def sifs(sandbox: Sandbox, slurm: Slurm) -> set[str]:
    """Return the identities of the SIF files on the cluster."""
    listed = sandbox.ssh(f"ls {slurm()['workdir']}/images").split()
    return {name.removesuffix(".sif") for name in listed if name.endswith(".sif")}


@pytest.fixture(scope="module")
def built(make_project: MakeProject, own_images: None, slurm: Slurm, session_name: str) -> Project:
    """A job that ran in an image built here."""
    project = make_project("image")
    project.commit(
        {
            "specs.yaml": documents(
                slurm(containers="apptainer"), IMAGE, job("says", "cat /word", cluster="hpc", image="tiny")
            ),
            "image/Dockerfile": dockerfile(f"image-first-{session_name}"),
        }
    )
    assert project.planned() == ["build", "publish", "submit"]
    project.settle()
    assert project.controller("logs", "says", expect=0).out == f"image-first-{session_name}\n"
    return project


def test_a_changed_dockerfile_runs_the_job_again(
    built: Project, slurm: Slurm, sandbox: Sandbox, session_name: str
) -> None:
    """Another Dockerfile is another identity: built, converted, and run in; the old SIF stays."""
    before, image = built.task("says"), built.resource("Image", "tiny")
    built.commit({"image/Dockerfile": dockerfile(f"image-second-{session_name}")})
    assert built.planned() == ["build", "publish", "submit"]
    built.settle()
    after = built.task("says")
    assert after["digest"] != before["digest"]
    assert after["state"] == "Succeeded"
    assert built.controller("logs", "says", expect=0).out == f"image-second-{session_name}\n"
    changed = built.resource("Image", "tiny")
    assert {image["digest"], changed["digest"]} <= sifs(sandbox, slurm)
    assert image["digest"] != changed["digest"]


def test_a_sif_deleted_by_hand_is_made_again_for_the_next_run(built: Project, slurm: Slurm, sandbox: Sandbox) -> None:
    """Without its SIF a finished job stays finished; the next run has it made again, from the image that is there."""
    before, identity = built.task("says"), built.resource("Image", "tiny")["digest"]
    sandbox.ssh(f"rm {slurm()['workdir']}/images/{identity}.sif")
    assert built.planned() == []
    built.one_pass()
    assert built.task("says") == before
    assert built.condition("Image", "tiny", "Ready")[:2] == ("False", "NotPresent")

    built.commit(
        {
            "specs.yaml": documents(
                slurm(containers="apptainer"),
                IMAGE,
                job("says", "cat /word; echo again", cluster="hpc", image="tiny"),
            )
        }
    )
    assert built.planned() == ["publish", "submit"]
    built.settle()
    assert built.controller("logs", "says", expect=0).out.endswith("again\n")
    assert identity in sifs(sandbox, slurm)
    assert built.condition("Image", "tiny", "Ready")[0] == "True"


def test_without_a_docker_engine_only_its_jobs_wait(
    project: Project, slurm: Slurm, sandbox: Sandbox, own_images: None, session_name: str
) -> None:
    """No engine: what needs a build waits and says how to mend it; all else goes on, and the pass is no failure."""
    project.commit(
        {
            "specs.yaml": documents(
                slurm(containers="apptainer"),
                IMAGE,
                job("boxed", "cat /word", cluster="hpc", image="tiny"),
                job("plain", "echo done", cluster="hpc"),
            ),
            "image/Dockerfile": dockerfile(f"late-{session_name}"),
        }
    )
    ran = project.controller("reconcile", "--once", "-o", "json", env=NO_ENGINE, expect=3)
    assert [action["kind"] for action in ran.json["actions"]] == ["submit"]
    task = project.task("boxed")
    assert (task["state"], task["reason"]) == ("Waiting", "EngineUnavailable")
    assert "no Docker Engine answers" in task["message"]
    assert "Start it, or set DOCKER_HOST" in task["message"]
    assert project.condition("Image", "tiny", "Ready")[1] == "EngineUnavailable"

    def done() -> bool:
        project.one_pass(env=NO_ENGINE)
        return project.state("plain") == "Succeeded"

    wait_for("plain is done", done)
    assert project.state("boxed") == "Waiting"
    project.settle()
    assert project.state("boxed") == "Succeeded"


def test_a_build_that_fails_says_at_which_step(project: Project, own_images: None) -> None:
    """A failing step is exit code 1, the step and its output in the status; other jobs run."""
    project.commit(
        {
            "specs.yaml": documents(project.here(), IMAGE, job("fine", "true")),
            "image/Dockerfile": "FROM debian:trixie-slim\nRUN echo before-the-end && exit 7\n",
        }
    )
    ran = project.controller("reconcile", "--once", expect=1)
    assert "BuildFailed" in ran.err
    status, reason, message = project.condition("Image", "tiny", "Ready")
    assert (status, reason) == ("False", "BuildFailed")
    assert "Step 2/" in message
    assert "before-the-end" in message
    project.passes_until("fine is done", lambda: project.state("fine") == "Succeeded")
