"""Matrices: their points, keys and values."""

from __future__ import annotations

import pytest

from controller.model.resources import Job, Task
from controller.specs import ranges
from controller.specs.keys import key_of, point_of
from tests.unit.specs.trees import GOOD, desired, headlines


def sweep(matrix: str, more: str = "", command: str = "run ${{ matrix.lr }}") -> Job:
    spec = f"{GOOD}---\nkind: Job\nname: sweep\ncluster: good\ncommand: {command}\nmatrix: {matrix}\n{more}"
    result = desired({"a.yaml": spec})
    assert headlines(result) == []
    return result.jobs["sweep"]


def keys(matrix: str) -> list[str]:
    return [task.key for task in sweep(matrix).tasks]


def by_key(job: Job) -> dict[str, Task]:
    return {task.key: task for task in job.tasks}


def test_product_exclude_include() -> None:
    matrix = "{lr: [0.1, 0.01], seed: {range: [1, 3]}, exclude: [{lr: 0.1, seed: 3}], include: [{seed: 9, lr: 5}]}"
    assert keys(matrix) == [
        "lr=0.1,seed=1",
        "lr=0.1,seed=2",
        "lr=0.01,seed=1",
        "lr=0.01,seed=2",
        "lr=0.01,seed=3",
        "lr=5,seed=9",
    ]


def test_values_are_as_written() -> None:
    assert keys("{lr: [1e-3, 0.10, 1.0, 0x1F, True, no, '1', 010]}") == [
        "lr=1e-3",
        "lr=0.10",
        "lr=1.0",
        "lr=0x1F",
        "lr=True",
        "lr=no",
        "lr=1",
        "lr=010",
    ]


def test_an_exclude_finds_a_number_that_is_written_otherwise() -> None:
    assert keys("{lr: [1e-3, 2e-3], exclude: [{lr: 0.001}]}") == ["lr=2e-3"]
    assert keys("{lr: ['007', '7'], exclude: [{lr: 7}]}") == ["lr=007"]


def test_points_alone() -> None:
    assert keys("{include: [{lr: 1, n: a}, {n: b, lr: 2}]}") == ["lr=1,n=a", "lr=2,n=b"]


def test_a_step_of_a_workflow_may_have_an_axis_called_axes() -> None:
    assert keys("{lr: [1], axes: [2], include: [{lr: 2, axes: 3}]}") == ["lr=1,axes=2", "lr=2,axes=3"]


@pytest.mark.parametrize(
    ("bounds", "values"),
    [
        (["1", "5"], "1 2 3 4 5"),
        (["1", "10", "4"], "1 5 9"),
        (["5", "1", "-2"], "5 3 1"),
        (["0", "0.3", "0.1"], "0.0 0.1 0.2 0.3"),
        (["-0.2", "0.2", "0.1"], "-0.2 -0.1 0.0 0.1 0.2"),
        (["1e-3", "3e-3", "1e-3"], "0.001 0.002 0.003"),
        (["1e3", "3e3", "1e3"], "1000 2000 3000"),
        (["0x10", "0o22"], "16 17 18"),
        (["3", "3"], "3"),
    ],
)
def test_ranges(bounds: list[str], values: str) -> None:
    assert ranges.values(bounds) == values.split()
    assert ranges.count(bounds) == len(values.split())


@pytest.mark.parametrize("bounds", [["1", "1e15"], ["0", "1", "1e-13"], ["1", "2", "0"], ["2", "1"], ["1", "2", "-1"]])
def test_ranges_that_are_none(bounds: list[str]) -> None:
    with pytest.raises(ranges.RangeError):
        ranges.count(bounds)


def test_a_value_is_quoted_in_the_command_and_as_it_is_in_env() -> None:
    (task,) = sweep("{lr: ['a b$(id)']}", "env: {A: 'x${{ matrix.lr }}', B: 100%}\n").tasks
    assert task.command == "run 'a b$(id)'"
    assert task.env == {"A": "xa b$(id)", "B": "100%"}
    assert task.point == {"lr": "a b$(id)"}


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("a,b", "lr=a%2Cb"),
        ("a=b", "lr=a%3Db"),
        ("../x", "lr=..%2Fx"),
        ("50%", "lr=50%25"),
        ("a b\n", "lr=a%20b%0A"),
        ("α-1", "lr=α-1"),
        ("\u202e", "lr=%E2%80%AE"),
        ("", "lr="),
    ],
)
def test_keys_are_one_readable_word(value: str, key: str) -> None:
    assert key_of({"lr": value}) == key
    assert point_of(key) == {"lr": value}


def test_what_is_no_key() -> None:
    assert point_of("") == {}
    for text in ("lr", "=1", "lr=1,", "lr=%FF"):
        with pytest.raises(ValueError):
            point_of(text)


def test_single_tasks_are_suspended_and_run_again() -> None:
    plain = by_key(sweep("{lr: [1, 2, 3]}"))
    job = sweep("{lr: [1, 2, 3]}", "suspend: [lr=2]\nrerun: {lr=3: again}\n")
    assert [task.suspended for task in job.tasks] == [False, True, False]
    assert job.suspend is False
    changed = [key for key, task in by_key(job).items() if task.digest != plain[key].digest]
    assert changed == ["lr=3"]
    everything = by_key(sweep("{lr: [1, 2, 3]}", "rerun: again\n"))
    assert not {task.digest for task in everything.values()} & {task.digest for task in plain.values()}


def test_what_a_points_digest_depends_on() -> None:
    one = by_key(sweep("{lr: [1, 2]}"))
    assert by_key(sweep("{lr: [2, 1, 3]}", "max_running: 2\nretries: 1\n")).items() >= one.items()
    assert by_key(sweep("{lr: [1, 2]}", "env: {A: x}\n"))["lr=1"].digest != one["lr=1"].digest
    assert by_key(sweep("{lr: [1, 2]}", command="go ${{ matrix.lr }}"))["lr=1"].digest != one["lr=1"].digest
    first = by_key(sweep("{lr: [1], n: [2]}"))["lr=1,n=2"]
    assert first.digest == by_key(sweep("{n: [2], lr: [1]}"))["n=2,lr=1"].digest


def test_points_that_run_the_same_command_have_digests_of_their_own() -> None:
    assert len({task.digest for task in sweep("{lr: [1, 2]}", command="run").tasks}) == 2


@pytest.mark.parametrize(
    ("command", "where"),
    [
        ('echo "${{ matrix.lr }}"', "quotes"),
        ("echo '${{ matrix.lr }}'", "quotes"),
        ("cat <<E\n  ${{ matrix.lr }}\n  E", "a here-document"),
    ],
)
def test_a_value_that_needs_quotes_may_not_stand_in_quotes(command: str, where: str) -> None:
    def spec(value: str) -> str:
        block = "|\n  " + command
        return f"{GOOD}---\nkind: Job\nname: q\ncluster: good\ncommand: {block}\nmatrix: {{lr: [{value}]}}\n"

    assert headlines(desired({"a.yaml": spec("0.1, a-b")})) == []
    (line,) = headlines(desired({"a.yaml": spec("0.1, $(id)")}))
    assert f'"matrix.lr" stands inside {where}, where "$(id)" cannot be quoted' in line
