"""A commit's files, read from the object database."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pygit2
import pytest
from pygit2.enums import ObjectType

from controller.repository.committree import CommitTree
from controller.repository.treewriter import changes_of, write_tree
from controller.specs.tree import Tree


@pytest.fixture
def repo(tmp_path: Path) -> pygit2.Repository:
    """An empty repository."""
    return pygit2.init_repository(str(tmp_path / "repo"), bare=True)


def tree_of(repo: pygit2.Repository, root: pygit2.Oid) -> CommitTree:
    return CommitTree(lambda: nullcontext(pygit2.Repository(repo.path)), "c" * 40, root)


def test_modes_links_and_submodules(repo: pygit2.Repository) -> None:
    """Files keep their execute bit, links are entries, sub-modules are not; old modes are brought to today's."""
    blob = repo.create_blob(b"x")
    data = b"".join(
        f"{mode} {name}\0".encode() + bytes.fromhex(str(blob))
        for mode, name in (("100644", "a"), ("100755", "b"), ("100664", "c"), ("120000", "d"), ("160000", "e"))
    )
    tree: Tree = tree_of(repo, repo.write(ObjectType.TREE, data))
    assert [(entry.path, entry.mode) for entry in tree.entries()] == [
        ("a", 0o100644),
        ("b", 0o100755),
        ("c", 0o100644),
        ("d", 0o120000),
    ]
    assert tree.submodules() == ("e",)


def test_path_order_is_that_of_whole_paths(repo: pygit2.Repository) -> None:
    """``a.b`` comes before ``a/b``, as when whole paths are sorted."""
    names = ["a/b", "a.b", "a0", "a/b.c/d", "a/z", "é", "Z", "zz/\U0001f600"]
    root = write_tree(repo, None, changes_of(dict.fromkeys(names, b"")))
    assert root is not None
    assert [entry.path for entry in tree_of(repo, root).entries()] == sorted(names, key=os.fsencode)


def test_names_that_are_not_utf_8(repo: pygit2.Repository) -> None:
    """They are listed, in Python's way of holding such bytes."""
    data = b"100644 \xff.yaml\0" + bytes.fromhex(str(repo.create_blob(b"x")))
    tree = tree_of(repo, repo.write(ObjectType.TREE, data))
    assert [os.fsencode(entry.path) for entry in tree.entries()] == [b"\xff.yaml"]


def test_read_size_and_limit(repo: pygit2.Repository) -> None:
    """A limit cuts; the size is known without reading; an LFS pointer is a file like any other."""
    oid = str(repo.create_blob(b"version https://git-lfs.github.com/spec/v1\n"))
    tree = tree_of(repo, repo.TreeBuilder().write())
    assert tree.size(oid) == 43
    assert tree.read(oid) == b"version https://git-lfs.github.com/spec/v1\n"
    assert tree.read(oid, limit=7) == b"version"
    assert tree.entries() == ()


def test_threads_read_at_once(repo: pygit2.Repository) -> None:
    """Each thread has a handle of its own."""
    root = write_tree(repo, None, changes_of({f"d{i % 7}/{i}": str(i).encode() for i in range(300)}))
    assert root is not None
    tree = tree_of(repo, root)
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda entry: (entry.path, tree.read(entry.oid)), tree.entries()))
    assert all(path.split("/")[1] == data.decode() for path, data in read)


def test_a_hundred_thousand_files(repo: pygit2.Repository) -> None:
    """Each is listed, without a byte of any being read."""
    blob = bytes.fromhex(str(repo.create_blob(b"x")))
    part = b"".join(b"100644 %04d.yaml\0" % i + blob for i in range(1000))
    below = bytes.fromhex(str(repo.write(ObjectType.TREE, part)))
    root = b"".join(b"40000 d%02d\0" % i + below for i in range(100))
    tree = tree_of(repo, repo.write(ObjectType.TREE, root))
    assert len(tree.entries()) == 100_000
