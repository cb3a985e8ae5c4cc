"""The files of an image that a session may edit, and the commit as it would be with the edits."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.cli.image.workcopy import WorkingCopy
from controller.specs.compile import load
from tests.unit.specs.trees import Link, MemoryTree

SPEC = "kind: Image\nname: tiny\nbuild: {context: image}\n"
FILES = {
    "specs.yaml": SPEC,
    "image/Dockerfile": "FROM x\n",
    "image/sub/requirements.txt": "a\n",
    "image/link": Link(b"Dockerfile"),
    "image-other/Dockerfile": "FROM y\n",
    "other.txt": "z\n",
}


def copy_of(files: dict[str, str | Link], directory: Path) -> tuple[WorkingCopy, MemoryTree]:
    tree = MemoryTree(files)
    return WorkingCopy(tree, load(tree).images["tiny"], directory), tree


def test_what_may_be_edited(tmp_path: Path) -> None:
    """The context's files and the spec; links and what lies beside are not copied."""
    copy, _ = copy_of(FILES, tmp_path)
    assert copy.files == ["specs.yaml", "image/Dockerfile", "image/sub/requirements.txt"]
    assert (copy.dockerfile, copy.dependencies) == ("image/Dockerfile", "image/sub/requirements.txt")
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == sorted(copy.files)
    assert copy.changes() == {}
    assert copy.diff() == ""


def test_edits_make_the_commit_that_would_be(tmp_path: Path) -> None:
    """Changed and new files, by the identity that a real commit of them has; a deleted one stays as it was."""
    copy, tree = copy_of(FILES, tmp_path)
    copy.place("image/Dockerfile").write_text("FROM z")
    copy.place(copy.add("new/file")).write_text("new\n")
    copy.place("image/sub/requirements.txt").unlink()
    expected = MemoryTree(FILES | {"image/Dockerfile": "FROM z", "image/new/file": "new\n"})
    assert load(copy.tree()).images["tiny"].identity == load(expected).images["tiny"].identity
    assert load(copy.tree()).images["tiny"].identity != load(tree).images["tiny"].identity
    assert copy.diff() == (
        "--- a/image/Dockerfile\n+++ b/image/Dockerfile\n@@ -1 +1 @@\n-FROM x\n+FROM z\n"
        "--- a/image/new/file\n+++ b/image/new/file\n@@ -0,0 +1 @@\n+new\n"
    )


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a//b", ".git/config", ""])
def test_new_files_stay_in_the_context(path: str, tmp_path: Path) -> None:
    copy, _ = copy_of(FILES, tmp_path)
    with pytest.raises(ValueError, match="inside the build context"):
        copy.add(path)


def test_what_somebody_else_changed_is_a_conflict(tmp_path: Path) -> None:
    """Only in files that were edited here; a new file that is there by now is one too."""
    copy, tree = copy_of(FILES, tmp_path)
    copy.place("image/Dockerfile").write_text("FROM z\n")
    copy.place(copy.add("new")).write_text("x\n")
    assert list(copy.conflicts_with(tree)) == []
    assert list(copy.conflicts_with(MemoryTree(FILES | {"other.txt": "w\n"}))) == []
    theirs = MemoryTree(FILES | {"image/Dockerfile": "FROM w\n", "image/new": "y\n"})
    assert list(copy.conflicts_with(theirs)) == ["image/Dockerfile", "image/new"]


def test_an_image_that_is_not_built_here_has_only_its_spec(tmp_path: Path) -> None:
    copy, _ = copy_of({"specs.yaml": "kind: Image\nname: tiny\nfrom: debian:trixie\n"}, tmp_path)
    assert (copy.files, copy.dockerfile, copy.dependencies) == (["specs.yaml"], None, None)
    with pytest.raises(ValueError, match="no path"):
        copy.add("Dockerfile")


def test_a_template_of_the_repository_may_be_edited(tmp_path: Path) -> None:
    """What its files are rendered to is not: that would be overwritten."""
    files = {
        "specs.yaml": "kind: Image\nname: tiny\nbuild: {template: templates/mine}\n",
        "templates/mine/template.yaml": "description: mine\nvalues: {}\n",
        "templates/mine/Dockerfile.j2": "FROM x\n",
    }
    copy, _ = copy_of(files, tmp_path)
    assert copy.dockerfile == "templates/mine/Dockerfile.j2"


def test_files_that_have_no_name_to_type_stay_as_they_are(tmp_path: Path) -> None:
    """They are not offered, not written, and in what is built all the same."""
    odd = {f"image/{name}": "x\n" for name in ("\udce9", "two\nlines", "\x1b[31m")}
    copy, _ = copy_of(FILES | odd, tmp_path)
    assert not odd.keys() & set(copy.files)
    copy.place("image/Dockerfile").write_text("FROM z\n")
    assert odd.keys() <= {entry.path for entry in copy.tree().entries()}
    assert "\x1b" not in copy.diff()
