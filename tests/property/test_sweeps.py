"""What holds for every matrix and every graph of needs."""

from __future__ import annotations

import subprocess
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.model.resources import Task
from controller.specs import matrix, quotes
from controller.specs.graph import ordered
from controller.specs.keys import key_of, point_of
from tests.effort import examples
from tests.property.test_specs import CLUSTER, dump
from tests.unit.specs.trees import desired, headlines

calm = settings(max_examples=examples(40))
LISTS = {"include", "exclude"}
axes = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,6}", fullmatch=True).filter(
    lambda name: name not in (*LISTS, *matrix.RESERVED)
)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
values = st.one_of(texts.filter(lambda text: "${{" not in text), st.integers(), st.booleans())
columns = st.dictionaries(
    axes, st.lists(values, min_size=1, max_size=3, unique_by=lambda value: str(value).lower()), min_size=1, max_size=3
)


def tasks(given_matrix: dict[str, list[object]], **fields: object) -> tuple[Task, ...]:
    command = "printf '%s\\0' " + " ".join(f"${{{{ matrix.{axis} }}}}" for axis in sorted({*given_matrix} - LISTS))
    spec = {"kind": "Job", "name": "sweep", "cluster": "here", "command": command, "matrix": given_matrix, **fields}
    result = desired({"a.yaml": CLUSTER, "b.yaml": dump(spec)})
    assert headlines(result) == []
    return result.jobs["sweep"].tasks


def by_point(found: tuple[Task, ...]) -> dict[frozenset[tuple[str, str]], str]:
    return {frozenset(task.point.items()): task.digest for task in found}


@calm
@given(st.dictionaries(axes, texts, min_size=1, max_size=4))
def test_a_key_can_be_read_back(point: dict[str, str]) -> None:
    key = key_of(point)
    assert point_of(key) == point
    assert key.isprintable()
    assert not set(key) & set(" /\\\"'$`;|&<>*?#~(){}[]!\t\n")


@calm
@given(columns)
def test_every_combination_is_there_once(given_matrix: dict[str, list[object]]) -> None:
    found = tasks(given_matrix)
    assert len({task.key for task in found}) == len(found) == len(list(product(*given_matrix.values())))
    assert len({task.digest for task in found}) == len(found)
    assert all(point_of(task.key) == task.point for task in found)


@calm
@given(columns, st.randoms(use_true_random=False))
def test_the_order_of_axes_and_values_changes_no_digest(given_matrix: dict[str, list[object]], random: object) -> None:
    names = list(given_matrix)
    random.shuffle(names)  # type: ignore[attr-defined]
    other = {name: random.sample(given_matrix[name], len(given_matrix[name])) for name in names}  # type: ignore[attr-defined]
    assert by_point(tasks(given_matrix)) == by_point(tasks(other))


@calm
@given(columns, st.data())
def test_a_point_more_or_less_leaves_the_others_alone(
    given_matrix: dict[str, list[object]], data: st.DataObject
) -> None:
    before = {task.key: task.digest for task in tasks(given_matrix)}
    extra = {axis: data.draw(st.text("xyz", min_size=30, max_size=40)) for axis in given_matrix}
    after = {task.key: task.digest for task in tasks({**given_matrix, "include": [extra]})}
    assert before.items() < after.items()
    assert len(after) == len(before) + 1
    if len(before) > 1:
        gone = {axis: data.draw(st.sampled_from(column)) for axis, column in given_matrix.items()}
        fewer = {task.key: task.digest for task in tasks({**given_matrix, "exclude": [gone]})}
        assert fewer.items() < before.items()
        assert len(fewer) == len(before) - 1


@settings(max_examples=examples(25))
@given(columns)
def test_a_value_reaches_the_command_as_it_is(given_matrix: dict[str, list[object]]) -> None:
    for task in tasks(given_matrix)[:3]:
        said = subprocess.run(["sh", "-c", task.command], capture_output=True, check=True).stdout
        assert said.decode() == "".join(task.point[axis] + "\0" for axis in sorted(task.point))


names = st.integers(0, 9).map(lambda number: f"j{number}")
graphs = st.dictionaries(names, st.lists(names, max_size=4, unique=True), max_size=10)


@given(graphs, st.randoms(use_true_random=False))
def test_an_order_has_everything_once_and_needs_first(graph: dict[str, list[str]], random: object) -> None:
    order, cycles = ordered(graph)
    assert sorted(order) == sorted(graph)
    in_cycles = [name for cycle in cycles for name in cycle]
    assert len(set(in_cycles)) == len(in_cycles)
    for cycle in cycles:
        for name, following in zip(cycle, (*cycle[1:], cycle[0]), strict=True):
            assert following in graph[name]
    for name in set(graph) - set(in_cycles):
        assert all(order.index(need) < order.index(name) for need in graph[name] if need in graph)
    shuffled = list(graph)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert ordered({name: reversed(graph[name]) for name in shuffled}) == (order, cycles)


@calm
@given(graphs, st.randoms(use_true_random=False))
def test_the_order_of_files_does_not_matter_to_needs(graph: dict[str, list[str]], random: object) -> None:
    specs = [
        dump(
            {"kind": "Job", "name": name, "cluster": "here", "command": "x", "needs": [n for n in needs if n in graph]}
        )
        for name, needs in graph.items()
    ]
    one = desired({"c.yaml": CLUSTER} | {f"{n}.yaml": spec for n, spec in enumerate(specs)})
    random.shuffle(specs)  # type: ignore[attr-defined]
    other = desired({"c.yaml": CLUSTER} | {f"{n}.yaml": spec for n, spec in enumerate(specs)})
    assert one.broken == other.broken
    assert sorted(p.message for p in one.problems) == sorted(p.message for p in other.problems)
    assert {name: job.tasks for name, job in one.jobs.items()} == {name: job.tasks for name, job in other.jobs.items()}
    assert list(one.jobs) == list(other.jobs)


@given(st.text("ab \"'\\`$()#<E-\n", max_size=40))
def test_any_text_has_places(text: str) -> None:
    found = quotes.places(text, range(len(text)))
    assert set(found) == set(range(len(text)))
