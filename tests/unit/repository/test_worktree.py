"""A directory gives the ids and modes that a commit of it would."""

from __future__ import annotations

import os
from pathlib import Path

import pygit2

from controller.repository.worktree import WorkTree


def test_ids_and_modes_are_gits(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").write_bytes(b"one\n")
    (tmp_path / "run").write_bytes(b"")
    (tmp_path / "run").chmod(0o755)
    (tmp_path / "link").symlink_to("d/x")
    tree = WorkTree(tmp_path)
    assert [(entry.path, entry.mode, entry.oid) for entry in tree.entries()] == [
        ("d/x", 0o100644, str(pygit2.hash(b"one\n"))),
        ("link", 0o120000, str(pygit2.hash(b"d/x"))),
        ("run", 0o100755, str(pygit2.hash(b""))),
    ]
    by_path = {entry.path: entry.oid for entry in tree.entries()}
    assert tree.read(by_path["d/x"]) == b"one\n"
    assert tree.read(by_path["d/x"], limit=2) == b"on"
    assert tree.read(by_path["link"]) == b"d/x"
    assert tree.size(by_path["d/x"]) == 4


def test_git_and_submodules_are_left_out(tmp_path: Path) -> None:
    pygit2.init_repository(str(tmp_path))
    pygit2.init_repository(str(tmp_path / "module"))
    (tmp_path / "module" / "x").write_text("x")
    (tmp_path / "y").write_text("y")
    assert [entry.path for entry in WorkTree(tmp_path).entries()] == ["y"]


def test_an_overlay_stands_in_for_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("old")
    tree = WorkTree(tmp_path, overlay={"x": b"new", "y": b"more"})
    assert {entry.path: tree.read(entry.oid) for entry in tree.entries()} == {"x": b"new", "y": b"more"}


def test_submodules_are_named(tmp_path: Path) -> None:
    """Also one of which only the index knows, since nobody has fetched it."""
    repository = pygit2.init_repository(str(tmp_path))
    pygit2.init_repository(str(tmp_path / "d" / "module"))
    (tmp_path / "d" / "empty").mkdir()
    repository.index.add(pygit2.IndexEntry("d/empty", pygit2.Oid(hex="1" * 40), pygit2.enums.FileMode.COMMIT))
    repository.index.write()
    assert WorkTree(tmp_path).submodules() == ["d/empty", "d/module"]
    assert WorkTree(tmp_path / "d").submodules() == ["empty", "module"]


def test_names_are_bytes_read_as_utf_8(tmp_path: Path) -> None:
    """As in a commit, whatever the locale; also where Git is asked about them."""
    repository = pygit2.init_repository(str(tmp_path))
    (tmp_path / ".gitignore").write_text("*.tmp\n")
    for name in (b"sp\xe9c.yaml", "sp\u00e9c.yaml".encode(), b"x\xff.tmp", b"two\nlines"):
        (tmp_path / os.fsdecode(name)).write_bytes(name)
    repository.index.add("two\nlines")
    repository.index.write()
    found = {entry.path for entry in WorkTree(tmp_path).entries()}
    assert found == {".gitignore", "sp\udce9c.yaml", "sp\u00e9c.yaml", "two\nlines"}
