"""The spec branch written in a person's name: on top of what is newest, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from controller.model.errors import ConfigurationError, StalledError, TransientError
from controller.repository.author import Author, author_of
from controller.repository.mirror import Mirror
from controller.repository.specbranch import SpecBranch
from tests.contract.remotes.conftest import Backend, Origin, git

GRACE = Author("Grace", "grace@example.org")
FILE = "specs/a.yaml"


def branch_of(mirror: Mirror, directory: Path, branch: str | None = None, **more: object) -> SpecBranch:
    return SpecBranch(  # type: ignore[arg-type]
        mirror, branch, lambda: GRACE, directory=directory, sleep=lambda s: None, **more
    )


def appended(mirror: Mirror, text: bytes):  # type: ignore[no-untyped-def]
    """Return an edit that adds a line to the file, once."""

    def edit(tip: str) -> Mapping[str, bytes] | None:
        old = read(mirror, tip)
        return None if text in old else {FILE: old + text}

    return edit


def read(mirror: Mirror, commit: str) -> bytes:
    tree = mirror.tree(commit)
    return tree.read(next(entry.oid for entry in tree.entries() if entry.path == FILE))


def test_one_commit_in_the_persons_name(backend: Backend) -> None:
    before = backend.origin.tip("main")
    mirror = backend.mirror()
    made = branch_of(mirror, backend.directory).change(appended(mirror, b"suspend: true\n"), "Suspend job train")
    assert made is not None
    assert (made.id, made.branch, made.parent) == (backend.origin.tip("main"), "main", before)
    shown = git(backend.origin.bare, "show", "--format=%an <%ae>|%cn|%B", "main")
    assert shown.startswith("Grace <grace@example.org>|Grace|Suspend job train\n")
    assert "+suspend: true" in shown
    assert branch_of(mirror, backend.directory).change(appended(mirror, b"suspend: true\n"), "Again") is None
    assert backend.origin.tip("main") == made.id


def test_a_race_is_run_again_on_the_new_tip(backend: Backend) -> None:
    """Somebody pushes between our look and our push: both changes are in, and nothing was forced."""
    mirror = backend.mirror()
    others: list[str] = []
    inner = appended(mirror, b"suspend: true\n")

    def edit(tip: str) -> Mapping[str, bytes] | None:
        files = inner(tip)
        if len(others) < 2:
            others.append(backend.origin.commit({FILE: f"kind: Job\nx: {len(others)}\n"}, "Meanwhile"))
        return files

    made = branch_of(mirror, backend.directory, "main").change(edit, "Suspend job train")
    assert made is not None
    assert made.parent == others[-1]
    assert read(mirror, made.id or "") == b"kind: Job\nx: 1\nsuspend: true\n"
    assert git(backend.origin.bare, "rev-list", "--count", f"{others[0]}..main") == "2"


def test_a_race_without_end_is_given_up(backend: Backend) -> None:
    mirror = backend.mirror()
    count = iter(range(100))

    def edit(tip: str) -> Mapping[str, bytes]:
        backend.origin.commit({FILE: f"x: {next(count)}\n"}, "Meanwhile")
        return {FILE: b"mine\n"}

    with pytest.raises(TransientError, match="3 times in a row") as busy:
        branch_of(mirror, backend.directory, max_retries=2).change(edit, "Mine")
    assert busy.value.reason == "SpecBranchBusy"


@pytest.mark.parametrize("name", ["ssh_backend", "http_backend"])
def test_a_refusal_leaves_a_patch_to_apply(name: str, request: pytest.FixtureRequest) -> None:
    backend: Backend = request.getfixturevalue(name)
    backend.origin.hook("pre-receive", "echo 'main is protected' >&2; exit 1\n")
    before = backend.origin.tip("main")
    mirror = backend.mirror()
    with pytest.raises(StalledError) as refused:
        branch_of(mirror, backend.directory).change(appended(mirror, b"suspend: true\n"), "Suspend")
    assert refused.value.reason == "PushRefused"
    assert "main is protected" in refused.value.message
    assert "status branch" not in refused.value.message
    assert backend.origin.tip("main") == before
    patch = refused.value.message.partition(":\n")[2]
    (backend.origin.clone / "by-hand.patch").write_text(patch)
    git(backend.origin.clone, "apply", "by-hand.patch")
    assert (backend.origin.clone / FILE).read_text() == "kind: Job\nsuspend: true\n"


def test_trying_out_changes_nothing(backend: Backend) -> None:
    before = backend.origin.tip("main")
    mirror = backend.mirror()
    shown = branch_of(mirror, backend.directory).change(appended(mirror, b"s: 1\n"), "Try", dry_run=True)
    assert shown is not None
    assert shown.id is None
    assert shown.diff.endswith("@@ -1 +1,2 @@\n kind: Job\n+s: 1\n")
    assert backend.origin.tip("main") == before


def test_an_empty_commit_on_one_commit_only(backend: Backend) -> None:
    before = backend.origin.tip("main") or ""
    made = branch_of(backend.mirror(), backend.directory).change(
        lambda tip: {}, "Approve\n\nController-Approve: yes", only_on=before
    )
    assert made is not None
    assert git(backend.origin.bare, "diff", before, "main") == ""
    assert git(backend.origin.bare, "log", "-1", "--format=%(trailers)", "main") == "Controller-Approve: yes"
    with pytest.raises(StalledError, match="has come after"):
        branch_of(backend.mirror(), backend.directory).change(lambda tip: {}, "Again", only_on=before)


def test_a_mode_is_kept(path_backend: Backend) -> None:
    git(path_backend.origin.clone, "update-index", "--chmod=+x", FILE)
    git(path_backend.origin.clone, "commit", "-qm", "Executable")
    git(path_backend.origin.clone, "push", "-q", "origin", "main")
    mirror = path_backend.mirror()
    branch_of(mirror, path_backend.directory).change(appended(mirror, b"s: 1\n"), "Change")
    assert git(path_backend.origin.bare, "ls-tree", "main", FILE).startswith("100755 ")


def test_ones_own_checkout_moves_with_its_branch(origin: Origin, tmp_path: Path) -> None:
    """Without a remote the checkout is the repository: file, index and branch move, other work in progress stays."""
    (origin.clone / "README").write_text("in progress\n")
    mirror = Mirror(tmp_path / "mirror", str(origin.clone))
    inside = origin.clone / "specs"
    made = branch_of(mirror, inside).change(appended(mirror, b"suspend: true\n"), "Suspend")
    assert made is not None
    assert made.checkout is not None
    assert git(origin.clone, "rev-parse", "HEAD") == made.id
    assert (origin.clone / FILE).read_text() == "kind: Job\nsuspend: true\n"
    assert git(origin.clone, "status", "--porcelain") == "M README"


def test_a_file_being_worked_on_is_not_overwritten(origin: Origin, tmp_path: Path) -> None:
    (origin.clone / FILE).write_text("kind: Job\nmine: 1\n")
    mirror = Mirror(tmp_path / "mirror", str(origin.clone))
    with pytest.raises(StalledError, match="not committed") as busy:
        branch_of(mirror, origin.clone).change(appended(mirror, b"suspend: true\n"), "Suspend")
    assert busy.value.reason == "CheckoutBusy"
    assert (origin.clone / FILE).read_text() == "kind: Job\nmine: 1\n"


def test_somebody_elses_checkout_is_left_alone(origin: Origin, tmp_path: Path) -> None:
    """The branch is not moved under their files, unless they have said that it may."""
    before = git(origin.clone, "rev-parse", "HEAD")
    mirror = Mirror(tmp_path / "mirror", str(origin.clone))
    with pytest.raises(StalledError, match="updateInstead") as refused:
        branch_of(mirror, tmp_path).change(appended(mirror, b"suspend: true\n"), "Suspend")
    assert refused.value.reason == "BranchCheckedOut"
    assert "+suspend: true" in refused.value.message
    assert git(origin.clone, "rev-parse", "HEAD") == before
    git(origin.clone, "config", "receive.denyCurrentBranch", "updateInstead")
    assert branch_of(mirror, tmp_path).change(appended(mirror, b"suspend: true\n"), "Suspend") is not None
    assert git(origin.clone, "status", "--porcelain") == ""


def test_a_linked_work_tree_counts_as_a_checkout(origin: Origin, tmp_path: Path) -> None:
    git(origin.clone, "worktree", "add", "-q", "-b", "other", str(tmp_path / "linked"))
    mirror = Mirror(tmp_path / "mirror", str(origin.clone))
    with pytest.raises(StalledError, match="checked out there"):
        branch_of(mirror, tmp_path, "other").change(appended(mirror, b"s: 1\n"), "Suspend")
    made = branch_of(mirror, tmp_path / "linked", "other").change(appended(mirror, b"s: 1\n"), "Suspend")
    assert made is not None
    assert (tmp_path / "linked" / FILE).read_text() == "kind: Job\ns: 1\n"
    assert git(tmp_path / "linked", "status", "--porcelain") == ""


def test_who_the_author_is(origin: Origin, tmp_path: Path) -> None:
    given = {"GIT_AUTHOR_NAME": "Ada  L", "GIT_AUTHOR_EMAIL": "ada@example.org"}
    assert author_of(tmp_path, given) == Author("Ada L", "ada@example.org")
    git(origin.clone, "config", "user.name", "Emmy")
    git(origin.clone, "config", "user.email", "emmy@example.org")
    assert author_of(origin.clone / "specs", {}) == Author("Emmy", "emmy@example.org")
    git(origin.clone, "config", "user.email", "")
    with pytest.raises(ConfigurationError, match=r"user\.email not set"):
        author_of(origin.clone, {})
