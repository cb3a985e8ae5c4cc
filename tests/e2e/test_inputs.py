"""Specs and files as people have them: labels, lists, files that are too large, names that are no text."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pygit2
import pytest

from tests.e2e.harness import Project, documents, job
from tests.raw_trees import Raw, commit_raw

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12345678\n"
MODULES = '[submodule "sub"]\n\tpath = data/sub\n\turl = https://example.org/sub.git\n'


@pytest.fixture(params=["local", pytest.param("slurm", marks=pytest.mark.sandbox)])
def cluster(request: pytest.FixtureRequest, project: Project) -> dict[str, Any]:
    """A cluster called ``here``: this machine, or the sandbox over ssh."""
    if request.param == "local":
        return project.here()
    slurm: Callable[..., dict[str, Any]] = request.getfixturevalue("slurm")
    return slurm(name="here")


def test_labels_select_and_change_nothing(project: Project) -> None:
    """Labels stand in the JSON of every kind, ``-l`` picks by them, and a new label runs nothing again."""
    jobs = {
        "one": {"team": "a", "stage": "test"},
        "two": {"team": "a", "stage": "prod"},
        "three": {"team": "b"},
    }
    flow = {
        "kind": "Workflow",
        "name": "flow",
        "cluster": "here",
        "labels": {"team": "c"},
        "steps": {"s": {"command": "true"}},
    }
    here = project.here(labels={"site": "x"})
    specs = documents(here, flow, *(job(name, "true", labels=labels) for name, labels in jobs.items()))
    project.commit({"a.yaml": specs})
    project.settle()

    def picked(*selectors: str) -> list[str]:
        argv = [word for selector in selectors for word in ("-l", selector)]
        return [item["name"] for item in project.controller("status", "-o", "json", *argv, expect=0).json]

    assert {key: item["labels"] for key, item in project.resources().items()} == {
        **{f"Job/{name}": labels for name, labels in jobs.items()},
        "Workflow/flow": {"team": "c"},
        "Cluster/here": {"site": "x"},
    }
    assert picked("team=a") == ["one", "two"]
    assert picked("team=a,stage!=test") == picked("team=a", "stage!=test") == ["two"]
    assert picked("team in (b, c)") == ["three", "flow"]
    assert picked("stage,team notin (b)") == ["one", "two"]
    assert picked("!team") == ["here"]
    assert picked("team=z") == []
    assert "labels: stage=test,team=a" in project.controller("status", "one", expect=0).out
    assert "stage=test,team=a" in project.controller("status", "-o", "wide", expect=0).out
    assert "KEY notin (A,B)" in project.controller("status", "-l", "team in a", expect=2).err

    before = project.tasks()
    project.commit({"a.yaml": specs.replace("team: b", "team: z")})
    project.settle()
    assert project.tasks() == before
    assert picked("team=z") == ["three"]


def test_a_file_that_is_too_large_lists_nothing_that_is_not_there(project: Project) -> None:
    """The file is named with what to do; no resource is made up from its text, and what needs it says that it waits."""
    filler = "".join(
        f"---\nkind: Job\nname: big-{n}\ncluster: far\ncommand: echo\n# {'x' * 4000}\n" for n in range(300)
    )
    large = filler + "---\nkind: Cluster\nname: far\nscheduler: local\ncontainers: none\n"
    project.commit({"a.yaml": documents(project.here(), job("fine", "true")), "large.yaml": large})
    project.commit({"b.yaml": documents(job("user", "true", cluster="far"))})
    project.passes_until("the other runs", lambda: project.state("fine") == "Succeeded", expect=1)
    assert project.names() == ["Cluster/here", "Job/fine", "Job/user"]
    status, reason, message = project.condition("Job", "user", "Stalled")
    assert (status, reason) == ("True", "SpecInvalid")
    assert 'Cluster "far" may stand in large.yaml, which could not be read' in message
    said = project.controller("validate", str(project.clone), "-o", "json", expect=1).json
    assert [(each["line"], each["resource"]) for each in said["problems"]] == [(3, "Job/user"), (0, "")]
    assert "larger than 1 MiB" in said["problems"][1]["message"]


def test_one_error_does_not_hide_another(project: Project) -> None:
    """A misspelt field and a cluster that there is not, in one document, are told together; a list of specs as well."""
    bad = "kind: Job\nname: bad\ncluster: hree\ncomand: echo\ncommand: echo\nenv: {ACCOUNT: 012}\n"
    listed = "- kind: Job\n  name: one\n  cluster: here\n  command: echo\n"
    project.commit({"a.yaml": documents(project.here()), "bad.yaml": bad, "list.yaml": listed})
    out = project.controller("validate", ".", expect=1, where=project.clone).out
    assert 'bad.yaml:3:10: there is no Cluster named "hree"; did you mean "here"?' in out
    assert 'bad.yaml:4:1: unknown field "comand"; did you mean "command"?' in out
    assert 'bad.yaml:6:16: "env.ACCOUNT" must be a string, not an integer (012)' in out
    assert 'quote it: "012"' in out
    assert "list.yaml:1:3: a spec stands by itself, not in a list" in out
    assert "a line --- between two" in out
    assert "4 problems in 2 files, 1 spec valid" in out


def test_files_that_are_not_in_the_commit_are_told_of(project: Project) -> None:
    """Git LFS and a submodule among ``files``: a warning beside the job; named themselves, an error with a remedy."""
    project.commit({"data/big.bin": POINTER, "data/small.txt": "here\n", ".gitmodules": MODULES})
    (project.clone / "data" / "sub").mkdir()
    head = project.git("rev-parse", "HEAD")
    project.git("update-index", "--add", "--cacheinfo", f"160000,{head},data/sub")
    specs = [project.here(), job("warned", "cat data/small.txt; ls -A data", files=["data"])]
    project.commit({"a.yaml": documents(*specs)})
    project.settle()
    missing = (
        "submodules are not fetched and arrive empty: data/sub; "
        "files in Git LFS are not fetched and arrive as pointers: data/big.bin"
    )
    assert project.state("warned") == "Succeeded"
    assert project.controller("logs", "warned", expect=0).out.split() == ["here", "big.bin", "small.txt"]
    assert project.resource("Job", "warned")["details"]["files"] == missing
    assert f"files: {missing}" in project.controller("status", "warned", expect=0).out
    checked = project.controller("validate", ".", expect=0, where=project.clone).out
    assert f"warning: {missing}" in checked
    assert "git lfs migrate export" in checked
    assert "all valid" in checked
    assert f"warning: {missing}" in project.controller("plan", expect=0).err

    named = [
        job(name, "true", files=[path])
        for name, path in (("big", "data/big.bin"), ("sub", "data/sub"), ("in", "data/sub/x"))
    ]
    project.commit({"b.yaml": documents(*named)})
    project.one_pass(expect=1)
    for name, said in (
        ("big", '"data/big.bin" is kept in Git LFS, so that this commit holds a pointer to it'),
        ("sub", '"data/sub" is a submodule, whose files are not in this commit'),
        ("in", '"data/sub/x" lies in the submodule "data/sub", whose files are not in this commit'),
    ):
        assert said in project.condition("Job", name, "Stalled")[2]
        assert said in project.controller("validate", ".", expect=1, where=project.clone).out
    assert project.state("warned") == "Succeeded"


def test_what_git_would_keep_as_a_pointer_is_one_before_the_commit(project: Project) -> None:
    """``validate`` sees a file that ``.gitattributes`` gives to Git LFS as the commit will hold it."""
    files = {"data/.gitattributes": "*.bin filter=lfs -text\n", "data/a.bin": "the whole file", "data/b.txt": "x"}
    specs = [project.here(), job("warned", "true", files=["data"]), job("wrong", "true", files=["data/a.bin"])]
    for name, text in {**files, "a.yaml": documents(*specs)}.items():
        (project.clone / name).parent.mkdir(exist_ok=True)
        (project.clone / name).write_text(text)
    project.git("add", "data/.gitattributes")
    said = project.controller("validate", "-o", "json", ".", expect=1, where=project.clone).json
    assert [problem["resource"] for problem in said["problems"]] == ["Job/wrong"]
    assert [warning["message"] for warning in said["warnings"]] == [
        "files in Git LFS are not fetched and arrive as pointers: data/a.bin"
    ]


def test_zip_takes_copied_files(project: Project) -> None:
    """ZIP knows no time before 1980: what was copied can be packed, in any time zone."""
    command = (
        "TZ=America/Los_Angeles python3 -c \"import shutil; shutil.make_archive('out', 'zip', 'src')\"; ls out.zip"
    )
    specs = documents(project.here(), job("zips", command, files=["src"], results={"files": ["out.zip"]}))
    project.commit({"src/a.txt": "x", "a.yaml": specs})
    project.settle()
    assert project.state("zips") == "Succeeded"
    assert project.controller("logs", "zips", expect=0).out == "out.zip\n"


def test_copied_files_have_one_time(project: Project, cluster: dict[str, Any]) -> None:
    """It is that of the run's start: no file looks newer than another, or old enough to be deleted."""
    command = "stat -c %y a.txt src/b.txt | uniq | wc -l; find . -type f -mtime -1 | sort"
    specs = documents(cluster, job("dates", command, cluster="here", files=["a.txt", "src"]))
    project.commit({"a.txt": "x", "src/b.txt": "x", "a.yaml": specs})
    project.settle()
    assert project.controller("logs", "dates", expect=0).out.split() == ["1", "./a.txt", "./src/b.txt"]


def test_names_arrive_byte_for_byte(project: Project, cluster: dict[str, Any]) -> None:
    """A Latin-1 name, a newline, quotes, a dash, 255 bytes: the files of a job are named as in the commit."""
    names = [
        b"na\xefve.txt",
        "na\u00efve.txt".encode(),
        b"two\nlines",
        b"tab\t'\"$(x)`",
        b"-rf",
        b"\\back",
        b"x" * 255,
        b" ",
    ]
    deep = [b"d" * 200, b"e" * 200, b"\xff" * 200]
    place = project.clone / "data"
    for path, data in [*((name, name) for name in names), (b"/".join([*deep, b"\xe9"]), b"deep")]:
        file = place / os.fsdecode(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    command = "cd data; find . -type f -print0 | LC_ALL=C sort -z | od -An -v -tx1 | tr -d ' \\n'"
    project.commit({"a.yaml": documents(cluster, job("lists", command, cluster="here", files=["data"]))})
    project.settle()
    arrived = bytes.fromhex(project.controller("logs", "lists", expect=0).out)
    expected = sorted([b"./" + name for name in names] + [b"./" + b"/".join([*deep, b"\xe9"])])
    assert arrived == b"".join(name + b"\0" for name in expected)
    assert project.resource("Job", "lists")["details"] == {}


C_LOCALE = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize("locale", [{}, C_LOCALE], ids=["utf-8", "c"])
def test_a_spec_file_whose_name_is_no_text(project: Project, locale: dict[str, str]) -> None:
    """A problem of that file, in every output and locale; other specs go on, and what it defined before stays."""

    def spec(name: str) -> bytes:
        return documents(job(name, "sleep 600" if name == "kept" else "true")).encode()

    here = documents(project.here()).encode()
    repo = pygit2.Repository(str(project.bare))
    commit_raw(repo, "main", {b"here.yaml": here, b"kept.yaml": spec("kept")})
    project.passes_until("it runs", lambda: project.state("kept") == "Running")
    before = project.task("kept")

    files: Raw = {
        b"here.yaml": here,
        b"k\xe9pt.yaml": spec("kept"),
        b"good.yaml": spec("good"),
        b"two\nlines.yaml": spec("two"),
        b"\x1b[31m.yaml": spec("red"),
        "na\u00efve.yaml".encode(): spec("naive"),
        b"-rf.yaml": spec("dash"),
        b"other\xff.yaml": b"not: ours\n",
    }
    commit_raw(repo, "main", files)
    states = {"kept": "Running", "good": "Succeeded", "naive": "Succeeded", "dash": "Succeeded"}

    def shown() -> dict[str, str]:
        return {name: task["state"] for name, task in project.tasks().items()}

    project.passes_until("the others are done", lambda: shown() == states, expect=1)
    assert project.task("kept") == before
    named = {"kept": "k\\xe9pt.yaml", "two": "two\\x0alines.yaml", "red": "\\x1b[31m.yaml"}
    for name, shown in named.items():
        status, reason, message = project.condition("Job", name, "Stalled")
        assert (status, reason) == ("True", "SpecInvalid")
        assert message.startswith(f"{shown}:1:1: the name of the file ")
    readme = project.status_files()["README.md"]
    assert all(shown.replace("\\", "\\\\") in readme.replace("\\[", "[") for shown in named.values())

    for argv in (["status"], ["status", "-o", "wide"], ["status", "-o", "yaml"], ["status", "kept"], ["plan"]):
        ran = project.controller(*argv, env=locale)
        assert "k\\xe9pt.yaml" in (ran.out + ran.err).replace("\\\\", "\\"), argv
        assert ran.code in (0, 1, 2)
    refused = project.controller("suspend", "kept", env=locale, expect=2).err
    assert "k\\xe9pt.yaml" in refused
    assert "rename it" in refused

    project.git("clone", "-q", str(project.bare), "copy", where=project.directory)
    for output in ("text", "json", "github"):
        ran = project.controller("validate", "-o", output, "copy", env=locale, expect=1)
        told = ran.json["problems"] if output == "json" else ran.out.splitlines()
        assert len([each for each in told if "the name of the file" in str(each)]) == 3
    one = project.controller("validate", os.fsdecode(b"copy/k\xe9pt.yaml"), "-o", "json", env=locale, expect=1).json
    assert [problem["path"] for problem in one["problems"]] == ["copy/k\\xe9pt.yaml"]
    project.controller("reconcile", "--once", env=locale, expect=1)


def test_names_that_no_directory_can_hold(project: Project) -> None:
    """A tree from a strange client: the job that names such a path says which; the others run, their files staged."""
    here = documents(project.here()).encode()
    repo = pygit2.Repository(str(project.bare))
    ways = {
        b"up": {b"..": {b"x": b"1"}},
        b"git": {b".GIT": {b"hooks": b"1"}},
        b"long": {b"x" * 256: b"1"},
        b"fine": {b"\xe9": b"1"},
    }
    jobs = documents(*(job(name.decode(), f"ls {name.decode()} | wc -l", files=[name.decode()]) for name in ways))
    commit_raw(repo, "main", {b"here.yaml": here, b"jobs.yaml": jobs.encode(), **ways})
    project.passes_until("the other is done", lambda: project.state("fine") == "Succeeded", expect=1)
    assert project.controller("logs", "fine", expect=0).out.strip() == "1"
    for name, said in (("up", 'has a part ".."'), ("git", 'has a part ".GIT"'), ("long", "more than 255 bytes")):
        message = project.condition("Job", name, "Stalled")[2]
        assert 'the path "' in message
        assert said in message
