"""Edits of spec files: whatever the layout, set and unset give the old bytes back, and nothing else ever changes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.specs.edits import EditRefused, Value, with_field
from controller.specs.yaml_loader import load
from tests.effort import examples

calm = settings(max_examples=examples(100))
words = st.from_regex(r"[a-zé][a-z0-9é.]{0,8}", fullmatch=True)
comments = st.sampled_from(["", "", "", " # why", "  # no: {really}", "\t# tab"])
between = st.lists(st.sampled_from(["", "# comment", "  # deep comment", "    # suspend: true", "  "]), max_size=2)


@st.composite
def fields(draw: st.DrawFn, indent: str) -> list[str]:
    """Lines of one field, its value in some style, comments around it."""
    key = draw(words)
    deeper = indent + draw(st.sampled_from(["  ", "    "]))
    some = [draw(words) for _ in range(draw(st.integers(1, 3)))]
    behind = draw(comments)
    style = draw(
        st.sampled_from(["plain", "quoted", "folded", "list", "flow", "map", "literal", "keep", "strip", "null"])
    )
    match style:
        case "plain":
            lines = [f"{indent}{key}: {some[0]}{behind}"]
        case "quoted":
            lines = [f'{indent}{key}: "{some[0]}', f'{deeper}{some[-1]}"{behind}']
        case "folded":
            lines = [f"{indent}{key}: {some[0]}", f"{deeper}{some[-1]}{behind}"]
        case "list":
            lines = [f"{indent}{key}:{behind}", *(f"{deeper}- {item}{behind}" for item in some)]
        case "flow":
            lines = [f"{indent}{key}: [{some[0]},", f"{deeper}{{a: {some[-1]}}}]{behind}"]
        case "map":
            lines = [f"{indent}{key}:{behind}", *(f"{deeper}k{n}: {item}{behind}" for n, item in enumerate(some))]
        case "null":
            lines = [f"{indent}{key}:{behind}"]
        case _:
            mark = {"literal": "|", "keep": "|+", "strip": ">-"}[style]
            blank = draw(st.lists(st.just(""), max_size=2))
            lines = [f"{indent}{key}: {mark}", *(f"{deeper}{item} # no comment" for item in some), *blank]
    gap = draw(between) if style not in ("literal", "keep", "strip") else []
    return [*lines, *gap]


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, int]:
    """A file of several documents, and the number of one of them."""
    count = draw(st.integers(1, 3))
    chosen = draw(st.integers(0, count - 1))
    lines = draw(between)
    for number in range(count):
        if number or draw(st.booleans()):
            lines.append("---" + draw(st.sampled_from(["", " # next"])))
        lines += draw(between)
        indent = draw(st.sampled_from(["", "", "  "]))
        lines.append(f"{indent}kind: Job")
        for _ in range(draw(st.integers(0, 3))):
            lines += draw(fields(indent))
        if draw(st.booleans()):
            lines += [f"{indent}steps:", f"{indent}  one:"]
            for _ in range(draw(st.integers(1, 2))):
                lines += draw(fields(indent + "    "))
    line_break = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    end = draw(st.sampled_from([line_break, "", line_break * 3]))
    return (line_break.join(lines) + end).encode(), chosen


task_keys = st.from_regex(r"lr=[0-9.]{1,4},s=[a-z%]{1,3}", fullmatch=True)
values = st.one_of(
    st.just(True),
    st.just("2024-05-01T12:00:00Z"),
    st.lists(task_keys, min_size=1, max_size=5, unique=True),
    st.dictionaries(task_keys, st.just("2024-05-01T12:00:00Z"), min_size=1, max_size=5),
)


@calm
@given(files(), values, st.booleans())
def test_set_and_unset_give_the_old_bytes_back(file: tuple[bytes, int], value: Value, step: bool) -> None:
    data, number = file
    loaded = load(data)
    if loaded.garbled or loaded.faults or any(document.faults for document in loaded.documents):
        return
    where = ("steps", "one") if step and "steps" in loaded.documents[number].value else ()
    changed = with_field(data, number, where, "suspend", value)
    read = load(changed)
    for position, (old, new) in enumerate(zip(loaded.documents, read.documents, strict=True)):
        if position == number:
            target = new.value
            for key in where:
                target = target[key]
            assert target.pop("suspend") == value
        assert old.value == new.value
    assert with_field(changed, number, where, "suspend", None) == data
    kept = iter(changed.splitlines())
    assert all(line in kept for line in data.splitlines()), "every line is still there, in its order"


@calm
@given(files(), values, values)
def test_a_value_changed_and_changed_back(file: tuple[bytes, int], first: Value, second: Value) -> None:
    """Another value leaves every other line alone; an edit that cannot is refused and never wrong."""
    data, number = file
    loaded = load(data)
    if loaded.garbled or loaded.faults or any(document.faults for document in loaded.documents):
        return
    once = with_field(data, number, (), "suspend", first)
    twice = with_field(once, number, (), "suspend", second)
    assert load(twice).documents[number].value["suspend"] == second
    assert with_field(twice, number, (), "suspend", None) == data


@calm
@given(st.text(alphabet="a:-{}[]#'\"|>&*?!% \n\r\t,", max_size=40), values)
def test_any_text_at_all_is_edited_rightly_or_refused(text: str, value: Value) -> None:
    data = text.encode()
    try:
        changed = with_field(data, 0, (), "suspend", value)
    except EditRefused:
        return
    assert load(changed).documents[0].value.pop("suspend") == value
