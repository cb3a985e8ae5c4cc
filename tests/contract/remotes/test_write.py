"""Writing the status branch: the same over a path, ssh and http, except that a path runs no hooks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from controller.model.errors import TransientError
from controller.repository.failures import PushRefused
from controller.repository.mirror import Mirror
from controller.repository.statusbranch import BRANCH, StatusBranch, WriteResult
from tests.contract.remotes.conftest import Backend, git

FILES = {"README.md": b"# Status\n", "jobs/ab/train.json": b"{}\n"}
NOW = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)


def branch(mirror: Mirror, **options: object) -> StatusBranch:
    return StatusBranch(mirror, now=lambda: NOW, sleep=lambda s: None, **options)  # type: ignore[arg-type]


def write(status: StatusBranch, files: Mapping[str, bytes], **options: object) -> WriteResult:
    return status.write(files, message="Report", trailers={"Spec-Commit": "c0ffee"}, **options)  # type: ignore[arg-type]


def listing(backend: Backend) -> list[str]:
    return git(backend.origin.bare, "ls-tree", "-r", "--name-only", BRANCH).split()


def push_as_someone_else(backend: Backend, name: str, text: str) -> str:
    """Commit to the status branch from another clone."""
    there = backend.directory / f"other-{name}"
    git(backend.directory, "clone", "-q", "-b", BRANCH, str(backend.origin.bare), str(there))
    (there / name).write_text(text)
    git(there, "add", "-A")
    git(there, "commit", "-qm", "Meddle")
    git(there, "push", "-q", "origin", f"HEAD:{BRANCH}")
    return git(there, "rev-parse", "HEAD")


def test_first_write_makes_an_orphan_branch(backend: Backend) -> None:
    """The branch has a history of its own, the controller's name and the trailer."""
    mirror = backend.mirror()
    mirror.fetch("main", BRANCH)
    result = write(branch(mirror), FILES)
    assert result.commit == backend.origin.tip(BRANCH)
    assert result.retries == 0
    shown = git(backend.origin.bare, "log", "--format=%an <%ae> %cn %ct %P|%s|%(trailers:key=Spec-Commit)", BRANCH)
    expected = f"controller <controller@localhost> controller {int(NOW.timestamp())} |Report|Spec-Commit: c0ffee"
    assert shown.strip() == expected
    assert listing(backend) == ["README.md", "jobs/ab/train.json"]
    git(backend.origin.bare, "fsck", "--strict")


def test_nothing_changed_is_no_commit_and_no_push(backend: Backend) -> None:
    """The same files again leave the remote as it is."""
    mirror = backend.mirror()
    first = write(branch(mirror), FILES)
    assert write(branch(mirror), FILES, remove=["jobs/cd/gone.json"]) == WriteResult(commit=None)
    mirror.fetch(BRANCH)
    assert write(branch(mirror), FILES) == WriteResult(commit=None)
    assert backend.origin.tip(BRANCH) == first.commit


def test_changes_and_removals_are_one_commit_on_top(backend: Backend) -> None:
    """What is not named stays; a directory with nothing left in it goes."""
    mirror = backend.mirror()
    first = write(branch(mirror), FILES | {"jobs/cd/eval.json": b"{}\n"})
    second = write(branch(mirror), {"README.md": b"# Other\n"}, remove=["jobs/ab/train.json"])
    assert git(backend.origin.bare, "rev-parse", f"{second.commit}^") == first.commit
    assert listing(backend) == ["README.md", "jobs/cd/eval.json"]
    status = branch(mirror).read()
    assert dict(status) == {"README.md": b"# Other\n", "jobs/cd/eval.json": b"{}\n"}
    assert status.commit == second.commit


def test_readers_elsewhere_see_what_was_written(backend: Backend) -> None:
    """A second mirror reads the same files; before there is a branch it reads none."""
    reader = backend.mirror("reader")
    reader.fetch(BRANCH)
    assert dict(branch(reader).read()) == {}
    write(branch(backend.mirror()), FILES)
    reader.fetch(BRANCH)
    assert dict(branch(reader).read()) == FILES


def test_branch_moved_by_someone_else_since_the_fetch(backend: Backend) -> None:
    """Their commit is kept, ours goes on top of it; nothing is forced."""
    mirror = backend.mirror()
    write(branch(mirror), FILES)
    theirs = push_as_someone_else(backend, "NOTE", "mine\n")
    result = write(branch(mirror), {"README.md": b"# New\n"})
    assert result.retries == 1
    assert git(backend.origin.bare, "rev-parse", f"{BRANCH}^") == theirs
    assert listing(backend) == ["NOTE", "README.md", "jobs/ab/train.json"]


def test_branch_moved_between_connecting_and_pushing(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's own comparison holds when the branch moves after it was listed."""
    mirror = backend.mirror()
    write(branch(mirror), FILES)
    late: list[str] = []

    def meddle() -> None:
        if not late:
            late.append(push_as_someone_else(backend, "NOTE", "mine\n"))

    import controller.repository.publish as publish

    original, copy = publish.Connection.push, publish.copy_commit
    monkeypatch.setattr(publish.Connection, "push", lambda *args: (meddle(), original(*args))[1])
    monkeypatch.setattr(publish, "copy_commit", lambda *args: (meddle(), copy(*args))[1])
    result = write(branch(mirror), {"README.md": b"# New\n"})
    assert result.retries == 1
    assert git(backend.origin.bare, "rev-parse", f"{BRANCH}^") == late[0]


def test_two_writers_in_turn_converge(backend: Backend) -> None:
    """Two controllers with mirrors of their own end with the last writer's files, and then with no commits."""
    one, two = branch(backend.mirror("one")), branch(backend.mirror("two"))
    write(one, FILES)
    assert write(two, FILES).commit is None
    write(one, {"README.md": b"1\n"})
    write(two, {"README.md": b"2\n"})
    tip = backend.origin.tip(BRANCH)
    assert write(two, {"README.md": b"2\n"}).commit is None
    assert backend.origin.tip(BRANCH) == tip


def test_branch_deleted_on_the_remote_is_written_again(backend: Backend) -> None:
    """Seen at the fetch or only at the push: the branch begins anew, without the old history."""
    mirror = backend.mirror()
    write(branch(mirror), FILES)
    for fetched in (True, False):
        git(backend.origin.bare, "update-ref", "-d", f"refs/heads/{BRANCH}")
        if fetched:
            mirror.fetch(BRANCH)
        files = FILES | {"README.md": str(fetched).encode()}
        assert write(branch(mirror), files).commit == backend.origin.tip(BRANCH)
        assert git(backend.origin.bare, "rev-list", "--count", BRANCH) == "1"
        assert listing(backend) == ["README.md", "jobs/ab/train.json"]


def test_moved_every_time_is_transient(backend: Backend) -> None:
    """After a bounded number of tries the write waits for the next pass."""
    mirror = backend.mirror()
    write(branch(mirror), FILES)
    waits: list[float] = []
    count = 0

    def jitter() -> float:
        return 1.0

    def sleep(seconds: float) -> None:
        waits.append(seconds)

    status = StatusBranch(mirror, now=lambda: NOW, sleep=sleep, jitter=jitter, max_retries=2)
    fetch = mirror.fetch

    def fetch_and_lose(*branches: str | None) -> None:
        nonlocal count
        fetch(*branches)
        count += 1
        push_as_someone_else(backend, f"N{count}", "x")

    mirror.fetch = fetch_and_lose  # type: ignore[method-assign]
    push_as_someone_else(backend, "N", "x")
    with pytest.raises(TransientError, match="moved by someone else") as caught:
        write(status, {"README.md": b"# New\n"})
    assert caught.value.reason == "StatusBranchBusy"
    assert waits == [0.2, 0.4]


@pytest.mark.parametrize("name", ["ssh", "http"])
def test_a_hook_that_refuses_is_for_a_person(name: str, request: pytest.FixtureRequest) -> None:
    """The hook's own words are in the message, the branch stays, nothing is tried again."""
    backend: Backend = request.getfixturevalue(f"{name}_backend")
    backend.origin.hook("pre-receive", "echo 'only on Fridays' >&2; exit 1\n")
    slept: list[float] = []
    status = StatusBranch(backend.mirror(), sleep=slept.append)
    with pytest.raises(PushRefused, match=r"controller/status \(.*pre-receive hook declined.*only on Fridays"):
        write(status, FILES)
    assert backend.origin.tip(BRANCH) is None
    assert slept == []


@pytest.mark.parametrize("name", ["ssh", "http"])
def test_update_hook_that_refuses(name: str, request: pytest.FixtureRequest) -> None:
    """A refusal of one ref, as protected branches are implemented."""
    backend: Backend = request.getfixturevalue(f"{name}_backend")
    write(branch(backend.mirror()), FILES)
    backend.origin.hook("update", 'echo "$1 is protected"; exit 1\n')
    with pytest.raises(PushRefused, match="refs/heads/controller/status is protected"):
        write(branch(backend.mirror()), {"README.md": b"# New\n"})


def test_path_with_a_work_tree(path_backend: Backend) -> None:
    """A person's clone is a remote too; only the branch that is checked out there is not written."""
    mirror = Mirror(path_backend.directory / "of-clone", str(path_backend.origin.clone))
    mirror.fetch(None, BRANCH)
    write(branch(mirror), FILES)
    assert git(path_backend.origin.clone, "show", f"{BRANCH}:README.md") == "# Status"
    assert git(path_backend.origin.clone, "status", "--porcelain") == ""
    git(path_backend.origin.clone, "checkout", "-q", BRANCH)
    with pytest.raises(PushRefused, match="checked out"):
        write(branch(mirror), {"README.md": b"# New\n"})


def test_path_whose_ref_stays_locked(path_backend: Backend) -> None:
    """A lock that somebody else holds is waited for, then reported as busy."""
    (path_backend.origin.bare / "refs/heads/controller").mkdir()
    (path_backend.origin.bare / "refs/heads/controller/status.lock").write_text("")
    with pytest.raises(TransientError) as caught:
        write(branch(path_backend.mirror(), max_retries=1), FILES)
    assert caught.value.reason == "StatusBranchBusy"


@pytest.mark.parametrize("wanted", [True, False])
def test_a_repository_at_a_path_is_packed_as_a_server_does(backend: Backend, wanted: bool) -> None:
    """Thousands of passes leave no thousands of loose objects, unless its owner wants that."""
    git(backend.origin.bare, "config", "gc.auto", "1000")
    git(backend.origin.bare, "config", "receive.autogc", str(wanted).lower())
    status = branch(backend.mirror())
    write(status, {f"jobs/{number:03x}.json": b"%d" % number for number in range(8000)})
    write(status, {"README.md": b"other"})
    loose = int(git(backend.origin.bare, "count-objects").split()[0])
    assert loose > 5000 if backend.name == "path" and not wanted else loose < 5000
    git(backend.origin.bare, "fsck", "--strict")
