"""The main path: commit, image, SIF, SLURM job, result; with real images classified on a real cluster."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Sandbox
from tests.e2e.conftest import MakeProject
from tests.e2e.harness import Project, documents

pytestmark = [pytest.mark.sandbox, pytest.mark.docker]

DIGITS = Path(__file__).parents[2] / "specs" / "digits"
Slurm = Callable[..., dict[str, Any]]


def commit_digits(project: Project, slurm: Slurm, session: str, transport: str) -> str:
    """Commit ``specs/digits`` as it is, but for how the cluster is reached.

    One more file in the image's context gives it an identity of its own, so that it is built and converted here.
    """
    files = {str(path.relative_to(DIGITS)): path.read_text() for path in DIGITS.rglob("*") if path.is_file()}
    cluster, *others = yaml.safe_load_all(files["digits.yaml"])
    assert cluster["kind"] == "Cluster"
    cluster["connection"] = slurm(transport=transport)["connection"]
    files["digits.yaml"] = documents(cluster, *others)
    files["images/sklearn/session"] = session
    return project.commit(files, "Train on the digits")


def assert_trained(project: Project, sandbox: Sandbox, commit: str) -> None:
    """The job's own output, SLURM's accounting and the status branch agree that it went well."""
    task = project.task("digits")
    assert (task["state"], task["exit_code"], task["attempt"]) == ("Succeeded", 0, 1)
    printed = project.controller("logs", "digits", expect=0).out
    accuracy = re.search(r"accuracy\D*([0-9.]+)", printed)
    assert accuracy is not None, printed
    assert float(accuracy[1]) > 0.9
    (job,) = sandbox.jobs(project.instance)
    assert (job.job_id, job.state, job.exit_code) == (task["job_id"], "COMPLETED", "0:0")
    told = project.status_file("Job", "digits")
    assert told["commit"] == commit
    assert told["tasks"][0]["state"] == "Succeeded"
    assert "Succeeded" in project.status_files()["README.md"]
    assert f"Spec-Commit: {commit}" in project.git("log", "-1", "--format=%B", "controller/status", where=project.bare)


@pytest.fixture(scope="module")
def over_fabric(make_project: MakeProject, own_images: None, slurm: Slurm, session_name: str) -> tuple[Project, str]:
    """The digits, trained over fabric from nothing."""
    project = make_project("digits-fabric")
    commit = commit_digits(project, slurm, session_name, "fabric")
    assert {"build", "publish", "submit"} <= set(project.planned())
    project.settle()
    return project, commit


def test_a_commit_becomes_an_accuracy(over_fabric: tuple[Project, str], sandbox: Sandbox) -> None:
    """A commit becomes an image, a SIF, a SLURM job and an accuracy."""
    project, commit = over_fabric
    assert_trained(project, sandbox, commit)
    image = project.resource("Image", "sklearn")
    identity = image["details"]["identity"]
    assert image["details"]["sif.sandbox"] == "present"
    listed = sandbox.ssh(f"ls -l {sandbox.scratch}/controller/images/{identity}.sif")
    assert int(listed.split()[4]) > 50_000_000


def test_the_other_transport_finds_the_sif(
    over_fabric: tuple[Project, str], make_project: MakeProject, sandbox: Sandbox, slurm: Slurm, session_name: str
) -> None:
    """Over OpenSSH the same specs give the same result; an image of the same identity is not made a second time."""
    project = make_project("digits-openssh")
    commit = commit_digits(project, slurm, session_name, "openssh")
    assert project.planned() == ["submit"]
    project.settle()
    assert_trained(project, sandbox, commit)
    earlier = over_fabric[0].resource("Image", "sklearn")
    assert project.resource("Image", "sklearn")["digest"] == earlier["digest"]
    assert project.task("digits")["digest"] == over_fabric[0].task("digits")["digest"]


def test_the_same_commit_again_changes_nothing(over_fabric: tuple[Project, str], sandbox: Sandbox) -> None:
    """A second pass over the same commit acts on nothing and commits nothing."""
    project, _ = over_fabric
    tip = project.status_tip()
    assert project.planned() == []
    again = project.one_pass()
    assert (again["actions"], again["status_commit"], again["in_progress"]) == ([], None, False)
    assert project.status_tip() == tip
    assert len(sandbox.jobs(project.instance)) == 1
