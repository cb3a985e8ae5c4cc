"""Trees laid over trees: the result is that of a dictionary."""

from __future__ import annotations

import tempfile
from contextlib import nullcontext

import pygit2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.repository.committree import CommitTree
from controller.repository.treewriter import changes_of, write_tree
from tests.effort import examples

PATHS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)
FILES = st.dictionaries(PATHS, st.binary(max_size=2), max_size=6)


def coherent(paths: set[str]) -> bool:
    return not any(one != other and other.startswith(one + "/") for one in paths for other in paths)


def content(repo: pygit2.Repository, root: pygit2.Oid | None) -> dict[str, bytes]:
    if root is None:
        return {}
    tree = CommitTree(lambda: nullcontext(repo), "", root)
    return {entry.path: tree.read(entry.oid) for entry in tree.entries()}


@given(before=FILES, files=FILES, remove=st.sets(PATHS, max_size=4))
@settings(max_examples=examples(60))
def test_like_a_dictionary(before: dict[str, bytes], files: dict[str, bytes], remove: set[str]) -> None:
    """Written files are there, removed ones are not, others stay, and equal content is the equal tree."""
    if not coherent(before.keys() | files.keys() | remove):
        return
    with tempfile.TemporaryDirectory() as directory:
        repo = pygit2.init_repository(directory, bare=True)
        base = write_tree(repo, None, changes_of(before))
        assert content(repo, base) == before
        made = write_tree(repo, base, changes_of(files, remove))
        expected = {path: data for path, data in before.items() if path not in remove} | files
        assert content(repo, made) == expected
        assert made == write_tree(repo, None, changes_of(expected))
        assert (made == base) == (expected == before)


def test_a_file_gives_way_to_a_directory_and_back(tmp_path: object) -> None:
    """Someone else's file where a directory of ours belongs is replaced."""
    repo = pygit2.init_repository(str(tmp_path), bare=True)
    base = write_tree(repo, None, changes_of({"jobs": b"x"}))
    below = write_tree(repo, base, changes_of({"jobs/a": b"y"}))
    assert content(repo, below) == {"jobs/a": b"y"}
    assert content(repo, write_tree(repo, below, changes_of({"jobs": b"z"}))) == {"jobs": b"z"}


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", "../a", "a/./b", ".git/config", "a/.GIT/b", "a\0b"])
def test_paths_that_are_none(path: str) -> None:
    """They are refused before anything is written."""
    with pytest.raises(ValueError, match="not a path"):
        changes_of({path: b""})
    with pytest.raises(ValueError, match="not a path"):
        changes_of({}, [path])


def test_file_and_directory_at_once() -> None:
    """Two paths that cannot both be are refused in either order."""
    for names in (("a", "a/b"), ("a/b", "a")):
        with pytest.raises(ValueError, match="directory"):
            changes_of(dict.fromkeys(names, b""))
