"""What an account has set for SLURM: followed where the specs are silent, and said of every run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.chaos.sites import There
from tests.conftest import Sandbox
from tests.e2e.harness import Project, documents, job

pytestmark = pytest.mark.sandbox


def test_account_partition_and_qos_of_a_run_are_said(
    project: Project, slurm: Callable[..., dict[str, Any]], sandbox: Sandbox
) -> None:
    """The profile says other/urgent, one spec says lab: status and trace tell under what each has run."""
    there = There(sandbox, "site")
    there.shell("echo 'export SBATCH_ACCOUNT=other SBATCH_PARTITION=urgent' >~/.bash_profile")
    try:
        cluster = slurm(defaults={"time": "10m", "memory": "64M", "cpus": 1})
        ours = job("ours", "env", cluster="hpc", resources={"account": "lab"})
        project.commit({"specs.yaml": documents(cluster, job("theirs", "env", cluster="hpc"), ours)})
        project.settle()
    finally:
        there.shell("rm -f ~/.bash_profile")
    charged = {
        name: [project.task(name)[key] for key in ("account", "partition", "qos")] for name in ("theirs", "ours")
    }
    assert charged == {"theirs": ["other", "urgent", "normal"], "ours": ["lab", "urgent", "normal"]}
    wide = project.controller("status", "-o", "wide", expect=0).out
    [line] = [line for line in wide.splitlines() if " theirs " in line]
    assert "other urgent normal" in " ".join(line.split())
    assert "other" in project.controller("status", "theirs", "-o", "wide", expect=0).out
    links = project.controller("trace", "ours", "-o", "json", expect=0).json["links"]
    assert [links[name]["value"] for name in ("account", "partition", "qos")] == ["lab", "urgent", "normal"]
    assert "SLURM_JOB_ACCOUNT=other" in project.controller("logs", "theirs", expect=0).out
