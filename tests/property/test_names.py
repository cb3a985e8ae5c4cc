"""Any bytes as a path: of a spec, among files, in a context. Either taken, or named in an error; others go on."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tempfile
from contextlib import nullcontext
from pathlib import Path

import pygit2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from controller.model.files import FileSet
from controller.model.images import Build
from controller.model.resources import Desired
from controller.reconcile.archives import write_tar
from controller.repository.committree import CommitTree
from controller.specs.compile import load
from controller.specs.nearest import printable
from tests.raw_trees import Raw, write_raw

GOOD = b"""\
kind: Cluster
name: here
scheduler: local
containers: apptainer
---
kind: Job
name: good
cluster: here
command: echo
"""
USER = b"""\
kind: Image
name: tool
build: {context: img}
---
kind: Job
name: user
cluster: here
command: echo
files: [data]
"""
ODD = b"kind: Job\nname: odd\ncluster: here\ncommand: echo\n"
TRICKY = (
    b"\xe9", b"\xff\xfe", b"two\nlines", b"tab\t", b'"', b"'", b"-rf", b"-", b" ", b"\\", b"\\xe9", b"$(x)", b"`x`",
    b"..", b".", b".git", b".GIT", b"...", b".gitignore", b"x" * 255, b"x" * 256, b"\xc3\xa9", b"\xed\xa0\x80",
    b"\x1b[31m",
    b"\x7f", b"\xe2\x80\xa8", b"*", b"[a", b"#", b"!x", b"con", b"a:b", b"\xf0\x9f\x98\x80" * 63, b"%s", b"{x}", b"~",
)  # fmt: skip
NAMES = st.sampled_from(TRICKY) | st.binary(min_size=1, max_size=300).map(
    lambda name: name.replace(b"\0", b"0").replace(b"/", b"_")
)


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> pygit2.Repository:
    """One object database for all examples."""
    return pygit2.init_repository(str(tmp_path_factory.mktemp("names")), bare=True)


def loaded(repo: pygit2.Repository, files: Raw, *, more: bytes = b"") -> tuple[Desired, CommitTree]:
    tree = CommitTree(lambda: nullcontext(repo), "c" * 40, write_raw(repo, files, more=more))
    return load(tree), tree


def said(result: Desired, resource: str) -> str:
    """Return the headline of a resource's problem, which has to have a remedy and to be fit for any screen and file."""
    (problem,) = [problem for problem in result.problems if problem.resource == resource]
    assert problem.remedy
    for text in (problem.headline(), problem.remedy):
        assert text.isprintable()
        json.dumps(text).encode("ascii")
        text.encode("utf-8")
    return problem.headline()


def unpacked(tree: CommitTree, files: FileSet) -> dict[bytes, bytes]:
    """Return what a cluster gets of files, unpacked by its own tar in another locale."""
    archive = io.BytesIO()
    write_tar(archive, [("t", tree, files.entries)])
    with tempfile.TemporaryDirectory() as place:
        argv = ["tar", "-x", "-C", place, "-f", "-"]
        subprocess.run(argv, input=archive.getvalue(), check=True, env={"PATH": os.environ["PATH"], "LC_ALL": "C"})
        root = Path(place) / "t"
        found = (Path(directory) / name for directory, _, names in os.walk(root) for name in names)
        return {os.fsencode(file.relative_to(root)): file.read_bytes() for file in found}


@given(name=NAMES)
def test_a_name_of_a_spec_file(repo: pygit2.Repository, name: bytes) -> None:
    """It is read, or is a problem of that file; hidden files are none of the controller's."""
    ignored = b"*.tmp\n\xe9\xff/\nfinished[a]\n"
    result, _ = loaded(repo, {b"good.yaml": GOOD, name + b".yaml": ODD, b".controllerignore": ignored})
    assert set(result.jobs) >= {"good"}
    assert "Job/good" not in result.broken
    if name.startswith(b"."):
        assert set(result.jobs) == {"good"}
        assert not result.problems
    elif "odd" in result.jobs:
        assert result.jobs["odd"].source.path.encode("utf-8") == name + b".yaml"
        assert not result.problems
    else:
        assert "name of the file" in said(result, "Job/odd")
        assert result.broken == {"Job/odd"}


@given(name=NAMES, inner=NAMES)
@example(name=b"d" * 255, inner=b"\xff" * 255)
def test_names_among_files_and_in_a_context(repo: pygit2.Repository, name: bytes, inner: bytes) -> None:
    """They arrive byte for byte, or the job and the image say which name is at fault; another job goes on."""
    data = {name: {inner: b"1"}, b"plain": b"2"}
    context = {b"Dockerfile": b"FROM scratch\n", b".dockerignore": b"*.tmp\n\xe9*\n", **data}
    files: Raw = {b"good.yaml": GOOD, b"user.yml": USER, b"data": data, b"img": context}
    result, tree = loaded(repo, files)
    assert "good" in result.jobs
    if "user" in result.jobs:
        chosen = result.jobs["user"].files
        assert chosen is not None
        assert unpacked(tree, chosen) == {b"data/" + name + b"/" + inner: b"1", b"data/plain": b"2"}
        origin = result.images["tool"].origin
        assert isinstance(origin, Build)
        sent = {b"Dockerfile", b".dockerignore", b"plain"} | (
            set() if name.decode("utf-8", "surrogateescape").startswith("\udce9") else {name + b"/" + inner}
        )
        if not inner.endswith(b".tmp") and not name.endswith(b".tmp"):
            assert set(unpacked(tree, origin.context)) == sent
    else:
        assert result.broken == {"Job/user", "Image/tool"}
        for resource in ("Job/user", "Image/tool"):
            assert 'the path "' in said(result, resource)


def test_a_name_that_is_a_file_and_a_directory(repo: pygit2.Repository) -> None:
    """Such a tree cannot be unpacked: it is an error of the job that names it, and of no other."""
    row = b"40000 data\0" + bytes.fromhex(str(write_raw(repo, {b"x": b"1"})))
    result, _ = loaded(repo, {b"good.yaml": GOOD, b"user.yml": USER.partition(b"---\n")[2], b"data": b"x"}, more=row)
    assert "good" in result.jobs
    one = USER.partition(b"---\n")[2].replace(b"[data]", b"[.]")
    result, _ = loaded(repo, {b"good.yaml": GOOD, b"user.yml": one, b"data": b"x"}, more=row)
    assert "is a file and a directory at once" in said(result, "Job/user")
    assert "good" in result.jobs


@given(st.binary(max_size=40))
def test_what_is_shown_of_a_path(name: bytes) -> None:
    """One printable line, the path itself where it is printable, and another text for another path where it is not."""
    path = name.decode("utf-8", "surrogateescape")
    shown = printable(path)
    assert shown.isprintable()
    assert shown == path or not path.isprintable()
    shown.encode("utf-8")


@given(name=NAMES)
def test_a_name_of_a_submodule(repo: pygit2.Repository, name: bytes) -> None:
    """It is warned of by its name as far as that can be shown; the job has the other files."""
    row = b"160000 " + name + b"\0" + bytes(range(20))
    files: Raw = {b"good.yaml": GOOD, b"user.yml": USER.partition(b"---\n")[2].replace(b"[data]", b"[.]")}
    result, _ = loaded(repo, files, more=row)
    (warning,) = result.warnings
    shown = printable(name.decode("utf-8", "surrogateescape"))
    assert warning.message == f"submodules are not fetched and arrive empty: {shown}"
    assert result.jobs["user"].notice == warning.message
