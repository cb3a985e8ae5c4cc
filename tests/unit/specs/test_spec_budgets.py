"""What goes beyond the limits of a commit is said once, and nothing of it is taken for deleted."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import pygit2
import pytest

from controller.model.errors import StalledError
from controller.model.files import FileEntry
from controller.repository.committree import CommitTree
from controller.specs import budgets
from controller.specs.compile import load
from controller.specs.yaml_loader import MAX_BYTES
from tests.raw_trees import write_raw
from tests.unit.specs.trees import GOOD, MemoryTree, desired, headlines

HERE = "kind: Cluster\nname: here\nscheduler: local\ncontainers: none\n"
SWEEP = "kind: Job\nname: {name}\ncluster: here\ncommand: {command}\nmatrix: {{x: {{range: [1, 100000]}}}}\n"


class ManyFiles(MemoryTree):
    """One blob at many paths, as a commit has it for a few bytes a path."""

    def __init__(self, content: str, count: int) -> None:
        super().__init__({"a.yaml": content})
        self._oid = super().entries()[0].oid

        self._many = [FileEntry(path=f"d/{number:06}.yaml", mode=0o100644, oid=self._oid) for number in range(count)]

    def entries(self) -> Sequence[FileEntry]:
        return self._many


def test_files_beyond_the_limit_are_said_in_one_line_and_keep_what_stood_in_them() -> None:
    count = budgets.MOST_FILES + 7
    result = load(ManyFiles("just: data\n", count))
    [told] = result.problems
    assert told.message.startswith("7 more YAML files are not read")
    assert told.remedy == "list what is no spec in .controllerignore"
    assert result.broken_paths == {f"d/{number:06}.yaml" for number in range(budgets.MOST_FILES, count)}


def test_bytes_beyond_the_limit_are_not_read() -> None:
    large = "data: " + "x" * (MAX_BYTES - 100) + "\n"
    tree = ManyFiles(large, (budgets.MOST_BYTES // len(large)) + 3)
    result = load(tree)
    assert "more YAML files are not read" in result.problems[0].message
    assert "d/000000.yaml" not in result.broken_paths
    assert len(tree.reads) <= budgets.MOST_BYTES // len(large)


def test_what_may_stand_in_a_file_that_is_not_read_is_not_said_to_be_missing() -> None:
    files = {"a.yaml": "kind: Job\nname: a\ncluster: elsewhere\ncommand: x\n"}
    files |= {f"b{number:03}.yaml": "data: " + "x" * (MAX_BYTES - 100 - number) + "\n" for number in range(80)}
    said = headlines(desired(files))
    assert any('Cluster "elsewhere" may stand in b' in line for line in said), said


def test_tasks_beyond_the_limit_are_refused_and_the_others_stay() -> None:
    jobs = [SWEEP.format(name=f"s{number}", command="x") for number in range(4)]
    result = desired({f"{n}.yaml": text for n, text in enumerate([HERE, *jobs])})
    assert len(result.jobs) == budgets.MOST_POINTS // 100_000
    assert [line.partition(": ")[2] for line in headlines(result)] == [
        f'job "s{number}" has 100000 tasks, and all of a commit may have 250000 together' for number in (2, 3)
    ]
    assert result.broken == {"Job/s2", "Job/s3"}


def test_texts_of_tasks_beyond_the_limit_are_refused() -> None:
    result = desired({"a.yaml": HERE, "b.yaml": SWEEP.format(name="long", command="x" * 5_000)})
    assert "has texts of 476 MiB in its tasks" in headlines(result)[0]
    assert not result.jobs


def test_a_commit_has_some_problems_shown_and_one_of_each_resource() -> None:
    files = {
        f"{number:03}.yaml": f"kind: Job\nname: a{number}\ncluster: nope\ncommand: x\nneeds: [{'b, ' * 90}c]\n"
        for number in range(40)
    }
    result = desired(files)
    assert len(result.problems) < budgets.MOST_PROBLEMS + 50
    assert {f"Job/a{number}" for number in range(40)} <= {problem.resource for problem in result.problems}
    assert sum("more problems in this commit" in problem.message for problem in result.problems) == 1


def test_only_the_first_problems_of_a_file_come_with_a_suggestion() -> None:
    fields = "".join(f"comand{number}: x\n" for number in range(60))
    said = headlines(desired({"a.yaml": GOOD + fields}))
    assert 0 < sum("did you mean" in line for line in said) <= 20
    assert len(said) >= 60


def test_a_document_full_of_errors_is_still_known_by_its_name() -> None:
    """It is broken, not deleted, however much is wrong with it."""
    result = desired({"a.yaml": GOOD + "".join(f"u{number}: x\n" for number in range(8_000))})
    assert "Job/good" in result.broken
    assert "and 7900 more problems in this file" in "\n".join(headlines(result))


def test_a_tree_that_holds_itself_many_times_is_refused(tmp_path: Path) -> None:
    """Ten directories in each of ten: a few objects, ten billion files."""
    repo = pygit2.init_repository(str(tmp_path), bare=True)
    tree = write_raw(repo, {b"a.yaml": b"x"})
    for _ in range(10):
        tree = write_raw(repo, {}, more=b"".join(b"40000 d%d\0" % n + bytes.fromhex(str(tree)) for n in range(10)))
    bomb = CommitTree(lambda: nullcontext(repo), "c" * 40, tree)
    with pytest.raises(StalledError, match="more than 1000000 files") as caught:
        bomb.entries()
    assert caught.value.reason == "CommitTooLarge"
