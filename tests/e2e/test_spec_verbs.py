"""The verbs that write a commit, and those that tell of the past: what a person types and gets, on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.harness import Counted, Project, documents, job

SPECS = """\
# The cluster.
kind: Cluster
name: here
scheduler: local
containers: none
workdir: {workdir}
---
# Trains; see the paper.
kind: Job
name: train   # not "training"
cluster: here
matrix: {{lr: [0.1, 0.01]}}   # two
command: |
  echo ${{{{ matrix.lr }}}} >>{directory}/ran
  printf '{{"loss": %s}}' ${{{{ matrix.lr }}}} >metrics.json
results: {{files: ["*.json"], metrics: {{loss: {{json: metrics.json, path: loss}}}}}}
# the end of train
---
kind: Workflow
name: bands
cluster: here
steps:
  relax: {{command: echo relax}}   # first
  scf:
    command: echo scf
    needs: [relax]
"""


@pytest.fixture
def specs(project: Project) -> str:
    """Specs with comments, committed; git knows who types."""
    (project.directory / "home" / ".gitconfig").write_text("[user]\n\tname = Grace\n\temail = grace@example.org\n")
    text = SPECS.format(workdir=project.workdir, directory=project.directory)
    project.commit({"specs/a.yaml": text})
    return text


def in_git(project: Project) -> str:
    """Return the file as it is on the remote now; git takes the last line's end off."""
    return project.git("show", "main:specs/a.yaml", where=project.bare) + "\n"


def ran(project: Project) -> list[str]:
    path = project.directory / "ran"
    return sorted(path.read_text().split()) if path.exists() else []


def settled(project: Project) -> None:
    """Run passes until nothing changes any more."""
    project.passes_until(
        "all is done or suspended",
        lambda: {task["state"] for task in project.tasks().values()} <= {"Succeeded", "Waiting"},
    )


def test_a_suspended_job_starts_when_it_is_resumed(project: Project, specs: str) -> None:
    """``suspend`` is one line in one commit by whoever typed it; ``resume`` gives the very same bytes back."""
    said = project.controller("suspend", "train", expect=0).out
    assert said.startswith("suspended job train (specs/a.yaml:9)\n")
    assert project.git("rev-parse", "main", where=project.bare)[:12] in said
    assert in_git(project) == specs.replace("path: loss}}}\n", "path: loss}}}\nsuspend: true\n")
    log = project.git("log", "-1", "--format=%an <%ae> %s", "main", where=project.bare)
    assert log == "Grace <grace@example.org> Suspend job train"
    project.one_pass()
    settled(project)
    assert ran(project) == []
    assert {task["reason"] for key, task in project.tasks().items() if key.startswith("train")} == {"Suspended"}

    again = project.controller("suspend", "train", expect=0)
    assert "is suspended already" in again.out
    assert project.controller("resume", "train", "-m", "Go on").code == 0
    assert in_git(project) == specs
    assert project.git("log", "-1", "--format=%s", "main", where=project.bare) == "Go on"
    settled(project)
    assert ran(project) == ["0.01", "0.1"]
    assert "is not suspended" in project.controller("resume", "train", expect=0).out


def test_one_task_is_suspended_and_another_runs_again(project: Project, specs: str) -> None:
    """``NAME/TASK`` is about that task alone, whatever was said of all of them before."""
    project.controller("suspend", "train/lr=0.1", expect=0)
    assert 'suspend: ["lr=0.1"]\n# the end' in in_git(project)
    settled(project)
    assert ran(project) == ["0.01"]
    refused = project.controller("resume", "train/lr=0.2", expect=2)
    assert 'no task "lr=0.2"; did you mean "lr=0.1"?' in refused.err
    project.controller("resume", "train/lr=0.1", expect=0)
    assert in_git(project) == specs
    settled(project)
    assert ran(project) == ["0.01", "0.1"]

    said = project.controller("rerun", "train", expect=0).out
    assert "2 tasks run again" in said
    settled(project)
    assert ran(project) == ["0.01", "0.01", "0.1", "0.1"]
    assert "1 task runs again" in project.controller("rerun", "train/lr=0.01", expect=0).out
    settled(project)
    assert ran(project) == ["0.01", "0.01", "0.01", "0.1", "0.1"]


def test_steps_of_a_workflow(project: Project, specs: str) -> None:
    """A step is suspended in block or flow style; a rerun of one takes what needs it along."""
    project.controller("suspend", "bands/scf", expect=0)
    assert in_git(project) == specs.replace("[relax]\n", "[relax]\n    suspend: true\n")
    project.controller("resume", "bands/scf", expect=0)
    project.controller("suspend", "bands/relax", expect=0)
    assert "relax: {command: echo relax, suspend: true}   # first\n" in in_git(project)
    project.controller("resume", "bands", expect=0)
    assert in_git(project) == specs
    settled(project)
    said = project.controller("rerun", "bands/relax", "-o", "json", expect=0).json
    assert said["again"] == ["bands/relax", "bands/scf"]
    assert (said["path"], said["line"], said["what"]) == ("specs/a.yaml", 23, "step bands/relax")
    assert "no step" in project.controller("suspend", "bands/relx", expect=2).err


def test_what_is_refused_says_what_to_do(project: Project, specs: str) -> None:
    """Unknown names, a dry run, no identity, a file that cannot be edited: nothing is committed."""
    before = project.git("rev-parse", "main", where=project.bare)
    assert 'no job or workflow "tain"; did you mean "train"?' in project.controller("suspend", "tain", expect=2).err
    shown = project.controller("suspend", "train", "--dry-run", expect=0)
    assert "\n+suspend: true\n" in shown.out
    (project.directory / "home" / ".gitconfig").unlink()
    assert "git config --global user.name" in project.controller("suspend", "train", expect=2).err
    assert project.git("rev-parse", "main", where=project.bare) == before

    known = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org"}
    odd = "? kind\n: Job\n? name\n: odd\n? cluster\n: here\n? command\n: echo\n? suspend\n: false\n"
    project.commit({"specs/odd.yaml": odd})
    refused = project.controller("resume", "odd", expect=0, env=known)
    assert "is not suspended" in refused.out
    project.commit({"specs/odd.yaml": "kind: Job\nname: odd\ncommand: &c echo\ncluster: here\n"})
    refused = project.controller("suspend", "odd", expect=3, env=known)
    assert "specs/odd.yaml:3: anchors" in refused.err
    assert "write into the mapping that begins on line 1: suspend: true" in refused.err


def test_a_refused_push_leaves_a_patch(make_project, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """A path has no hooks; a checkout somewhere else is what refuses there."""
    project = make_project("checked-out")
    project.configure(repo=str(project.clone))
    project.commit({"a.yaml": documents(project.here(), job("one", "true"))})
    known = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org"}
    refused = project.controller("suspend", "one", expect=3, env=known)
    assert "BranchCheckedOut" in refused.err
    (tmp_path / "patch").write_text(refused.err.partition("by hand:\n")[2])
    project.git("apply", str(tmp_path / "patch"))
    assert (project.clone / "a.yaml").read_text().endswith("suspend: true\n")


def test_history_and_trace_tell_where_a_result_comes_from(project: Project, specs: str) -> None:
    """From the status branch and the run's own lock: what happened, and by what."""
    settled(project)
    commit = project.git("rev-parse", "main", where=project.bare)
    past = project.controller("history", "train", "-o", "json", expect=0).json
    assert [(row["task"], row["state"]) for row in past][-2:] == [
        ("train/lr=0.1", "Succeeded"),
        ("train/lr=0.01", "Succeeded"),
    ]
    assert past[-1]["spec_commit"] == commit
    assert past[-1]["exit_code"] == 0
    table = project.controller("history", "bands/scf", expect=0).out.splitlines()
    assert table[0].split() == ["TIME", "SPEC", "COMMIT", "TASK", "STATE", "REASON", "JOB", "TRY", "EXIT"]
    assert {row.split()[2] for row in table[1:]} == {"bands/scf"}
    assert len(project.controller("history", "train", "--limit", "1", expect=0).out.splitlines()) == 2
    assert 'did you mean "train"?' in project.controller("history", "trian", expect=2).err

    links = project.controller("trace", "train/lr=0.1", "-o", "json", expect=0).json["links"]
    value = {name: link["value"] for name, link in links.items()}
    assert value["commit"] == commit
    assert value["spec"] == "specs/a.yaml:9"
    assert value["command"].startswith("echo 0.1 >>")
    assert len(value["script_sha256"]) == 64
    assert (value["exit_code"], value["up_to_date"]) == (0, True)
    assert value["results"] == {"metrics": {"loss": "0.1"}, "files": {"metrics.json": 13}}
    assert links["sif_sha256"] == {"value": None, "note": "the job runs in no image"}

    project.commit({"specs/a.yaml": specs.replace("printf", "true; printf")})
    shown = project.controller("trace", "train/lr=0.1", expect=0).out
    assert "no  (the spec has changed since: command)" in shown
    assert "loss = 0.1" in shown
    assert "name one, such as train/lr=0.1" in project.controller("trace", "train", expect=2).err


def test_a_task_is_found_however_its_point_is_typed(project: Project, specs: str) -> None:
    """Axes in another order, blanks beside commas, quotes: every verb that takes a task finds the same one."""
    grid = "matrix: {lr: [0.1, 0.01], seed: [3, 4]}"
    project.commit({"specs/a.yaml": specs.replace("matrix: {lr: [0.1, 0.01]}", grid)})
    settled(project)
    known = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org"}
    for typed in ("seed=3,lr=0.1", "lr=0.1, seed=3", "lr='0.1' , seed=\"3\"", '"seed=3","lr=0.1"'):
        (one,) = project.controller("status", f"train/{typed}", "-o", "json", expect=0).json
        assert [task["id"] for task in one["tasks"]] == ["train/lr=0.1,seed=3"]
        assert (
            project.controller("trace", f"Job/train/{typed}", "-o", "json", expect=0).json["task"]
            == one["tasks"][0]["id"]
        )
        told = project.controller("history", f"train/{typed}", "-o", "json", expect=0).json
        assert {row["task"] for row in told} == {"train/lr=0.1,seed=3"}
        assert project.controller("logs", f"train/{typed}", expect=0).out == ""
        for verb in ("suspend", "rerun"):
            diff = project.controller(verb, f"train/{typed}", "--dry-run", expect=0).out
            assert "lr=0.1,seed=3" in diff
    project.controller("suspend", "train/seed=3, lr=0.1", expect=0, env=known)
    project.controller("resume", "train/seed=3,lr=0.1", expect=0, env=known)
    assert "suspend" not in in_git(project)


def test_every_verb_suggests_the_nearest_name(project: Project, specs: str) -> None:
    """A name with a typing error is answered with the one that was meant, whatever the verb."""
    settled(project)
    for verb in ("status", "logs", "history", "trace", "suspend", "resume", "rerun"):
        for typed, meant in (
            ("trian", "train"),
            ("train/lr=0.11", "lr=0.1"),
            ("bands/rlax", "relax"),
            ("bnads/relax", "bands"),
        ):
            said = project.controller(verb, typed, expect=2).err
            assert 'did you mean "' in said, (verb, typed, said)
            assert said.rpartition('did you mean "')[2].partition('"')[0].endswith(meant), (verb, typed, said)
    assert 'did you mean "status"?' in project.controller("stauts", expect=2).err
    assert 'did you mean "list"?' in project.controller("image", "lst", expect=2).err


def test_a_dry_run_needs_no_identity(project: Project, specs: str) -> None:
    """Git does not know who types: the change is shown all the same, and a commit is refused with the remedy."""
    (project.directory / "home" / ".gitconfig").unlink()
    settled(project)
    for verb in ("suspend", "rerun"):
        assert project.controller(verb, "train", "--dry-run", expect=0).out.startswith("diff --git")
        refused = project.controller(verb, "train", expect=2).err
        assert "AuthorUnknown" in refused
        assert "git config --global user.name" in refused
    assert "is not suspended" in project.controller("resume", "train", "--dry-run", expect=0).out
    assert in_git(project) == specs


def test_how_the_commit_reaches_the_checkout(project: Project, specs: str) -> None:
    """Said by each of the verbs: to be pulled into the checkout that it is called in, or moved along with it."""
    settled(project)
    inside = {"PWD": str(project.clone)}
    for verb in ("suspend", "resume", "rerun"):
        ran = project.controller(verb, "train", expect=0, where=project.clone, env=inside)
        assert "`git pull` on branch main brings it into this checkout." in ran.out
    project.git("pull", "-q", "origin", "main")
    local = project.controller("suspend", "train", "--repo", str(project.clone), expect=0, where=project.clone)
    assert f"The checkout {project.clone} has moved along: it holds the commit already." in local.out
    assert "suspend: true" in (project.clone / "specs/a.yaml").read_text()


def test_approving_what_is_held(project: Project, counted: Counted) -> None:
    """What is held is shown, and let go by an empty commit, for just the commit that a pass has seen."""
    known = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org"}
    names = [f"job-{n:02}" for n in range(12)]
    jobs = documents(*(job(name, counted.command) for name in names))
    project.commit({"cluster.yaml": documents(project.here()), "jobs.yaml": jobs})
    project.passes_until("some run", lambda: counted.lines)
    assert "NothingHeld" in project.controller("approve", expect=3, env=known).err

    commit = project.commit({"jobs.yaml": None}, "Remove all")
    assert "NothingHeld" in project.controller("approve", expect=3, env=known).err
    project.one_pass()
    newer = project.commit({"note.txt": "x"}, "More")
    assert "StatusOutdated" in project.controller("approve", expect=3, env=known).err
    project.one_pass()
    assert "BranchMoved" in project.controller("approve", commit[:10], expect=3, env=known).err
    shown = project.controller("approve", "--dry-run", expect=0, env=known).out
    assert "held back: MassCancel: " in shown
    assert [line.split()[:2] for line in shown.splitlines() if line.startswith("Job/")] == [
        [f"Job/{name}", name] for name in names
    ]
    assert "12 active runs of 12 resources are held back" in shown
    listed = project.controller("approve", "--dry-run", "-o", "json", expect=0).json
    assert [run["run"] for resource in listed["held"] for run in resource["runs"]] == names
    assert listed["commit"] is None
    assert counted.alive()

    approved = project.controller("approve", newer[:10], expect=0, env=known).out
    assert f"approved {newer[:12]}\ncommit " in approved
    assert f"`git pull` on branch main brings it into your checkout of {project.bare}." in approved
    assert project.git("diff", newer, "main", where=project.bare) == ""
    project.passes_until("all are gone", lambda: project.names() == ["Cluster/here"])
    assert not counted.alive()
    gone = project.controller("history", "job-03", expect=0).out
    assert "Removed" in gone
