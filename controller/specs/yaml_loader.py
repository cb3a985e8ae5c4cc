"""YAML at C speed by 1.2 rules, with limits, and with the place of every key and value.

Values are built straight from the parser's events, in one pass: depth and size are counted before anything is
composed, because libyaml's own composer overflows the C stack at 20,000 levels (measured, PyYAML 6.0.3). Keys are
always strings. Anchors, aliases, merge keys and tags are refused: a spec's value then has exactly one place in the
file, and nothing in it can grow. Faults are collected, not raised, so that a file that turns out not to be a spec may
use all of them. Must not know what a spec is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import yaml

from controller.specs.yaml_faults import Fault, bad_characters, from_yaml_error
from controller.specs.yaml_scalars import resolve

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_NODES = 100_000
MAX_DOCUMENTS = 10_000
MAX_KEY = 1_024
"""Characters of a key: as many as YAML allows for one on a single line (YAML 1.2.2, section 7.4)."""

Path = tuple[str | int, ...]
Place = tuple[int, int]
"""Line and column, both from 1."""

if yaml.__with_libyaml__:
    from yaml.cyaml import CParser as EventParser  # type: ignore[attr-defined]
else:  # pragma: no cover - depends on how PyYAML was built

    class EventParser(yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser):  # type: ignore[no-redef]
        """The same events, some eight times slower."""

        def __init__(self, stream: bytes) -> None:
            yaml.reader.Reader.__init__(self, stream)
            yaml.scanner.Scanner.__init__(self)
            yaml.parser.Parser.__init__(self)


@dataclass(slots=True)
class Document:
    """One YAML document: plain values, where each stands, and what is wrong with it."""

    value: Any = None
    line: int = 1
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    texts: dict[Path, str] = field(default_factory=dict)
    """The source of every plain scalar that is not a string: 1e-3, not 0.001."""
    faults: list[Fault] = field(default_factory=list)
    void: set[Path] = field(default_factory=set)
    """Where a value was refused, so that nothing can be said of it; a refused merge key is ``<<`` there."""
    repeated: dict[str, list[Any]] = field(default_factory=dict)
    """Top-level key to the values given to it after the first."""

    def place(self, path: Path) -> Place:
        """Return where the value at a path stands, or the nearest thing around it that has a place."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, (self.line, 1))

    def place_of(self, path: Path, *, at_key: bool) -> Place:
        """Return where a key, or the value under it, stands."""
        return (self.keys.get(path) if at_key else None) or self.place(path)


@dataclass(slots=True)
class Garbled:
    """A stretch of a file that is not YAML: where it starts, its text, and why it could not be read."""

    line: int
    text: str
    fault: Fault


@dataclass(slots=True)
class Loaded:
    """Everything read from one file."""

    documents: list[Document] = field(default_factory=list)
    garbled: list[Garbled] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    """Faults of the file as a whole; the documents were read nevertheless."""


class _Fatal(Exception):
    """A limit is exceeded: reading stops here."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def load(data: bytes) -> Loaded:
    """Read every document of a file; never raises, whatever the bytes.

    A document that cannot be read does not take its neighbours with it: the file is then cut at its ``---`` lines
    (which are document markers wherever they stand, YAML 1.2.2 section 9.1.2) and each piece read by itself.
    """
    loaded = Loaded()
    text, refusal = bad_characters(data, max_bytes=MAX_BYTES)
    if refusal is not None:
        loaded.garbled.append(Garbled(1, text, refusal))
        return loaded
    if text.startswith("\ufeff"):
        text = text[1:]
        loaded.faults.append(Fault(1, 1, "the file starts with a byte order mark", "save it as UTF-8 without BOM"))
    try:
        loaded.documents = _Reader(text).documents()
    except (_Fatal, yaml.YAMLError) as error:
        _load_pieces(text, _fault_of(error, text), loaded)
    return loaded


def _load_pieces(text: str, fault: Fault, loaded: Loaded) -> None:
    """Read a file piece by piece after it could not be read in one."""
    lines = text.splitlines(keepends=True)
    starts = [n for n, line in enumerate(lines) if line.rstrip() == "---" or line.startswith(("--- ", "---\t"))]
    if not starts or len(starts) >= MAX_DOCUMENTS:
        loaded.garbled.append(Garbled(1, text, fault))
        return
    bounds = sorted({0, *starts, len(lines)})
    for start, end in pairwise(bounds):
        piece = "".join(lines[start:end])
        try:
            loaded.documents += _Reader(piece, first_line=start).documents()
        except (_Fatal, yaml.YAMLError) as error:
            loaded.garbled.append(Garbled(start + 1, piece, _fault_of(error, piece, first_line=start)))


def _fault_of(error: _Fatal | yaml.YAMLError, text: str, *, first_line: int = 0) -> Fault:
    if isinstance(error, _Fatal):
        return error.fault
    return from_yaml_error(error, text, first_line=first_line)


class _Reader:
    """Builds values from one parser's events. Recursion is safe: it never exceeds MAX_DEPTH."""

    def __init__(self, text: str, *, first_line: int = 0) -> None:
        self._parser = EventParser(text.encode())
        self._next = self._parser.get_event
        self._first_line = first_line + 1
        self._nodes = 0
        self._document = Document()
        self._seen: set[str | Path] = set()

    def documents(self) -> list[Document]:
        documents: list[Document] = []
        while (event := self._next()) is not None and not isinstance(event, yaml.StreamEndEvent):
            if not isinstance(event, yaml.DocumentStartEvent):
                continue
            if len(documents) >= MAX_DOCUMENTS:
                message = f"more than {MAX_DOCUMENTS} documents in one file"
                raise _Fatal(Fault(*self._place(event), message, "split it into several files"))
            self._document = Document()
            self._seen = set()
            root = self._next()
            self._document.line = self._place(root)[0]
            self._document.value = self._build(root, (), 1)
            if event.version is not None and event.version != (1, 2):
                self._fault(event, "%YAML", "specs are YAML 1.2", "remove the %YAML line")
            documents.append(self._document)
        return documents

    def _place(self, event: Any) -> Place:
        mark = event.start_mark
        return mark.line + self._first_line, mark.column + 1

    def _fault(self, event: Any, once: str | Path, message: str, remedy: str = "") -> None:
        """Record a fault; the same sort of fault (``once``) is told once a document."""
        if once in self._seen:
            return
        self._seen.add(once)
        self._document.faults.append(Fault(*self._place(event), message, remedy))

    def _build(self, event: Any, path: Path, depth: int) -> Any:
        mark = event.start_mark
        place = (mark.line + self._first_line, mark.column + 1)
        self._document.values[path] = place
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _Fatal(Fault(*place, f"more than {MAX_NODES} values in one file"))
        kind = type(event)
        if kind is yaml.ScalarEvent:
            if event.tag is not None or event.anchor is not None:
                self._check_properties(event)
            if event.tag is not None:
                self._document.void.add(path)
            if not event.implicit[0]:
                return event.value
            value = resolve(event.value)
            if type(value) is not str:
                self._document.texts[path] = event.value
            return value
        if kind is yaml.AliasEvent:
            self._fault(event, "*", f"aliases (*{event.anchor}) are not supported", "write the value out")
            self._document.void.add(path)
            return None
        self._check_properties(event)
        if event.tag is not None:
            self._document.void.add(path)
        if depth > MAX_DEPTH:
            raise _Fatal(Fault(*place, f"nested more than {MAX_DEPTH} levels deep"))
        if kind is yaml.SequenceStartEvent:
            return self._build_list(path, depth)
        return self._build_mapping(path, depth)

    def _check_properties(self, event: Any) -> None:
        if event.anchor is not None:
            self._fault(event, "&", f"anchors (&{event.anchor}) are not supported", "write the value out each time")
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._fault(event, "!" + tag, f"tags ({tag}) are not supported", "remove it, or quote the value")

    def _build_list(self, path: Path, depth: int) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._build(event, (*path, len(items)), depth + 1))
        return items

    def _build_mapping(self, path: Path, depth: int) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        keys = self._document.keys
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._key(event, path, depth)
            if key is None:
                self._build(self._next(), (*path, ""), depth + 1)
                continue
            here = (*path, key)
            if key not in mapping:
                keys[here] = self._place(event)
                mapping[key] = self._build(self._next(), here, depth + 1)
                continue
            message = f'duplicate key "{key[:60]}"; the first is on line {keys[here][0]}'
            starts_again = not path and key == next(iter(mapping))
            remedy = "put --- above it if a new document begins here" if starts_again else "keep one of the two"
            self._fault(event, here, message, remedy)
            value = self._build(self._next(), (*path, "", key), depth + 1)
            if not path:
                self._document.repeated.setdefault(key, []).append(value)
        return mapping

    def _key(self, event: Any, path: Path, depth: int) -> str | None:
        """Return a key's text, or None (after a fault) when it cannot be one; its value is then passed over."""
        if isinstance(event, yaml.ScalarEvent):
            self._check_properties(event)
            if event.value == "<<" and event.implicit[0]:
                self._fault(event, "<<", "merge keys (<<) are YAML 1.1 and are not supported", "write the fields out")
                self._document.void.add((*path, "<<"))
                return None
            if len(event.value) > MAX_KEY:
                self._fault(event, "long", f"a key has more than {MAX_KEY} characters", "keep a long text in a value")
                return None
            return str(event.value)
        self._build(event, (*path, ""), depth + 1)
        self._fault(event, "?", "a key must be a plain string, not a list, a mapping or an alias")
        return None
