"""Ignore files mean to the controller what they mean to Git and to Docker, whatever is put together in them."""

from __future__ import annotations

import io
import os
import random
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from controller.specs.gitignore import Ignored, NeverMatchesError, lines_of, read_line
from controller.specs.ignore import BadPatternError, read_patterns
from tests.effort import examples

PATHS = (
    "a", "b", "ab", "a1/b", "a1/bc", "abc/x", "d/a/b/c", "d/e", "d/e.txt", "x.txt", "d/x.txt", "d/[a]", "d/a*b", "^b",
    "foo/bar/baz", "foo/barbaz/q", "d/é", "é.txt", "-", "d/-a", "]", "d/^", "d/!x", "A/B", "a b/c", "xfoo", "q/xfoo",
    "#c", "sp ",
)  # fmt: skip
BOTH = (
    "*", "**", "?", "/", "a", "b", "ab", "foo", "bar", "d", "e", "x", ".txt", "[a-c]", "\\*", "-", "**/", "/**", "*/",
    "é", "x.txt", "[+-0]", "]", "(", "$", "+", ".", "a/",
)  # fmt: skip
OF_GIT = (
    "[!a]", "[^/]", "[]a]", "[[:alpha:]]", "[a", "\\", "\\ ", " ", "!", "#", "[a-", "[[:foo:]]", "[a\\]]", "\\/",
    "[a-c-e]",
)  # fmt: skip
OF_DOCKER = ("[^a]", "[^/]", "\\.", "\\[", "^", "[a.b]")


def written(chance: random.Random, parts: Sequence[str]) -> str:
    """Return an ignore file of one to three lines."""
    return "".join("".join(chance.choices(parts, k=chance.randint(1, 5))) + "\n" for _ in range(chance.randint(1, 3)))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for path in PATHS:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    return tmp_path


def test_git_ignores_the_same(place: Path) -> None:
    subprocess.run(["git", "init", "-q", place], check=True)
    chance = random.Random(1)
    matched = 0
    for _ in range(examples(300)):
        text = written(chance, BOTH + OF_GIT)
        (place / ".gitignore").write_text(text)
        done = subprocess.run(
            ["git", "-C", place, "check-ignore", "--no-index", "--stdin", "-z"],
            input="".join(f"{path}\0" for path in PATHS).encode(),
            capture_output=True,
        )
        assert done.returncode in (0, 1), done.stderr
        theirs = set(done.stdout.decode().split("\0")) - {""}
        ignored = Ignored(list(lines(text)))
        assert {path for path in PATHS if ignored.ignores(path)} == theirs, repr(text)
        matched += len(theirs)
    assert matched > 300, "hardly a pattern matched anything"


def lines(text: str) -> Iterator:  # type: ignore[type-arg]
    """Yield the lines that are patterns."""
    for each in lines_of(text):
        try:
            if (line := read_line(each)) is not None:
                yield line
        except NeverMatchesError:
            continue


@pytest.mark.docker
def test_docker_leaves_out_the_same(place: Path) -> None:
    """By its own client, which sends a context. Without "!": this client passes over directories that it need not."""
    (place / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    chance = random.Random(1)
    matched = compared = 0
    while compared < examples(12):
        text = written(chance, BOTH + OF_DOCKER)
        (place / ".dockerignore").write_text(text)
        try:
            patterns = read_patterns(text)
        except BadPatternError:
            continue
        theirs = sent(place)
        assert {path for path in PATHS if not patterns.ignores(path)} == theirs, repr(text)
        matched += len(PATHS) - len(theirs)
        compared += 1
    assert matched > 12, "hardly a pattern matched anything"


def sent(place: Path) -> set[str]:
    """Return which of the paths are in an image of the context."""
    image = _docker("build", "-q", str(place)).decode().strip()
    container = _docker("create", image, "x").decode().strip()
    try:
        with tarfile.open(fileobj=io.BytesIO(_docker("export", container))) as tar:
            return {member.name for member in tar if member.isfile()} & set(PATHS)
    finally:
        _docker("rm", container)
        _docker("rmi", image)


def _docker(*words: str) -> bytes:
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    return subprocess.run(["docker", *words], check=True, capture_output=True, env=environment, timeout=120).stdout
