"""What changes about a cluster, on SLURM: the same place by another name goes on, another cluster is held."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.sites import There
from tests.conftest import Sandbox
from tests.e2e.harness import Gate, documents, job
from tests.life.lab import Lab, Person

pytestmark = pytest.mark.sandbox
ENDED = {"done": "Succeeded", "long": "Succeeded"}
ONCE = Counter(done=1, long=1)


class Far:
    """The sandbox as a cluster that has two names: its own port, and a gate to it."""

    def __init__(self, lab: Lab, sandbox: Sandbox, directory: Path) -> None:
        self.lab = lab
        self.site = There(sandbox, f"life-{uuid.uuid4().hex[:8]}")
        self.gate = Gate(sandbox.host, sandbox.port)
        self.gate.open()
        self.known_hosts = directory / "known_hosts"
        key = sandbox.known_hosts.read_text().split(" ", 1)[1]
        lines = [f"[{sandbox.host}]:{port} {key.strip()}\n" for port in (sandbox.port, self.gate.port)]
        self.known_hosts.write_text("".join(lines))
        self.ada = lab.person("ada")

    def specs(self, *, renamed: bool = False, workdir: str = "") -> dict[str, str]:
        """Return the specs with the one name or the other, and with another work directory."""
        cluster = self.site.cluster(workdir=workdir or self.site.workdir)
        port = self.gate.port if renamed else cluster["connection"]["port"]
        cluster["connection"] |= {"known_hosts": str(self.known_hosts), "port": port}
        wait = f"while [ ! -e {self.site.workdir}.go ]; do sleep 0.2; done"
        done, long = (
            job(name, self.site.counting(more), cluster="there") for name, more in (("done", ""), ("long", wait))
        )
        return {"cluster.yaml": documents(cluster), "jobs.yaml": documents(done, long)}

    def release(self) -> None:
        """Let the long job end."""
        self.site.shell(f"touch {self.site.workdir}.go")

    def executions(self) -> Counter[str]:
        """Return how often each job's command was executed."""
        return Counter(run.partition("/")[0] for run in self.site.executions())


@pytest.fixture
def far(lab: Lab, sandbox: Sandbox, tmp_path: Path) -> Iterator[Far]:
    """One job has succeeded, the other runs."""
    made = Far(lab, sandbox, tmp_path)
    lab.commit(made.specs(renamed=False))
    made.ada.passes_until({"done": "Succeeded", "long": "Running"})
    yield made
    made.release()
    made.site.end(lab.record()["instance"])
    made.gate.close()


def finished(far: Far, ada: Person) -> None:
    """All ends, having run once; SLURM has had no more jobs than that."""
    far.release()
    ada.passes_until(ENDED)
    assert far.executions() == ONCE
    jobs = far.site.jobs(far.lab.record()["instance"])
    assert sorted(each.state for each in jobs) == ["COMPLETED", "COMPLETED"]
    assert ada.one_pass()["actions"] == []


@pytest.mark.parametrize("lost", [False, True])
def test_a_login_host_that_is_renamed(far: Far, lost: bool) -> None:
    """Our record is in the work directory: nothing is held, nothing runs again, also with the state lost."""
    if lost:
        far.ada.lose_state()
    far.lab.commit(far.specs(renamed=True))
    said: dict[str, Any] = far.ada.one_pass()
    assert f"is reached by 127.0.0.1:{far.gate.port}" in "".join(said["notes"])
    assert far.ada.states() == {"done": "Succeeded", "long": "Running"}
    assert far.ada.one_pass()["notes"] == []
    finished(far, far.ada)


def test_another_cluster_under_the_same_name(far: Far) -> None:
    """Nothing of ours is there: held. Left, the run is followed by the old name, and new work goes to the new one."""
    work = far.site.workdir
    far.site.shell(f"mv {work} {work}.aside")
    far.lab.commit(far.specs(renamed=True))
    said = far.ada.one_pass(expect=3)
    assert [each["reason"] for each in said["unseen"]] == ["ClusterChanged"]
    assert far.ada.states() == {"done": "Succeeded", "long": "Unknown"}
    (step,) = far.ada.controller("move", "-o", "json", expect=1).json["steps"]
    assert (step["what"], step["runs"]) == ("cluster", 2)
    assert "NothingCarried" in far.ada.controller("move", "--carry", "there", "--yes", expect=3).err
    far.ada.controller("move", "--leave", "there", "--yes")
    far.site.shell(f"mv {work}.aside {work}")
    far.ada.passes_until({"done": "Succeeded", "long": "Running"})
    finished(far, far.ada)


def test_a_work_directory_that_moves_while_a_job_runs(far: Far) -> None:
    """SLURM has one queue for both: the run ends where it is, new work goes to the new directory."""
    new = f"{far.site.workdir}-new"
    files = far.specs(workdir=new)
    more = job("more", far.site.counting(), cluster="there")
    far.lab.commit({**files, "more.yaml": documents(more)})
    assert "is followed there" in "".join(far.ada.one_pass()["notes"])
    far.ada.passes_until({"done": "Succeeded", "long": "Running", "more": "Succeeded"})
    far.release()
    far.ada.passes_until({**ENDED, "more": "Succeeded"})
    assert far.executions() == ONCE + Counter(more=1)
    (status,) = far.ada.controller("status", "more", "-o", "json").json
    assert status["tasks"][0]["run_dir"].startswith(f"{new}/")
    (status,) = far.ada.controller("status", "long", "-o", "json").json
    assert status["tasks"][0]["run_dir"].startswith(f"{far.site.workdir}/")
