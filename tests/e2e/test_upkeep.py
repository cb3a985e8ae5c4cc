"""Images listed and cleared away: what is in use stays, whoever uses it, and what goes can be made again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Sandbox
from tests.e2e.conftest import MakeProject
from tests.e2e.harness import COMMAND, Project, documents, job, on_terminal, wait_for

pytestmark = [pytest.mark.sandbox, pytest.mark.docker]
Slurm = Callable[..., dict[str, Any]]
RECIPE = """
FROM debian:trixie-slim AS all
RUN mkdir -p /tiny/bin /tiny/dev /tiny/etc /tiny/proc /tiny/sys /tiny/tmp /tiny/var/tmp \\
 && cp /bin/bash /bin/sh /bin/true /bin/cat /bin/sleep /tiny/bin/ \\
 && cp --parents -L $(ldd /bin/bash /bin/sh /bin/true /bin/cat /bin/sleep | grep -o '/[^ ]*[^: ]' | sort -u) /tiny/
FROM scratch
COPY --from=all /tiny/ /
COPY word /word
"""
"""A shell and next to nothing else, so that a conversion takes a second."""


class Lab:
    """A project whose one image holds a word, on a work directory of its own or somebody else's."""

    def __init__(self, project: Project, slurm: Slurm, sandbox: Sandbox, root: str) -> None:
        self.project, self.slurm, self.sandbox, self.root = project, slurm, sandbox, root

    def commit(self, word: str | None, *, command: str = "cat /word", **fields: Any) -> str:
        """Commit an image that holds a word (None: no image at all) and a job in it."""
        cluster = self.slurm(containers="apptainer", workdir=self.root)
        if word is None:
            return self.project.commit({"specs.yaml": documents(cluster, job("plain", "true", cluster="hpc"))})
        image = {"kind": "Image", "name": "tiny", "build": {"context": "image"}}
        return self.project.commit(
            {
                "specs.yaml": documents(cluster, image, job("says", command, cluster="hpc", image="tiny", **fields)),
                "image/Dockerfile": RECIPE,
                "image/word": f"{word}\n",
            }
        )

    def made(self, word: str) -> str:
        """Commit, let the job run, and return the image's identity."""
        self.commit(word)
        self.project.settle()
        assert self.project.state("says") == "Succeeded", self.project.task("says")
        return str(self.project.resource("Image", "tiny")["digest"])

    def sifs(self) -> set[str]:
        """Return the identities of the SIF files on the cluster."""
        listed = self.sandbox.ssh(f"ls {self.root}/images").split()
        return {name.removesuffix(".sif") for name in listed if name.endswith(".sif")}

    def everything(self) -> set[str]:
        """Return all that is in the images directory but locks."""
        listed = self.sandbox.ssh(f"ls -A {self.root}/images").split()
        return {name for name in listed if not name.startswith(".lock.")}

    def copies(self, *argv: str) -> dict[tuple[str, str], list[str]]:
        """Return what each copy is used by, but for other controllers' on the engine: (place, identity) -> words."""
        said = self.project.controller("image", "list", "-o", "json", *argv, expect=0).json
        found = {(each["place"], each["identity"]): each["used_by"] for each in said["images"]}
        return {
            (place, identity): used
            for (place, identity), used in found.items()
            if place != "engine" or not any(word.startswith(("instance ", "left by a build")) for word in used)
        }

    def prune(self, *argv: str, expect: int = 0) -> Any:
        """Clear away, keeping what the newest commit alone uses."""
        return self.project.controller("image", "prune", "--keep-commits", "1", *argv, expect=expect)


@pytest.fixture
def lab(
    make_project: MakeProject, own_images: None, slurm: Slurm, sandbox: Sandbox, cluster_dir: str, tmp_path: Any
) -> Lab:
    """A project with a work directory of its own on the sandbox."""
    project = make_project("upkeep")
    return Lab(project, slurm, sandbox, f"{cluster_dir}/{project.instance}")


def test_what_nothing_uses_is_listed_announced_and_removed(lab: Lab) -> None:
    """Dry run and a missing yes remove nothing; then the old copies go, and the branch moved back makes them again."""
    old = lab.made(f"old-{lab.project.instance}")
    before = lab.project.git("rev-parse", "HEAD")
    new = lab.made(f"new-{lab.project.instance}")
    copies = lab.copies()
    assert copies[("hpc", new)][0] == copies[("engine", new)][0] == "the newest commit"
    assert copies[("hpc", old)] == [f"commit {before[:12]} (1 back)"]
    one = lab.copies("--keep-commits", "1")
    assert one[("hpc", old)] == one[("engine", old)] == []
    assert 'did you mean "tiny"?' in lab.project.controller("image", "list", "tny", expect=0).out
    table = lab.project.controller("image", "list", "tiny", "--keep-commits", "1", expect=0).out
    assert [line.split()[:3] for line in table.splitlines() if line.endswith("nothing")] == [
        ["tiny", "engine", old[:12]],
        ["tiny", "hpc", old[:12]],
    ]

    assert lab.project.controller("image", "prune", "--yes", expect=0).out.startswith("nothing to remove")
    assert old[:12] in lab.prune("--dry-run").out
    refused = lab.prune(expect=1)
    assert "nothing was removed: say --yes" in refused.err
    assert "hpc: 1 file," in refused.out
    assert lab.sifs() == {old, new}

    said = lab.prune("--yes", "-o", "json").json
    assert {(each["place"], each["identity"]) for each in said["removed"]} == {("engine", old), ("hpc", old)}
    assert said["kept"] == []
    assert lab.everything() == {f"{new}.sif", f"{new}.sha256"}
    assert set(lab.copies()) == {("engine", new), ("hpc", new)}
    assert lab.prune("--yes").out.startswith("nothing to remove")

    lab.commit(f"old-{lab.project.instance}", command="cat /word; echo again")
    assert lab.project.planned() == ["build", "publish", "submit"]
    lab.project.settle()
    assert lab.project.controller("logs", "says", expect=0).out == f"old-{lab.project.instance}\nagain\n"
    assert lab.sifs() == {old, new}


def test_an_active_run_keeps_its_image(lab: Lab) -> None:
    """Its spec has moved on and no commit that counts names the image: as long as the run lives, the SIF stays."""
    until_released = "while [ ! -e ../../../../release ]; do sleep 0.2; done"
    lab.commit(f"runs-{lab.project.instance}", command=until_released, on_change="finish")
    lab.project.passes_until("it runs", lambda: lab.project.state("says") == "Running")
    [identity] = lab.sifs()
    lab.commit(f"next-{lab.project.instance}", on_change="finish")
    lab.project.one_pass()
    words = lab.copies("--keep-commits", "1")[("hpc", identity)]
    assert [word.split("/")[0] for word in words] == ["run says"]
    lab.prune("--yes")
    assert identity in lab.sifs()
    lab.sandbox.ssh(f"touch {lab.root}/{lab.project.instance}/release")
    lab.project.settle()
    lab.prune("--yes")
    assert identity not in lab.sifs()


def test_a_file_that_another_instance_uses_stays(
    lab: Lab, make_project: MakeProject, slurm: Slurm, sandbox: Sandbox, session_name: str
) -> None:
    """Two repositories, one work directory, one image: it goes when the second has given it up as well."""
    other = Lab(make_project("other"), slurm, sandbox, lab.root)
    identity = lab.made(f"both-{session_name}")
    assert other.made(f"both-{session_name}") == identity
    lab.commit(None)
    words = lab.copies("--keep-commits", "1")[("hpc", identity)]
    assert words == [f"instance {other.project.instance}"]
    lab.prune("--yes")
    assert identity in lab.sifs()
    assert other.copies()[("hpc", identity)] == ["the newest commit"]
    other.commit(f"both-{session_name}", command="cat /word; echo again")
    assert other.project.planned() == ["submit"]
    other.project.settle()
    assert other.project.state("says") == "Succeeded"

    other.commit(None)
    other.prune("--yes")
    assert lab.everything() == set()


def test_nothing_goes_while_something_is_unknown(lab: Lab) -> None:
    """No engine that answers, no cluster that does, a commit that cannot be read: that is said, and nothing removed."""
    old = lab.made(f"old-{lab.project.instance}")
    new = lab.made(f"new-{lab.project.instance}")
    nowhere = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
    ran = lab.project.controller("image", "prune", "--keep-commits", "1", "--yes", env=nowhere, expect=3)
    assert "engine could not be seen (EngineUnavailable" in ran.err
    listed = lab.project.controller("image", "list", "--keep-commits", "1", env=nowhere, expect=0)
    assert "unknown: engine: EngineUnavailable" in listed.err
    assert not [line for line in listed.out.splitlines() if line.endswith("nothing")]
    assert "unknown" in listed.out

    text = (lab.project.clone / "specs.yaml").read_text()
    lab.project.commit({"specs.yaml": text.replace("context: image", "context: [image")})
    lab.project.commit({"specs.yaml": text})
    ran = lab.project.controller("image", "prune", "--keep-commits", "2", "--yes", expect=3)
    assert "cannot be read whole (Image/tiny" in ran.err or "cannot be read whole (specs.yaml" in ran.err

    lab.project.commit({"specs.yaml": text.replace(" port:", " port: 1 #")})
    ran = lab.prune("--yes", expect=3)
    assert "hpc could not be seen" in ran.err
    assert lab.sifs() == {old, new}


@pytest.mark.parametrize("failpoint", ["prune.aside.after", "prune.mark.after"])
def test_a_kill_in_the_middle_leaves_nothing_broken(lab: Lab, failpoint: str) -> None:
    """Killed with the file set aside: it is not half there, and the next time it goes, or is back for who needs it."""
    old = lab.made(f"old-{lab.project.instance}")
    new = lab.made(f"new-{lab.project.instance}")
    lab.sandbox.ssh(f"mkdir -p {lab.root}/.failpoints/{failpoint}")
    ran = lab.prune("--yes", expect=1)
    assert "kept tiny on hpc: " in ran.err
    assert lab.sandbox.ssh(f"ls {lab.root}/.failpoints").split() == []
    assert lab.sifs() == {new}
    half_made = lab.project.controller("image", "list", "-o", "json", expect=0).json["half_made"]
    assert [each["name"].split(".")[:3] for each in half_made] == [["", "pruned", old]]

    lab.commit(f"old-{lab.project.instance}", command="cat /word; echo again")
    lab.project.settle()
    assert lab.project.controller("logs", "says", expect=0).out == f"old-{lab.project.instance}\nagain\n"
    assert lab.prune("--yes", "-o", "json").json["kept"] == []
    assert lab.everything() == {f"{old}.sif", f"{old}.sha256"}


def test_the_question_is_asked_on_a_terminal(lab: Lab) -> None:
    """The answer no, which is also what an empty line means, removes nothing."""
    lab.made(f"old-{lab.project.instance}")
    lab.made(f"new-{lab.project.instance}")
    argv = [str(COMMAND), "image", "prune", "--keep-commits", "1"]
    shown = on_terminal(argv, columns=120, env=lab.project.environment(), cwd=lab.project.directory, typed=b"\n")
    assert "Remove 2? [y/N]" in shown
    assert len(lab.sifs()) == 2


def test_the_loop_clears_away_only_when_told_to(lab: Lab) -> None:
    """Off by default; with the setting, the next pass does it, and not again for a day."""
    old = lab.made(f"old-{lab.project.instance}")
    new = lab.made(f"new-{lab.project.instance}")
    lab.project.one_pass()
    assert lab.sifs() == {old, new}
    lab.project.configure(prune={"keep_commits": 1})
    lab.project.one_pass()
    wait_for("the old file is gone", lambda: lab.sifs() == {new}, deadline_s=5)
    newest = lab.made(f"newest-{lab.project.instance}")
    lab.project.one_pass()
    assert lab.sifs() == {new, newest}
