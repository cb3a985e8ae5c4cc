"""The text of a Dockerfile: its instructions and their lines, and what in it only BuildKit understands.

The builder behind the Docker Engine's API is the classic one; BuildKit is a client of another kind. What differs is
listed here from the reference of Dockerfiles (docs.docker.com/reference/dockerfile, 1.14) and from the refusals of
Docker 20.10 and 28. Podman's builder understands most of it. Must not know which engine builds.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import astuple, dataclass

from controller.specs.schemas import schema_version
from controller.specs.tree import Tree
from controller.specs.verdicts import VerdictCache
from controller.specs.yaml_loader import MAX_BYTES

_CONTINUED = re.compile(r"\\[ \t]*$")
_FLAGS = re.compile(r"(?:--[a-z-]++(?:=(?:\"[^\"]*\"|\S)*+)?+\s++)++")
_HEREDOC = re.compile(r"<<-?(['\"]?)([A-Za-z_][A-Za-z0-9_.]*)\1")
REMEDIES = {
    "mount": "leave it out: layers are kept between builds, and COPY brings files (a secret has no place in an image)",
    "network": "leave it out",
    "security": "leave it out",
    "device": "leave it out",
    "link": "leave it out: it makes no other image",
    "chmod": "leave it out, and RUN chmod behind it",
    "parents": "leave it out, and COPY each directory by itself",
    "exclude": "leave it out, and name what is not wanted in .dockerignore",
    "checksum": "leave it out, and RUN sha256sum --check behind it",
    "keep-git-dir": "RUN git clone",
    "unpack": "leave it out: ADD unpacks archives of the context",
    "start-interval": "leave it out",
}
"""Flag of an instruction that only BuildKit knows -> what to write instead."""
HEREDOC_REMEDY = "join the lines with && and a backslash at their ends, or COPY a script and RUN it"


@dataclass(frozen=True, slots=True)
class BuildKitOnly:
    """Something that only BuildKit understands."""

    line: int
    what: str
    """``RUN --mount`` or ``a heredoc (<<EOF)``."""
    remedy: str


def instructions(text: str) -> list[tuple[int, str]]:
    """Return each instruction, lines put together, with the line that it begins on. The escape character is ``\\``."""
    found: list[tuple[int, str]] = []
    begun, instruction = 0, ""
    for number, raw in enumerate(text.splitlines(), 1):
        if raw.lstrip().startswith("#") or (instruction and not raw.strip()):
            continue
        begun = begun if instruction else number
        more = _CONTINUED.search(raw)
        instruction += raw[: more.start()] if more else raw
        if not more:
            if instruction.strip():
                found.append((begun, instruction.strip()))
            instruction = ""
    if instruction.strip():
        found.append((begun, instruction.strip()))
    return found


def buildkit_only(text: str) -> Iterator[BuildKitOnly]:
    """Yield what in a Dockerfile only BuildKit understands, in the order of its lines."""
    lines = text.splitlines()
    ends: dict[str, list[int]] = {}
    for number, raw in enumerate(lines):
        ends.setdefault(raw.strip(), []).append(number)
    behind = 0
    for line, instruction in instructions(text):
        if line <= behind:
            continue
        word, _, rest = instruction.partition(" ")
        word = word.upper()
        if word == "ONBUILD":
            word, _, rest = rest.strip().partition(" ")
            word = word.upper()
        flags = _FLAGS.match(rest.lstrip())
        for flag in re.findall(r"(?:^|\s)--([a-z-]+)", flags[0]) if flags else ():
            if flag in REMEDIES:
                yield BuildKitOnly(line, f"{word} --{flag}", REMEDIES[flag])
        for _, mark in _HEREDOC.findall(rest) if word in ("RUN", "COPY", "ADD") else ():
            there = ends.get(mark, [])
            at = bisect_left(there, max(line, behind))
            end = there[at] if at < len(there) else None
            # Without its end it is the shell's, on one line, and of no use to anybody.
            if end is not None:
                if behind < line:
                    yield BuildKitOnly(line, f"a heredoc (<<{mark})", HEREDOC_REMEDY)
                behind = end + 1


def buildkit_only_in(tree: Tree, oid: str, cache: VerdictCache | None) -> list[BuildKitOnly]:
    """Return the same of a blob; one that the cache knows is not read again."""
    if cache is None:
        return list(buildkit_only(_text(tree, oid)))
    key, version = f"{oid} buildkit", schema_version()
    kept = cache.get(key, version)
    if kept is not None:
        try:
            return [BuildKitOnly(*each) for each in json.loads(kept)]
        except (TypeError, ValueError):
            pass  # spoilt: it costs reading the blob
    found = list(buildkit_only(_text(tree, oid)))
    cache.put(key, version, json.dumps([astuple(each) for each in found]).encode())
    return found


def _text(tree: Tree, oid: str) -> str:
    return tree.read(oid, limit=MAX_BYTES).decode("utf-8", "replace")
