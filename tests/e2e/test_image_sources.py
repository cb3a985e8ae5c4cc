"""Images from elsewhere than the specs' own repository, as a user sees them."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.remotes.conftest import Origin, make_origin
from tests.e2e.harness import Project, documents, job
from tests.registries import Registry

Slurm = Callable[..., dict[str, Any]]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Origin:
    """Another repository, with a commit on main."""
    return make_origin(tmp_path)


@pytest.mark.sandbox
@pytest.mark.docker
def test_an_image_built_from_another_repository(
    project: Project, elsewhere: Origin, slurm: Slurm, own_images: None, session_name: str
) -> None:
    """It is built at the commit that its ref stands for, and the status names it; a moved ref builds and runs again."""
    url = str(elsewhere.bare)

    def commit(word: str) -> str:
        return elsewhere.commit(
            {"tiny/Dockerfile": f"FROM debian:trixie-slim\nRUN echo {word}-{session_name} > /word\n"}
        )

    first = commit("first")
    image = {"kind": "Image", "name": "tiny", "build": {"repo": url, "ref": "main", "context": "tiny"}}
    says = job("says", "cat /word", cluster="hpc", image="tiny")
    project.commit({"specs.yaml": documents(slurm(containers="apptainer"), image, says)})
    assert project.planned() == ["build", "publish", "submit"]
    project.settle()
    assert project.controller("logs", "says", expect=0).out == f"first-{session_name}\n"
    assert project.resource("Image", "tiny")["details"][f"commit of {url}"] == first
    assert project.planned() == []
    second = commit("second")
    assert project.planned() == ["build", "publish", "submit"]
    project.settle()
    assert project.controller("logs", "says", expect=0).out == f"second-{session_name}\n"
    assert project.resource("Image", "tiny")["details"][f"commit of {url}"] == second


@pytest.mark.sandbox
@pytest.mark.docker
def test_a_template_becomes_an_image_that_runs(
    project: Project, slurm: Slurm, own_images: None, session_name: str
) -> None:
    """Begun by the command, committed as written: built, converted, run. Then the same without files of one's own."""
    base, title = "base=debian:trixie-slim", f"title={session_name}"
    began = project.controller(
        "image", "template", "python", "--name", "mine", "--out", str(project.clone / "images"),
        "--set", base, "--set", title, expect=0,
    )  # fmt: skip
    assert "controller validate" in began.out
    written = {p: (project.clone / p).read_text() for p in ("images/mine.yaml", "images/mine/requirements.txt")}
    words = job("words", "cat /opt/requirements.txt", cluster="hpc", image="mine")
    cluster = slurm(containers="apptainer")
    project.commit({**written, "specs.yaml": documents(cluster, words)})
    project.controller("validate", str(project.clone), expect=0)
    assert project.planned() == ["build", "publish", "submit"]
    project.settle()
    assert project.controller("logs", "words", expect=0).out == written["images/mine/requirements.txt"]

    values = {"base": "debian:trixie-slim", "title": f"{session_name}-2", "requirements": ["# nothing"]}
    image = {"kind": "Image", "name": "straight", "build": {"template": "python", "values": values}}
    other = job("other", "tail -n 1 /opt/requirements.txt", cluster="hpc", image="straight")
    project.commit({"specs.yaml": documents(cluster, image, words, other)})
    assert project.planned() == ["build", "publish", "submit"]
    project.settle()
    assert project.controller("logs", "other", expect=0).out == "# nothing\n"
    assert project.planned() == []


@pytest.mark.docker
def test_a_template_that_does_not_render_says_where(project: Project, own_images: None) -> None:
    """A defect of the template stops its image alone, with file, line and cause."""
    files = {
        "templates/mine/template.yaml": "description: Mine\n",
        "templates/mine/Dockerfile.j2": "FROM scratch\nENV A={{ a }}\n",
    }
    image = {"kind": "Image", "name": "mine", "build": {"template": "templates/mine"}}
    project.commit({**files, "specs.yaml": documents(project.here(), image, job("fine", "true"))})
    ran = project.controller("reconcile", "--once", expect=1)
    assert "TemplateFailed" in ran.err
    status, reason, message = project.condition("Image", "mine", "Stalled")
    assert (status, reason) == ("True", "TemplateFailed")
    assert "templates/mine cannot be rendered: Dockerfile.j2:2: 'a' is undefined" in message
    project.passes_until("fine is done", lambda: project.state("fine") == "Succeeded")


def test_a_repository_that_is_gone_changes_nothing(project: Project, elsewhere: Origin) -> None:
    """The pinned commit stays in force, the status says so, and what ran does not run again."""
    url = str(elsewhere.bare)
    elsewhere.commit({"Dockerfile": "FROM scratch\n"})
    image = {"kind": "Image", "name": "other", "build": {"repo": url}}
    project.commit({"specs.yaml": documents(project.here(), image, job("fine", "true"))})
    project.controller("validate", str(project.clone), expect=0)
    project.one_pass(env={"DOCKER_HOST": "unix:///nonexistent"})
    before = project.resource("Image", "other")
    shutil.rmtree(elsewhere.bare)
    project.one_pass(env={"DOCKER_HOST": "unix:///nonexistent"})
    after = project.resource("Image", "other")
    assert after["digest"] == before["digest"]
    assert "stays in force" in after["details"]["source"]
    assert url in after["details"]["source"]


def test_a_repository_that_is_not_there_yet_stops_only_its_image(
    project: Project, elsewhere: Origin, tmp_path: Path
) -> None:
    """Nobody is called for: when it is there, the image goes on by itself."""
    image = {"kind": "Image", "name": "other", "build": {"repo": str(tmp_path / "nothing.git")}}
    project.commit({"specs.yaml": documents(project.here(), image, job("fine", "true"))})
    project.controller("validate", str(project.clone), expect=0)
    ran = project.controller("reconcile", "--once", expect=1)
    assert "there is no Git repository; check the path" in ran.out + ran.err
    project.passes_until("fine is done", lambda: project.state("fine") == "Succeeded", expect=1)
    assert project.condition("Image", "other", "Stalled")[0] == "False"
    assert project.condition("Image", "other", "Reconciling")[:2] == ("True", "SourceUnavailable")
    elsewhere.commit({"Dockerfile": "FROM scratch\n"})
    elsewhere.bare.rename(tmp_path / "nothing.git")
    project.one_pass(env={"DOCKER_HOST": "unix:///nonexistent"})
    assert project.resource("Image", "other")["digest"]


@pytest.mark.sandbox
@pytest.mark.docker
def test_where_no_registry_answers_the_engine_s_image_is_taken(
    project: Project, slurm: Slurm, engine: None, session_name: str
) -> None:
    """By its id, which the status names, with the reason; without it the Image is a problem with a remedy."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        name = f"127.0.0.1:{closed.getsockname()[1]}/lab/{session_name}:v1"
    says = job("says", "cat /etc/debian_version", cluster="hpc", image="tool")
    cluster = slurm(containers="apptainer")
    project.commit({"specs.yaml": documents(cluster, {"kind": "Image", "name": "tool", "from": name}, says)})
    ran = project.controller("reconcile", "--once", expect=1)
    assert "does not answer (connection refused), nor has the Docker Engine one of that name" in ran.out + ran.err
    tag = subprocess.run(["docker", "tag", "debian:trixie-slim", name], capture_output=True, text=True)
    assert tag.returncode == 0, tag.stderr
    try:
        project.settle()
        asked = ["docker", "image", "inspect", "--format", "{{.Id}}", name]
        image = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    finally:
        subprocess.run(["docker", "image", "rm", "--no-prune", name], capture_output=True)
    details = project.resource("Image", "tool")["details"]
    assert details[f"digest of {name}"] == image
    assert "the Docker Engine's image of that name is in force" in details["source"]
    assert project.controller("logs", "says", expect=0).out.startswith("13")


def test_a_tag_is_pinned_to_its_digest(project: Project, tmp_path: Path) -> None:
    """A registry that is down keeps the pin; a tag that moved is another image."""
    registry = Registry(tmp_path / "registry")
    try:
        first = registry.push("lab/tool", "v1", "one")
        name = f"{registry.host}/lab/tool:v1"
        project.commit({"specs.yaml": documents({"kind": "Image", "name": "tool", "from": f"docker://{name}"})})
        env = {"DOCKER_HOST": "unix:///nonexistent"}
        project.one_pass(env=env)
        before = project.resource("Image", "tool")
        assert before["details"][f"digest of {name}"] == first
        registry.stop()
        project.one_pass(env=env)
        down = project.resource("Image", "tool")
        assert down["digest"] == before["digest"]
        assert "does not answer" in down["details"]["source"]
        registry.start()
        second = registry.push("lab/tool", "v1", "two")
        project.one_pass(env=env)
        after = project.resource("Image", "tool")
        assert after["details"][f"digest of {name}"] == second
        assert "source" not in after["details"]
        assert after["digest"] != before["digest"]
    finally:
        registry.stop()
