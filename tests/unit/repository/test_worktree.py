"""A directory gives the ids and modes that a commit of it would."""

from __future__ import annotations

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
