"""Reading a remote: the same over a path, ssh and http."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from controller.model.errors import StalledError
from controller.repository import cachedir
from controller.repository.committree import CommitTree
from controller.repository.failures import BranchNotFound, MirrorDamaged, RepositoryNotFound, SubdirectoryNotFound
from controller.repository.mirror import Mirror
from controller.repository.statusbranch import BRANCH, StatusBranch
from tests.contract.remotes.conftest import Backend, git


def open_files() -> int:
    """Return how many descriptors this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def paths(mirror: Mirror, commit: str, path: str = "") -> list[str]:
    return [entry.path for entry in mirror.tree(commit, path).entries()]


def test_reads_the_tip_of_a_branch(backend: Backend) -> None:
    """What a person pushed is what is read, down to the bytes."""
    mirror = backend.mirror()
    mirror.fetch("main")
    commit = mirror.head("main")
    assert commit == backend.origin.tip("main")
    tree = mirror.tree(commit)
    assert [entry.path for entry in tree.entries()] == ["README", "specs/a.yaml"]
    assert tree.read(tree.entries()[0].oid) == b"hello\n"
    info = mirror.commit_info(commit)
    assert (info.subject, info.author, info.email) == ("Begin", "Ada", "ada@example.org")


def test_follows_the_remote_head_when_no_branch_is_named(backend: Backend) -> None:
    """Branch None is whatever the remote calls its HEAD."""
    other = backend.origin.commit({"x": "1"}, branch="trunk")
    git(backend.origin.bare, "symbolic-ref", "HEAD", "refs/heads/trunk")
    mirror = backend.mirror()
    mirror.fetch(None)
    assert mirror.head() == other


def test_sees_a_new_commit(backend: Backend) -> None:
    """The second fetch brings what was pushed since."""
    mirror = backend.mirror()
    mirror.fetch("main")
    before = mirror.head("main")
    after = backend.origin.commit({"specs/b.yaml": "kind: Job\n"})
    assert mirror.head("main") == before
    mirror.fetch("main")
    assert mirror.head("main") == after
    assert mirror.is_ancestor(before, after)
    assert not mirror.is_ancestor(after, before)


def test_fetches_only_the_branches_asked_for(backend: Backend) -> None:
    """Other branches and tags stay where they are."""
    backend.origin.commit({"big": "1"}, branch="unrelated")
    git(backend.origin.clone, "tag", "v1")
    git(backend.origin.clone, "push", "-q", "origin", "v1")
    git(backend.origin.clone, "reset", "-q", "--hard", "origin/main")
    mirror = backend.mirror()
    mirror.fetch("main", "controller/status")
    assert list(mirror.repository().references) == ["refs/heads/main"]


def test_missing_branch_names_the_nearest(backend: Backend) -> None:
    """A typing error in the branch's name is answered with the right one."""
    mirror = backend.mirror()
    mirror.fetch("mian")
    with pytest.raises(BranchNotFound, match=r"no branch 'mian'; did you mean 'main'"):
        mirror.head("mian")


def test_repository_without_commits(backend: Backend) -> None:
    """An empty repository says that a first commit is missing."""
    git(backend.origin.bare, "update-ref", "-d", "refs/heads/main")
    mirror = backend.mirror()
    mirror.fetch(None, "main")
    with pytest.raises(BranchNotFound, match="push a first commit"):
        mirror.head()


def test_subdirectory(backend: Backend) -> None:
    """Paths are relative to the sub-directory; a missing one names its neighbours."""
    mirror = backend.mirror()
    mirror.fetch("main")
    commit = mirror.head("main")
    assert paths(mirror, commit, "specs/") == ["a.yaml"]
    with pytest.raises(SubdirectoryNotFound, match=r"no directory 'spec'; did you mean 'specs'"):
        mirror.tree(commit, "spec")
    with pytest.raises(SubdirectoryNotFound, match="README"):
        mirror.tree(commit, "README")


def test_follows_a_forced_move(backend: Backend) -> None:
    """Rewritten history is fetched, and does not pass for a descendant."""
    first = backend.origin.tip("main")
    assert first is not None
    second = backend.origin.commit({"x": "1"})
    mirror = backend.mirror()
    mirror.fetch("main")
    git(backend.origin.clone, "reset", "-q", "--hard", first)
    git(backend.origin.clone, "commit", "-q", "--amend", "-m", "Begin again")
    git(backend.origin.clone, "push", "-qf", "origin", "HEAD:main")
    mirror.fetch("main")
    assert mirror.head("main") == backend.origin.tip("main")
    assert not mirror.is_ancestor(second, mirror.head("main"))


def test_a_branch_that_is_gone_is_pruned_and_gives_way(backend: Backend) -> None:
    """``topic`` deleted and ``topic/a`` pushed do not collide in the mirror."""
    backend.origin.commit({"x": "1"}, branch="topic")
    mirror = backend.mirror()
    mirror.fetch("topic")
    git(backend.origin.clone, "push", "-q", "origin", ":topic")
    after = backend.origin.commit({"y": "1"}, branch="topic/a")
    mirror.fetch("topic/a")
    assert mirror.head("topic/a") == after
    with pytest.raises(BranchNotFound):
        mirror.head("topic")


def test_repository_that_is_not_there(backend: Backend) -> None:
    """The message names the address; for a person to mend."""
    mirror = Mirror(backend.directory / "none", backend.url.replace("specs.git", "nothing.git"), backend.auth)
    with pytest.raises(RepositoryNotFound, match=r"nothing\.git"):
        mirror.fetch("main")


def test_mirror_of_another_address_is_made_again(backend: Backend) -> None:
    """A directory that holds something else is set aside, not trusted."""
    elsewhere = Mirror(backend.directory / "mirror", str(backend.origin.clone))
    elsewhere.fetch(None)
    mirror = backend.mirror()
    mirror.fetch("main")
    assert mirror.head("main") == backend.origin.tip("main")
    assert (backend.directory / "mirror.aside").is_dir()


@pytest.mark.parametrize("damage", ["garbage", "no objects", "empty packs", "file"])
def test_damaged_mirror_is_made_again(backend: Backend, damage: str) -> None:
    """Whatever happened to the cache, the next passes read the remote."""
    mirror = backend.mirror()
    mirror.fetch("main")
    directory = mirror.directory
    del mirror
    match damage:
        case "garbage":
            (directory / "HEAD").write_bytes(b"\0")
            (directory / "config").write_bytes(b"[[[")
        case "no objects":
            for path in sorted((directory / "objects").rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
        case "empty packs":
            for path in (directory / "objects").rglob("*"):
                if path.is_file():
                    # In place it would be SIGBUS for whoever has it mapped, which is not what a power cut does.
                    path.unlink()
                    path.write_bytes(b"")
        case "file":
            directory.rename(directory.with_name("gone"))
            directory.write_text("not a directory")
    after = backend.origin.commit({"x": "1"})
    again = backend.mirror()
    # In one process libgit2 may still read what was unlinked, so the damage may show only after the fetch.
    with suppress(MirrorDamaged):
        again.fetch("main")
        paths(again, after)
    again.fetch("main")
    assert again.head("main") == after
    assert paths(again, after) == ["README", "specs/a.yaml", "x"]


def test_stale_locks_of_a_killed_fetch_do_not_matter(backend: Backend) -> None:
    """libgit2 leaves its lock files behind when it is killed."""
    mirror = backend.mirror()
    mirror.fetch("main")
    for lock in ("refs/heads/main.lock", "config.lock", "packed-refs.lock", "HEAD.lock"):
        (mirror.directory / lock).write_text("")
    after = backend.origin.commit({"x": "1"})
    mirror.fetch("main")
    assert mirror.head("main") == after


def test_mirror_stays_compact(backend: Backend) -> None:
    """Hundreds of passes, each with its fetch and its status commit, do not leave thousands of small files."""
    mirror = backend.mirror()
    mirror.fetch("main")
    StatusBranch(mirror).write({f"jobs/{i:03x}.json": b"%d" % i for i in range(6000)}, message="Report")
    after = backend.origin.commit({"x": "1"})
    mirror.fetch("main", BRANCH)
    objects = [path for path in (mirror.directory / "objects").rglob("*") if path.is_file()]
    assert len(objects) < 20
    assert paths(mirror, after) == ["README", "specs/a.yaml", "x"]
    assert len(StatusBranch(mirror).read()) == 6000
    assert StatusBranch(mirror).write({"jobs/000.json": b"other"}, message="Report").commit


def test_a_year_of_fetches_keeps_few_files_open(backend: Backend) -> None:
    """Each fetch brings a pack. Those that were packed together, and connections, are let go of, in each thread."""
    mirror = backend.mirror()
    gc.collect()
    gc.disable()
    before = open_files()
    try:
        with ThreadPoolExecutor(1) as other:
            for number in range(cachedir.MAX_PACKS + 20):
                tip = backend.origin.commit({"x": str(number)})
                mirror.fetch("main")
                assert len(paths(mirror, tip)) == 3
                assert len(other.submit(paths, mirror, tip).result()) == 3
        assert open_files() - before < 25
    finally:
        gc.enable()


def test_damage_found_while_reading_is_transient(backend: Backend) -> None:
    """An object that cannot be read is no crash of the pass: it ends, and the next one fetches afresh."""
    mirror = backend.mirror()
    mirror.fetch("main")
    tree = mirror.tree(mirror.head("main"))
    entries = tree.entries()
    del mirror
    for path in list((backend.directory / "mirror" / "objects").rglob("*")):
        if path.is_file():
            path.unlink()
    again = backend.mirror()
    with pytest.raises(MirrorDamaged, match="next pass"):
        CommitTree(again._reading, tree.commit, tree.root).read(entries[0].oid)
    again.fetch("main")
    assert paths(again, again.head("main")) == ["README", "specs/a.yaml"]


def test_commit_that_is_not_there(backend: Backend) -> None:
    """A wrong id is the caller's mistake: the mirror stays."""
    mirror = backend.mirror()
    mirror.fetch("main")
    for commit in ("0" * 40, mirror.tree(mirror.head("main")).root):
        with pytest.raises(StalledError) as caught:
            mirror.commit_info(commit)
        assert caught.value.reason == "CommitNotFound"
        assert not mirror.is_ancestor(commit, mirror.head("main"))
    assert not (backend.directory / "mirror.aside").exists()
