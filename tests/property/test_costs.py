"""Nothing in a commit costs more than linear time: twice the bytes take about twice as long.

Each way in which committed bytes reach a parser is fed with inputs that have been expensive somewhere: alternations
and repetitions for regular expressions, products of lists, deep nesting, names that resemble each other. Measured as a
ratio in one run, by the time that the process itself computes, so that a slow or busy machine changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from controller.specs import cron, ignore, lookups, quantities, quotes, ranges
from controller.specs.compile import load
from controller.specs.discovery import spec_files
from controller.specs.dockerfiles import buildkit_only
from controller.specs.graph import ordered
from controller.specs.matrix import MatrixError
from controller.specs.nearest import did_you_mean, suggesting
from controller.specs.parse import parse_blob
from controller.specs.references import NotAReferenceError, reference_of
from controller.specs.settings import read_settings
from controller.specs.shells import ShellError, words_of
from controller.specs.submit_options import refusal
from controller.specs.templates import TemplateError, read_template
from controller.specs.unit_checks import unit_findings
from controller.specs.units import Unit
from controller.specs.yaml_loader import load as load_yaml
from tests.unit.specs.trees import Link, MemoryTree

Parse = Callable[[str], object]
Make = Callable[[int], str]

ENOUGH_S = 0.05
"""Computing time from which on a ratio says something."""
MOST_RATIO = 3.2
"""Linear is 2, with sorting, caches and memory a little more; quadratic is 4."""
LARGEST = 1 << 17
MOST_S = 20.0
"""For the largest input, whatever the ratio."""

CLUSTER = "kind: Cluster\nname: here\nscheduler: local\ncontainers: none\n---\n"


def job(fields: str, name: str = "a") -> str:
    return f"kind: Job\nname: {name}\ncluster: here\n{fields}\n"


def _quietly(parse: Parse) -> Parse:
    def called(text: str) -> None:
        with suppress(
            ValueError,
            ArithmeticError,
            ShellError,
            NotAReferenceError,
            TemplateError,
            MatrixError,
            ignore.BadPatternError,
        ):
            parse(text)

    return called


def _ignored(text: str) -> None:
    patterns = ignore.read_patterns(text)
    for path in ("a" * 2_000 + ".txt", "a/" * 400 + "b", *(f"d{n % 7}/a{n}" for n in range(200))):
        patterns.ignores(path)


def _controllerignore(text: str) -> None:
    names = [f"{'a' * 60}{n}.yaml" for n in range(200)] + ["a/" * 400 + "b.yaml"]
    tree = MemoryTree({".controllerignore": text, **dict.fromkeys(names, "")})
    spec_files(tree, tree.entries())


def _commit(text: str) -> None:
    load(MemoryTree({"a.yaml": text, "b/c.txt": "x"}))


def _links(text: str) -> None:
    """A commit of that many links, each with a long way to nowhere."""
    links = {f"d/l{n}": Link(b"x/../" * 200 + b"l0") for n in range(len(text) // 1_000)}
    load(MemoryTree({"a.yaml": CLUSTER + job("command: x\nfiles: [d]"), **links}))


def _files(text: str) -> None:
    """A commit of that many files and specs."""
    count = len(text) // 100
    tree = MemoryTree(
        {f"d{n % 97}/{n}.txt": "x" for n in range(count)} | {"a.yaml": CLUSTER, ".controllerignore": text}
    )
    load(tree)


def _graph(text: str) -> None:
    ordered({str(n): words.split() for n, words in enumerate(text.split("\n"))})


PARSERS: dict[str, Parse] = {
    "yaml": lambda text: load_yaml(text.encode()),
    "blob": lambda text: parse_blob(text.encode()),
    "commit": _commit,
    ".dockerignore": _ignored,
    ".controllerignore": _controllerignore,
    "dockerfile": lambda text: list(buildkit_only(text)),
    "cron": cron.parse,
    "range": lambda text: ranges.values(["1", text, "1"]),
    "duration": quantities.duration_s,
    "walltime": quantities.walltime_s,
    "memory": quantities.memory_mib,
    "reference": reference_of,
    "submit option": refusal,
    "shell": words_of,
    "look-ups": lambda text: list(lookups.faults(text, {"job.name": None}, {"needs": {}})),
    "quotes": lambda text: quotes.places(text, [match for match, c in enumerate(text) if c == "$"]),
    "template": lambda text: read_template(text.encode(), "template.yaml"),
    "settings": lambda text: read_settings(text.encode(), "c.yaml", schema="Config", noun="configuration"),
    "graph": _graph,
    "links": _links,
    "files": _files,
    "matrix": lambda text: list(
        unit_findings(
            Unit("a", {"matrix": {"x": text.split(), "exclude": [{"x": word + ".0"} for word in text.split()]}}), {}
        )
    ),
    "nearest": lambda text: _suggested(text.split("\n")),
}


def _suggested(words: list[str]) -> None:
    with suggesting():
        for word in words:
            did_you_mean(word, words)


def repeated(unit: str, before: str = "", after: str = "") -> Make:
    return lambda size: before + unit * (size // max(1, len(unit))) + after


def lines(line: str, before: str = "", after: str = "") -> Make:
    """Return lines that have a number where ``line`` has ``@``."""
    return lambda size: before + "\n".join(line.replace("@", str(n)) for n in range(size // (len(line) + 4))) + after


ANYTHING: dict[str, Make] = {
    unit.replace("\n", "\\n"): repeated(unit)
    for unit in (
        "a", " ", "\n", "-", "*a", "**/", "?", "[", "]", "[a", "{", "a: ", "- ", "\"", "'", "`", "(", "$(", "\\",
        "\\\n", "$a", "${{", "${{ a.b }}", "}}", "<<E ", "<<'E", "&a ", "*a ", "!a ", "? ", "--a=\"\" ", "---\n",
        "--- ", "0", "1,", "*/1,",
        "é", "𝕏", "\t", "#", "@", ":", "/", "a/", "../", ".", "_", "--",
    )
}  # fmt: skip

COSTLY: dict[str, tuple[str, Make]] = {
    "unknown fields": ("blob", lines("unknown@: 1", job("command: x"))),
    "unknown fields that resemble": ("blob", lines("comand@: 1", job("command: x"))),
    "a matrix of wrong values": ("blob", lines("    - {a: @}", job("command: x\nmatrix:\n  x:"))),
    "a long key over many errors": (
        "blob",
        lambda size: job("command: x\nmatrix:\n  ? " + "k" * (size // 2) + "\n  : [" + "{}," * (size // 6) + "1]"),
    ),
    "duplicate keys below a long one": (
        "blob", lambda size: job("? " + "k" * (size // 2) + "\n: {" + "a: 1, " * (size // 12) + "}")),
    "look-ups of one name": ("blob", repeated("${{ matrix.x }} ", job("matrix: {x: [1, 'a b']}\ncommand: "))),
    "look-ups in quotes": ("blob", repeated("'${{ matrix.x }}' ", job("matrix: {x: [1, 'a b']}\ncommand: x "))),
    "look-ups of what waits": ("blob", repeated("${{ needs.b.run_dir }} ", job("needs: [b]\ncommand: "))),
    "look-ups with escapes": ("blob", repeated("\\x24{{ job.nam }} ", job('command: "'), '"')),
    "look-ups that never close": ("blob", repeated("${{ ", job("command: "))),
    "variables": ("blob", lines("  A@: ${{ job.nam }}", job("command: x\nenv:\n"))),
    "look-ups of many values": ("blob", lambda size: job(
        "matrix: {x: [" + ", ".join(f"a{n}" for n in range(size // 16)) + "]}\ncommand: "
        + "${{ matrix.x }} " * (size // 32))),
    "tasks that there are not": (
        "blob", lines("  - x=b@", job("matrix: {x: {range: [1, 5000]}}\ncommand: x\nsuspend:\n"))),
    "sweeps in a few bytes": ("blob", lines(
        "---\nkind: Job\nname: a@\ncluster: b\ncommand: x\nmatrix: {x: {range: [1, 100000]}}")),
    "steps with an unknown field": ("blob", lines(
        "  s@: {command: x, cluster: here, nope: 1}", "kind: Workflow\nname: w\nsteps:\n")),
    "a working directory of variables": (
        "blob", lambda size: "kind: Cluster\nname: a\nworkdir: " + "$aaaa" * (size // 5) + "!"),
    "working directories": (
        "blob", lines("---\nkind: Cluster\nname: a@\nworkdir: $aaaaaaaaaaaaaaaa$aaaaaaaaaaaa$aaaaaaa!")),
    "what is no YAML": ("blob", lines("---\nkind: Job\nname: a@\n- [")),
    "blanks behind a marker": ("blob", repeated(" ", "kind: [\n--- ", "x")),
    "jobs that need what is not there": ("commit", lines(
        "---\nkind: Job\nname: a@\ncluster: nope@\ncommand: x\nneeds: [b@]", CLUSTER)),
    "jobs of one name": ("commit", lines("---\nkind: Job\nname: a\ncluster: here\ncommand: x # @", CLUSTER)),
    "files that are not there": ("commit", lines("  - nope/@", CLUSTER + job("command: x\nfiles:\n"))),
    "sweeps of a commit": ("commit", lines(
        "---\nkind: Job\nname: a@\ncluster: here\ncommand: x\nmatrix: {x: {range: [1, 100000]}}", CLUSTER)),
    "long commands of sweeps": ("commit", lambda size: CLUSTER + job(
        "matrix: {x: {range: [1, 100000]}}\ncommand: " + "x" * size)),
    "one circle of needs": ("graph", lambda size: "\n".join(str((n + 1) % (size // 8)) for n in range(size // 8))),
    "circles that need circles": ("graph", lambda size: "\n".join(
        f"{n ^ 1} {max(0, n - 2)}" for n in range(size // 16))),
    "a chain": ("graph", lambda size: "\n".join(str(n + 1) for n in range(size // 8))),
    "everything needs everything before": ("graph", lambda size: "\n".join(
        " ".join(str(k) for k in range(n)) for n in range(int((size / 3) ** 0.5)))),
    "ignored by stars": (".dockerignore", repeated("*a", "", "b")),
    "ignored by directories": (".dockerignore", repeated("**/a/")),
    "taken back": (".dockerignore", lines("!*a*a*a*@*b")),
    "plain lines": (".dockerignore", lines("d/plain/@.txt")),
    "stars for specs": (".controllerignore", repeated("*a", "", "b")),
    "lines for specs": (".controllerignore", lines("**/*a*a*@*b*/x")),
    "classes for specs": (".controllerignore", repeated("[a-z]*")),
    "flags of quotes": ("dockerfile", lines('RUN --mount="a"="b"="c"="d"="e"="f"="g"="h"="i"="j"x@')),
    "one flag of quotes": ("dockerfile", repeated('"a"=', "RUN --mount=")),
    "heredocs": ("dockerfile", lines("RUN <<A@")),
    "heredocs on a line": ("dockerfile", repeated("<<B ", "RUN ", "\nx\nB")),
    "backslashes": ("dockerfile", repeated("\\ \\  ", "RUN ")),
    "backquotes in parentheses": ("quotes", lambda size: "(" * (size // 2) + "`" * (size // 2)),
    "quoted dollars": ("quotes", repeated("'$' ")),
    "here-documents": ("quotes", repeated("<<A <<B $x\n")),
    "excludes by number": ("matrix", lambda size: " ".join(str(n) for n in range(size // 8))),
    "words": ("nearest", lines("word@")),
    "links": ("links", repeated("x")),
    "files": ("files", lines("**/*a*@*b")),
}  # fmt: skip


def computing_s(parse: Parse, text: str) -> float:
    """Return the computing time of one call."""
    begun = time.process_time()
    parse(text)
    return time.process_time() - begun


def assert_linear(parse: Parse, make: Make, *, smallest: int, largest: int) -> None:
    """Make the input larger until it takes long enough to be measured, or is as large as wanted."""
    size = smallest
    while (once := computing_s(parse, make(size))) < ENOUGH_S and size < largest:
        size *= 4
    twice = computing_s(parse, make(2 * size))
    assert twice < MOST_S, f"{2 * size} characters took {twice:.2f} s"
    if twice < ENOUGH_S or twice < MOST_RATIO * once:
        return
    # A limit may begin to count only here, or the machine was busy: what counts is whether it grows on like that.
    once, twice, again = (min(computing_s(parse, make(n * size)) for _ in range(2)) for n in (1, 2, 4))
    assert min(twice / once, again / twice) < MOST_RATIO, (
        f"{size} characters took {once:.2f} s, {2 * size} took {twice:.2f} s, {4 * size} took {again:.2f} s"
    )


@pytest.mark.parametrize("parser", sorted(PARSERS.keys() - {"links", "files", "matrix", "graph"}))
def test_twice_the_bytes_take_about_twice_as_long(parser: str) -> None:
    for make in ANYTHING.values():
        assert_linear(_quietly(PARSERS[parser]), make, smallest=1 << 14, largest=1 << 14)


@pytest.mark.parametrize("case", COSTLY)
def test_what_was_costly_is_linear(case: str) -> None:
    parser, make = COSTLY[case]
    assert_linear(_quietly(PARSERS[parser]), make, smallest=1 << 12, largest=LARGEST)
