"""Where the parts of a YAML file begin and end, as offsets into its text: what an edit has to know.

The loader gives values and where each begins; an edit needs the other end as well, and whether a collection is written
in block or flow style. Reads only what the loader has accepted, so limits and faults are no concern of this module.
Must not know what a spec is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

import yaml

from controller.specs.yaml_loader import EventParser, Path  # type: ignore[attr-defined]

BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""What ends a line for libyaml (YAML 1.1, section 4.1.4)."""


class Style(Enum):
    """How a node is written."""

    INLINE = auto()
    """A plain or quoted scalar."""
    LITERAL = auto()
    """A block scalar, ``|`` or ``>``."""
    FLOW = auto()
    BLOCK = auto()


@dataclass(slots=True)
class Node:
    """One node. ``end`` is just after its last character; comments and blank lines after that are not part of it.

    ``entries`` of a mapping are (key, value), of a list (None, item). For a block scalar ``reach`` is the end with the
    blank lines that follow, which belong to its value where it is written with ``|+``.
    """

    start: int
    end: int
    column: int
    style: Style
    text: str = ""
    entries: list[tuple[Node | None, Node]] = field(default_factory=list)
    reach: int = 0

    def entry(self, key: str) -> tuple[Node, Node] | None:
        """Return key and value of a mapping's entry."""
        return next(((k, value) for k, value in self.entries if k is not None and k.text == key), None)

    def at(self, path: Path) -> Node | None:
        """Return the node at a path of keys."""
        node: Node | None = self
        for key in path:
            found = node.entry(str(key)) if node is not None else None
            node = found[1] if found is not None else None
        return node


def outline(text: str) -> list[Node]:
    """Return the root of every document.

    Raises:
        yaml.YAMLError: it is not YAML.
    """
    return _Reader(text).roots()


def line_start(text: str, at: int) -> int:
    """Return where the line begins that an offset is on."""
    return max(text.rfind(mark, 0, at) for mark in "\n\r\x85\u2028\u2029") + 1


def line_end(text: str, at: int) -> int:
    """Return where the line ends that an offset is on: after its break, or the end of the text."""
    found = BREAK.search(text, at)
    return found.end() if found else len(text)


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._next = EventParser(text.encode()).get_event

    def roots(self) -> list[Node]:
        found = []
        while (event := self._next()) is not None and not isinstance(event, yaml.StreamEndEvent):
            if isinstance(event, yaml.DocumentStartEvent):
                found.append(self._node(self._next()))
        return found

    def _node(self, event: Any) -> Node:
        start: int = event.start_mark.index
        column: int = event.start_mark.column
        if not isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
            return self._scalar(event, start, column)
        node = Node(start, start, column, Style.FLOW if event.flow_style else Style.BLOCK)
        closing = yaml.MappingEndEvent if isinstance(event, yaml.MappingStartEvent) else yaml.SequenceEndEvent
        while not isinstance(event := self._next(), closing):
            key = self._node(event) if closing is yaml.MappingEndEvent else None
            value = self._node(event if key is None else self._next())
            node.entries.append((key, value))
        if node.style is Style.FLOW:
            node.end = _end(event)
        elif node.entries:
            node.end = node.entries[-1][1].end
        node.reach = node.entries[-1][1].reach if node.style is Style.BLOCK and node.entries else node.end
        return node

    def _scalar(self, event: Any, start: int, column: int) -> Node:
        end = _end(event)
        style = Style.LITERAL if getattr(event, "style", None) in ("|", ">") else Style.INLINE
        node = Node(start, end, column, style, text=getattr(event, "value", None) or "", reach=end)
        if style is Style.LITERAL:
            node.end = start + len(self._text[start:end].rstrip())
        return node


def _end(event: Any) -> int:
    end: int = event.end_mark.index
    return end
