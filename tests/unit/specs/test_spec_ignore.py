"""What a ``.dockerignore`` leaves out of a build, by Docker's rules, and what that means for the identity."""

from __future__ import annotations

import pytest

from controller.model.images import Build
from controller.model.resources import Desired
from controller.specs.ignore import BadPatternError, read_patterns
from tests.unit.specs.trees import Link, desired, headlines

SPEC = "kind: Image\nname: box\nbuild: {context: box}\n"


def kept(text: str, *paths: str) -> list[str]:
    """Return the paths that are sent."""
    patterns = read_patterns(text)
    return [path for path in paths if not patterns.ignores(path)]


def load(**files: str | bytes) -> Desired:
    """Load an image whose context holds ``files`` beside a Dockerfile."""
    context = {f"box/{name}": content for name, content in files.items()}
    return desired({"a.yaml": SPEC, "box/Dockerfile": "FROM x\n", **context})


def sent(made: Desired) -> list[str]:
    """Return what is sent to the build."""
    assert headlines(made) == []
    origin = made.images["box"].origin
    assert isinstance(origin, Build)
    return [entry.path for entry in origin.context.entries]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("", ["a.txt", "b/a.txt", "b/c/a.txt", "b/x.py"]),
        ("a.txt", ["b/a.txt", "b/c/a.txt", "b/x.py"]),
        ("/a.txt", ["b/a.txt", "b/c/a.txt", "b/x.py"]),
        ("*.txt", ["b/a.txt", "b/c/a.txt", "b/x.py"]),
        ("*/a.txt", ["a.txt", "b/c/a.txt", "b/x.py"]),
        ("**/a.txt", ["b/x.py"]),
        ("**/*.txt", ["b/x.py"]),
        ("b", ["a.txt"]),
        ("b/", ["a.txt"]),
        ("./b/../b/c", ["a.txt", "b/a.txt", "b/x.py"]),
        ("b/**", ["a.txt"]),
        ("*\n!b/c", ["b/c/a.txt"]),
        ("*\n!b/c\nb/c/a.txt", []),
        ("**\n!**/*.py", ["b/x.py"]),
        ("# a.txt\n \n  b  \r\n", ["a.txt"]),
        ("?.txt", ["b/a.txt", "b/c/a.txt", "b/x.py"]),
        ("[ab].txt", ["b/a.txt", "b/c/a.txt", "b/x.py"]),
        ("[^a].txt", ["a.txt", "b/a.txt", "b/c/a.txt", "b/x.py"]),
        ("A.TXT", ["a.txt", "b/a.txt", "b/c/a.txt", "b/x.py"]),
        (".", ["a.txt", "b/a.txt", "b/c/a.txt", "b/x.py"]),
        ("\\*.txt", ["a.txt", "b/a.txt", "b/c/a.txt", "b/x.py"]),
        ("**txt", ["b/x.py"]),
        ("b/**/a.txt", ["a.txt", "b/x.py"]),
        ("b/c/**", ["a.txt", "b/a.txt", "b/x.py"]),
    ],
)
def test_patterns_mean_what_docker_says(text: str, left: list[str]) -> None:
    assert kept(text, "a.txt", "b/a.txt", "b/c/a.txt", "b/x.py") == left


@pytest.mark.parametrize("text", ["[a", "!", "!  ", "[b-a]", "\\a*", "[*]x", "[[:alpha:]]", "[a-]", "[]a]", "a\\"])
def test_what_is_no_pattern_is_said_with_its_line(text: str) -> None:
    with pytest.raises(BadPatternError, match="line 2: "):
        read_patterns(f"ok\n{text}\n")


def test_an_ignored_file_is_not_sent_and_changes_no_identity() -> None:
    """A file that cannot influence the build is no reason for another one."""
    rules = {".dockerignore": "*.log\n"}
    first = load(**rules, **{"run.log": "1", "app.py": "x"})
    assert sent(first) == [".dockerignore", "Dockerfile", "app.py"]
    identity = first.images["box"].identity
    assert load(**rules, **{"run.log": "2", "app.py": "x"}).images["box"].identity == identity
    assert load(**rules, **{"run.log": "1", "app.py": "y"}).images["box"].identity != identity


def test_dockerfile_and_ignore_file_are_sent_whatever_the_patterns_say() -> None:
    assert sent(load(**{".dockerignore": "*\n", "data": "x"})) == [".dockerignore", "Dockerfile"]


def test_the_dockerfiles_own_ignore_file_comes_first() -> None:
    """``Dockerfile.dockerignore`` outranks ``.dockerignore``, which is then a file like any other."""
    made = load(**{".dockerignore": "a\n", "Dockerfile.dockerignore": "b\n.dockerignore\n", "a": "", "b": ""})
    assert sent(made) == ["Dockerfile", "Dockerfile.dockerignore", "a"]


def test_an_ignore_file_that_cannot_be_read_stops_the_image_alone() -> None:
    made = load(**{".dockerignore": "ok\n[a\n"})
    assert "Image/box" in made.broken
    assert "line 2" in headlines(made)[0]
    assert "Image/box" in load(**{".dockerignore": Link(b"Dockerfile")}).broken
