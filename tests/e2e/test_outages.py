"""A login node that is down, or that is not the one it should be: nothing is done in the dark, and all else goes on."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Sandbox
from tests.e2e.harness import Gate, Project, documents, job

pytestmark = pytest.mark.sandbox
Slurm = Callable[..., dict[str, Any]]


def test_an_unreachable_login_node_stops_only_its_own_jobs(
    project: Project, slurm: Slurm, sandbox: Sandbox, gate: tuple[Gate, Path]
) -> None:
    """Its running job is Unknown, a new one waits, another cluster's job succeeds; then all is found again."""
    way, known = gate
    far = slurm(connection={"port": way.port, "known_hosts": str(known)})
    runs = job("runs", "sleep 500", cluster="hpc")
    project.commit({"specs.yaml": documents(far, project.here(), runs)})
    project.passes_until("it runs", lambda: project.state("runs") == "Running")
    before = project.task("runs")

    way.close()
    project.commit(
        {"specs.yaml": documents(far, project.here(), runs, job("new", "true", cluster="hpc"), job("near", "true"))}
    )
    project.passes_until("the other cluster's job is done", lambda: project.state("near") == "Succeeded")
    lost, new = project.task("runs"), project.task("new")
    assert (lost["state"], lost["reason"], lost["job_id"]) == ("Unknown", "Unreachable", before["job_id"])
    assert (new["state"], new["reason"]) == ("Waiting", "Unreachable")
    assert "hpc" in new["message"]
    assert project.condition("Cluster", "hpc", "Ready")[:2] == ("Unknown", "Unreachable")
    assert project.condition("Cluster", "here", "Ready")[0] == "True"

    way.open()
    project.passes_until("the new one is done", lambda: project.state("new") == "Succeeded")
    found = project.task("runs")
    assert (found["state"], found["job_id"], found["attempt"]) == ("Running", before["job_id"], 1)
    assert len(sandbox.jobs(project.instance)) == 2
    assert sandbox.state_of(before["job_id"]) == "RUNNING"


@pytest.mark.parametrize("transport", ["fabric", "openssh"])
def test_a_wrong_host_key_is_refused(project: Project, slurm: Slurm, tmp_path: Path, transport: str) -> None:
    """A login node whose key is not the one in known_hosts is not spoken to; a person is asked to look."""
    keygen = shutil.which("ssh-keygen")
    assert keygen is not None
    subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    connection = slurm()["connection"]
    other = " ".join((tmp_path / "other.pub").read_text().split()[:2])
    (tmp_path / "known_hosts").write_text(f"[{connection['host']}]:{connection['port']} {other}\n")
    wrong = slurm(transport=transport, connection={"known_hosts": str(tmp_path / "known_hosts")})
    project.commit({"specs.yaml": documents(wrong, job("secret", "true", cluster="hpc"))})
    project.one_pass(expect=3)
    task = project.task("secret")
    assert (task["state"], task["reason"]) == ("Waiting", "HostKeyRejected")
    status, reason, message = project.condition("Cluster", "hpc", "Stalled")
    assert (status, reason) == ("True", "HostKeyRejected")
    assert str(tmp_path / "known_hosts") in message or "host key" in message
    assert project.planned() == []
