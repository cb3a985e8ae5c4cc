"""One field of one mapping of a YAML file set or removed, as a change of its text.

Everything else keeps its bytes: comments, layout, line ends. The result is read again, and unless exactly that field
changed the edit is refused; so what is odd enough to mislead the edit is refused too, never spoilt. Pure. Must not
know what a field means.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from controller.specs.outline import BREAK, Node, Style, line_end, line_start, outline
from controller.specs.yaml_loader import Document, Path, load

Value = bool | str | int | list[str] | dict[str, str | int]

_MOST_ON_A_LINE = 3
_MOST_TRIES = 12
_BREAKS = frozenset("\n\r\x85\u2028\u2029")
_COMMENT = re.compile(r"(?P<indent>[ \t]*)#")


class EditRefused(Exception):
    """The text cannot be changed safely. ``line`` counts from 1; ``by_hand`` says what a person should type."""

    def __init__(self, line: int, message: str, by_hand: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message
        self.by_hand = by_hand


@dataclass(frozen=True, slots=True)
class _Edit:
    """The change wanted: ``value`` None removes the field."""

    name: str
    value: Value | None
    now: Any


def with_field(data: bytes, number: int, where: Path, name: str, value: Value | None) -> bytes:
    """Return the file with a field of the mapping at ``where`` in document ``number`` (from 0) set, or removed.

    Raises:
        EditRefused: it cannot be done without touching more than that field.
    """
    loaded = load(data)
    document = loaded.documents[number] if number < len(loaded.documents) else Document()
    line = document.place(where)[0]
    by_hand = _by_hand(name, value, line)
    faults = [*loaded.faults, *(piece.fault for piece in loaded.garbled), *document.faults]
    if faults:
        raise EditRefused(faults[0].line or 1, f"{faults[0].message}; correct this first", by_hand)
    text = data.decode("utf-8")
    mapping = outline(text)[number].at(where) if number < len(loaded.documents) else None
    current = _value_at(document, where)
    if mapping is None or not mapping.entries or not isinstance(current, dict):
        raise EditRefused(line, "there is no mapping here that a field could be added to", by_hand)
    wanted = _with(document.value, where, name, value)
    for candidate in islice(_candidates(text, mapping, _Edit(name, value, current.get(name))), _MOST_TRIES):
        if _changes_only(candidate, data, number, wanted):
            return candidate.encode("utf-8")
    raise EditRefused(line, f'the way this is written leaves no safe place to edit "{name}"', by_hand)


def _by_hand(name: str, value: Value | None, line: int) -> str:
    if value is None:
        return f'remove the field "{name}" from the mapping that begins on line {line}'
    return f"write into the mapping that begins on line {line}: {name}: {_flow(value)}"


def _value_at(document: Document, where: Path) -> Any:
    value = document.value
    for key in where:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _with(root: Any, where: Path, name: str, value: Value | None) -> Any:
    changed = copy.deepcopy(root)
    inner = changed
    for key in where:
        inner = inner[key]
    if value is None:
        inner.pop(name, None)
    else:
        inner[name] = value
    return changed


def _changes_only(text: str, before: bytes, number: int, wanted: Any) -> bool:
    """Whether the new text says what the old one did, but for the one document, which has to be as wanted."""
    old, new = load(before), load(text.encode("utf-8"))
    if new.garbled or new.faults or len(new.documents) != len(old.documents):
        return False
    if [len(each.faults) for each in new.documents] != [len(each.faults) for each in old.documents]:
        return False
    values = [each.value for each in old.documents]
    values[number] = wanted
    return all(_same(one.value, other) for one, other in zip(new.documents, values, strict=True))


def _same(one: Any, other: Any) -> bool:
    # As text: to Python 1, 1.0 and True are equal, and a NaN is not equal to itself.
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _candidates(text: str, mapping: Node, edit: _Edit) -> Iterator[str]:
    """Yield texts to try, the one that reads best first."""
    entry = mapping.entry(edit.name)
    flow = mapping.style is Style.FLOW
    if entry is None:
        if edit.value is not None:
            yield from _inserted_in_flow(text, mapping, edit) if flow else _inserted(text, mapping, edit)
    elif edit.value is None:
        yield from _removed_from_flow(text, mapping, entry[1]) if flow else _removed(text, *entry)
    else:
        if entry[1].style is Style.BLOCK:
            yield from _with_one_item(text, entry[1], edit)
        yield from _replaced(text, *entry, edit.value, in_flow=flow)


# ---- a field that is not there yet ----


def _inserted(text: str, mapping: Node, edit: _Edit) -> Iterator[str]:
    """After the last field; or, where that one ends in a way that a further line would change, before it."""
    assert edit.value is not None
    lines = _block(edit.name, edit.value, " " * mapping.column, _line_break(text, mapping.start))
    for _, value in reversed(mapping.entries):
        for end in dict.fromkeys((_past_comments(text, value.end, mapping.column), value.reach)):
            yield _line_added(text, end, lines)
    yield _line_added(text, line_start(text, mapping.start), lines)


def _line_added(text: str, at: int, lines: str) -> str:
    """Add lines after the one that ends at (or that holds) an offset; a last line without a break stays without."""
    if at and not _breaks(text, at):
        at = line_end(text, at)
    before, after = text[:at], text[at:]
    if before and not _breaks(before, len(before)):
        line_break = _line_break(text, 0)
        return before + line_break + lines.removesuffix(line_break)
    return before + lines + after


def _past_comments(text: str, end: int, column: int) -> int:
    """Return the offset after the comment lines that follow and are set deeper than ``column``: part of the value."""
    at = past = line_end(text, end)
    while at < len(text):
        end = line_end(text, at)
        line = text[at:end]
        comment = _COMMENT.match(line)
        if comment is not None and len(comment["indent"]) > column:
            past = end
        elif line.strip():
            break
        at = end
    return past


def _inserted_in_flow(text: str, mapping: Node, edit: _Edit) -> Iterator[str]:
    assert edit.value is not None
    end = mapping.entries[-1][1].end
    yield f"{text[:end]}, {edit.name}: {_flow(edit.value)}{text[end:]}"


# ---- a field that goes ----


def _removed(text: str, key: Node, value: Node) -> Iterator[str]:
    start = line_start(text, key.start)
    if text[start : key.start].strip(" "):
        return
    for end in dict.fromkeys((value.end, value.reach)):
        stop = end if _breaks(text, end) else line_end(text, end)
        if stop < len(text) or _breaks(text, stop):
            yield text[:start] + text[stop:]
        else:
            broken = re.search(f"(?:{BREAK.pattern})\\Z", text[:start])
            yield text[: broken.start()] if broken else text[:start]
            yield text[:start]


def _removed_from_flow(text: str, mapping: Node, value: Node) -> Iterator[str]:
    at = next(number for number, (_, each) in enumerate(mapping.entries) if each is value)
    if at:
        yield text[: mapping.entries[at - 1][1].end] + text[value.end :]
        return
    following = mapping.entries[1][0] if len(mapping.entries) > 1 else None
    key = mapping.entries[0][0]
    if following is not None and key is not None:
        yield text[: key.start] + text[following.start :]


# ---- a field with another value ----


def _replaced(text: str, key: Node, value: Node, new: Value, *, in_flow: bool) -> Iterator[str]:
    """Put one value in another's place. A comment inside a flow collection would be lost: then nothing is done."""
    if value.style is Style.FLOW and re.search(r"(?:^|\s)#", text[value.start : value.end]):
        return
    if value.style is Style.BLOCK or (_is_long(new) and not in_flow):
        # What stands behind the key, or behind the value on its line, is at most a comment: it stays behind the key.
        behind = key.end if value.style is Style.BLOCK else value.end
        head = text[key.end : text.index(":", key.end) + 1]
        rest = text[behind : line_end(text, behind)].removeprefix(head)
        stop = line_end(text, value.end)
        line_break = _line_break(text, key.start)
        first, _, below = _block("", new, " " * key.column, line_break).partition(line_break)
        body = head + first.removeprefix(":") + (rest if _breaks(rest, len(rest)) else rest + line_break) + below
        if not _breaks(text, stop):
            body = body.removesuffix(line_break)
        yield text[: key.end] + body + text[stop:]
        return
    space = "" if text[value.start - 1 : value.start].isspace() else " "
    yield text[: value.start] + space + _flow(new) + text[value.end :]


def _with_one_item(text: str, value: Node, edit: _Edit) -> Iterator[str]:
    """Add or take away one line of a list, or one entry of a mapping, so that its other lines keep their comments."""
    now, new = edit.now, edit.value
    indent = " " * value.column
    if isinstance(now, list) and isinstance(new, list):
        if new[:-1] == now:
            yield _line_added(text, value.end, f"{indent}- {_flow(new[-1])}{_line_break(text, value.start)}")
        for number, (_, item) in enumerate(value.entries):
            if now[:number] + now[number + 1 :] == new:
                yield from _removed_item(text, item)
    elif isinstance(now, dict) and isinstance(new, dict):
        changed = [name for name in new if now.get(name) != new[name]]
        if len(changed) != 1 or now.keys() - new.keys():
            return
        (name,) = changed
        entry = value.entry(name)
        if entry is not None:
            yield from _replaced(text, *entry, new[name], in_flow=False)
        else:
            line = f"{indent}{_flow(name)}: {_flow(new[name])}{_line_break(text, value.start)}"
            yield _line_added(text, value.end, line)


def _removed_item(text: str, item: Node) -> Iterator[str]:
    start = line_start(text, item.start)
    if text[start : item.start].strip() == "-":
        yield text[:start] + text[line_end(text, item.end) :]


# ---- values as text ----


def _breaks(text: str, at: int) -> bool:
    """Whether a line ends just before an offset."""
    return text[at - 1 : at] in _BREAKS


def _line_break(text: str, near: int) -> str:
    found = BREAK.search(text, near) or BREAK.search(text)
    return found[0] if found else "\n"


def _flow(value: Value) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return json.dumps(value, ensure_ascii=False)
        case list():
            return f"[{', '.join(_flow(item) for item in value)}]"
        case dict():
            return f"{{{', '.join(f'{_flow(key)}: {_flow(item)}' for key, item in value.items())}}}"


def _is_long(value: Value) -> bool:
    return isinstance(value, list | dict) and len(value) > _MOST_ON_A_LINE


def _block(name: str, value: Value, indent: str, line_break: str) -> str:
    """Return a field as lines; a long collection has a line for each item."""
    start = f"{indent}{name}" if name else ""
    if not _is_long(value):
        return f"{start}: {_flow(value)}{line_break}"
    if isinstance(value, dict):
        items = [f"{_flow(key)}: {_flow(item)}" for key, item in value.items()]
    else:
        items = [f"- {_flow(item)}" for item in value] if isinstance(value, list) else []
    return "".join(line + line_break for line in (f"{start}:", *(f"{indent}  {item}" for item in items)))
