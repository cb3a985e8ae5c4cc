"""The past of a resource, from the commits of a status branch."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pygit2
import pytest

from controller.model.conditions import ResourceStatus, TaskState, TaskStatus
from controller.repository.mirror import Mirror
from controller.repository.report import path_of, render
from controller.repository.statuslog import StatusChange, changes
from controller.repository.treewriter import changes_of, write_tree

PATH = path_of("Job", "train")
WHO = pygit2.Signature("controller", "c@example.org", 1_700_000_000, 0)


class Branch:
    """A status branch in the making."""

    def __init__(self, directory: Path) -> None:
        self.repo = pygit2.init_repository(str(directory / "mirror"), bare=True)
        self.mirror = Mirror(directory / "mirror", str(directory / "nowhere"))
        self.tip: str | None = None

    def commit(self, files: dict[str, bytes], *, message: str = "", remove: tuple[str, ...] = ()) -> str:
        base = self.repo[self.tip].peel(pygit2.Tree).id if self.tip else None
        tree = write_tree(self.repo, base, changes_of(files, remove))
        text = message or "1 ready\n\nSpec-Commit: abc\n"
        self.tip = str(self.repo.create_commit(None, WHO, WHO, text, tree, [self.tip] if self.tip else []))
        return self.tip

    def commit_often(self, count: int) -> None:
        """Commit so many times, as fast as git can: each commit changes the page for people only."""
        words = f"committer {WHO.name} <{WHO.email}> {WHO.time} +0000\ndata 7\n1 ready\nM 100644 inline README.md\n"
        commits = [f"commit refs/heads/status\n{words}data {len(str(n))}\n{n}\n" for n in range(count)]
        stream = f"reset refs/heads/status\nfrom {self.tip}\n\n" + "".join(commits)
        git = ["git", "-C", self.repo.path]
        subprocess.run([*git, "fast-import", "--quiet"], input=stream, text=True, check=True)
        tip = subprocess.run([*git, "rev-parse", "refs/heads/status"], capture_output=True, text=True, check=True)
        self.tip = tip.stdout.strip()

    def told(self, *paths: str) -> list[StatusChange]:
        assert self.tip is not None
        return list(changes(self.mirror, self.tip, paths or (PATH,)))


@pytest.fixture
def branch(tmp_path: Path) -> Branch:
    return Branch(tmp_path)


def status(state: TaskState, name: str = "train") -> dict[str, bytes]:
    """Return the files of one job."""
    task = TaskStatus(id=name, state=state)
    one = ResourceStatus(kind="Job", name=name, digest="d", commit="c", tasks=(task,))
    return render([one], spec_commit="abc", url="u")


def test_changes_come_newest_first_and_nothing_else_does(branch: Branch) -> None:
    branch.commit(status(TaskState.QUEUED))
    branch.commit(status(TaskState.RUNNING, "other"))
    branch.commit(status(TaskState.SUCCEEDED))
    newest, oldest = branch.told()
    assert (newest.commit, newest.spec_commit, newest.time) == (branch.tip, "abc", "2023-11-14T22:13:20Z")
    assert newest.before is not None
    assert newest.after is not None
    assert [newest.before.tasks[0].state, newest.after.tasks[0].state] == [TaskState.QUEUED, TaskState.SUCCEEDED]
    assert oldest.before is None


def test_other_peoples_commits_and_broken_files_are_passed_over(branch: Branch) -> None:
    branch.commit(status(TaskState.QUEUED))
    branch.commit({"notes.txt": b"mine\n"}, message="A note")
    branch.commit({PATH: b"{"}, message="Break it")
    branch.commit(status(TaskState.QUEUED))
    branch.commit({}, remove=(PATH,), message="Take it away")
    removed, first = branch.told()
    assert removed.after is None
    assert removed.spec_commit == ""
    assert first.before is None


def test_ten_thousand_commits_are_walked_in_seconds(branch: Branch) -> None:
    branch.commit(status(TaskState.QUEUED))
    branch.commit_often(10_000)
    began = time.perf_counter()
    (first,) = branch.told(PATH, path_of("Image", "train"))
    assert first.before is None
    assert time.perf_counter() - began < 10
    newest = status(TaskState.RUNNING)
    branch.commit(newest)
    assert branch.tip is not None
    began = time.perf_counter()
    assert next(changes(branch.mirror, branch.tip, [PATH])).after is not None
    assert time.perf_counter() - began < 0.5


def test_a_change_of_one_of_very_many_tasks_is_told(branch: Branch) -> None:
    """Their tasks are in parts beside the resource's file."""

    def many(state: TaskState) -> dict[str, bytes]:
        tasks = tuple(TaskStatus(id=f"train/n={n}", state=TaskState.WAITING) for n in range(2000))
        tasks += (TaskStatus(id="train/n=2000", state=state),)
        one = ResourceStatus(kind="Job", name="train", digest="d", commit="c", tasks=tasks)
        return render([one], spec_commit="abc", url="u")

    branch.commit(many(TaskState.QUEUED))
    branch.commit(many(TaskState.RUNNING))
    newest, _oldest = branch.told()
    assert newest.before is not None
    assert newest.after is not None
    changed = [now for then, now in zip(newest.before.tasks, newest.after.tasks, strict=True) if then != now]
    assert [(task.id, task.state) for task in changed] == [("train/n=2000", TaskState.RUNNING)]
