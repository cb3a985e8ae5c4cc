"""One shell for one spec: on the node and in an image, by each scheduler; and what is said where it is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.conftest import SESSION
from tests.e2e.harness import Project, documents, job

pytestmark = [pytest.mark.sandbox, pytest.mark.docker]
Slurm = Callable[..., dict[str, Any]]
RECIPE = """
FROM debian:trixie-slim AS all
RUN mkdir -p /tiny/bin /tiny/dev /tiny/etc /tiny/proc /tiny/sys /tiny/tmp /tiny/var/tmp \\
 && cp /bin/sh /bin/true /bin/cat /tiny/bin/ {more} \\
 && cp --parents -L $(ldd /tiny/bin/* | grep -o '/[^ :]*[^: ]' | grep -v tiny | sort -u) /tiny/
FROM scratch
COPY --from=all /tiny/ /
"""
SH, NONE = {"shell": "sh -e"}, {"shell": "/opt/none/bash -e"}
PIPELINE = "cat missing | cat; echo went on"


def a_job(name: str, command: str = PIPELINE, **fields: Any) -> dict[str, Any]:
    """Return the spec of a job on the cluster, which names an image and a shell if asked to."""
    return job(name, command, cluster="hpc", **fields)


def image(name: str) -> dict[str, Any]:
    return {"kind": "Image", "name": f"{name}-{SESSION}", "build": {"context": name}}


@pytest.mark.parametrize("scheduler", ["slurm", "local"])
def test_one_shell_on_the_node_and_in_images(project: Project, slurm: Slurm, own_images: None, scheduler: str) -> None:
    """A failing pipeline is a failure in both; without bash, ``shell: sh -e`` goes on. No end is mixed up."""
    cluster = slurm(containers="apptainer", scheduler=scheduler)
    if scheduler == "local":
        cluster["defaults"] = {"time": "10m"}
    full, bare = ({"image": f"{name}-{SESSION}"} for name in ("full", "bare"))
    specs = [
        a_job("on-node"),
        a_job("on-node-sh", **SH),
        a_job("in-image", **full),
        a_job("in-image-sh", **SH, **full),
        a_job("missing", **bare),
        a_job("missing-path", **NONE, **bare),
        a_job("goes-on", **SH, **bare),
        a_job("own-127", "bash -c true", **SH, **bare),
        a_job("own-255", "echo '\"sh\": executable file not found in $PATH' >&2; exit 255", **SH, **bare),
    ]
    contexts = {
        "full/Dockerfile": RECIPE.format(more="&& cp /bin/bash /tiny/bin/"),
        "bare/Dockerfile": RECIPE.format(more=""),
    }
    project.commit({"specs.yaml": documents(cluster, image("full"), image("bare"), *specs)} | contexts)
    project.settle()
    ends = {name: project.task(name) for name in (each["name"] for each in specs)}
    assert {name: (end["reason"], end["exit_code"]) for name, end in ends.items()} == {
        "on-node": ("ExitCode", 1),
        "on-node-sh": ("Completed", 0),
        "in-image": ("ExitCode", 1),
        "in-image-sh": ("Completed", 0),
        "missing": ("ShellMissing", 255),
        "missing-path": ("ShellMissing", 255),
        "goes-on": ("Completed", 0),
        "own-127": ("ExitCode", 127),
        "own-255": ("ExitCode", 255),
    }
    assert "such as shell: sh -e" in ends["missing"]["message"]
    assert "there is no bash in the image" in ends["missing"]["stderr_tail"]
    assert "there is no /opt/none/bash in the image" in ends["missing-path"]["stderr_tail"]

    # The cluster's default changes what runs from now on, and nothing that has run.
    cluster["defaults"]["shell"] = "sh -e"
    project.commit({"specs.yaml": documents(cluster, image("full"), image("bare"), *specs)})
    assert project.planned() == []
    specs[4] = a_job("missing", rerun="with sh", **bare)
    project.commit({"specs.yaml": documents(cluster, image("full"), image("bare"), *specs)})
    project.settle()
    assert project.state("missing") == "Succeeded"
