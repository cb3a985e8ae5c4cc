"""Names of instances never change, and the spellings of one address count as one."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.repository.identity import instance_of, same_repository

NAMES = {
    ("git@git.example.org:lab/specs.git", ""): "specs-870bc8bd",
    ("git.example.org:lab/specs", ""): "specs-870bc8bd",
    ("ssh://git@git.example.org/lab/specs.git", ""): "specs-870bc8bd",
    ("ssh://git.example.org:22/lab/specs/", ""): "specs-870bc8bd",
    ("https://git.example.org/lab/specs.git", ""): "specs-870bc8bd",
    ("https://GIT.example.org:443/lab/specs", ""): "specs-870bc8bd",
    ("http://git.example.org:80/lab//specs.git/", ""): "specs-870bc8bd",
    ("https://git.example.org/lab/Specs", ""): "specs-a1ec3119",
    ("https://git.example.org/lab/specs", "hpc"): "hpc-80814bea",
    ("https://git.example.org/lab/specs", "./hpc/"): "hpc-80814bea",
    ("ssh://git.example.org:2222/lab/specs", ""): "specs-d9f89106",
    ("https://git.example.org/lab/My%20Long%20Repository.git", ""): "my-20long-2-ab81bf5b",
    ("ssh://git@[::1]/lab/specs", ""): "specs-5c88103a",
    ("ssh://git.example.org/~/specs", ""): "specs-6800a66e",
    ("/srv/git/specs.git", ""): "specs-d898f0f1",
    ("file:///srv/git/specs.git", ""): "specs-d898f0f1",
}
"""Address and path -> the name that every version has given."""

SAME = [
    (
        "https://git.example.org/lab/specs.git",
        "https://git.example.org/lab/specs",
        "https://git.example.org/lab//specs/",
        "https://GIT.Example.org./lab/specs",
        "https://git.example.org/Lab/Specs",
        "https://git.example.org:443/lab/specs",
        "https://ada:secret@git.example.org/lab/specs.git",
        "https://www.git.example.org/lab/specs",
        "http://git.example.org/lab/specs",
        "ssh://git@git.example.org/lab/specs.git",
        "ssh://git.example.org:22/lab/specs",
        "ssh://git@git.example.org/~/lab/specs",
        "git@git.example.org:lab/specs.git",
        "git@git.example.org:/lab/specs",
        "git@git.example.org:~/lab/specs",
        "git@git:lab/specs",
        "git+ssh://git@git.example.org/lab/specs",
        "https://git.example.org/lab/sp%65cs",
    ),
    ("ssh://git@git.example.org:2222/lab/specs.git", "https://git.example.org/lab/specs.git"),
    ("git@github.com:lab/specs.git", "ssh://git@ssh.github.com:443/lab/specs.git", "https://github.com/lab/specs"),
    ("git@gitlab.com:lab/specs.git", "ssh://git@altssh.gitlab.com:443/lab/specs.git"),
    ("https://[::1]/lab/specs", "ssh://git@[0:0:0:0:0:0:0:1]/lab/specs", "https://localhost/lab/specs"),
    ("https://bücher.example/lab/specs", "https://xn--bcher-kva.example/lab/specs"),
    ("ssh://ada@hub.example.org/~ada/specs", "ada@hub.example.org:~ada/specs.git"),
]

DIFFERENT = [
    ("https://git.example.org/lab/specs", "https://git.example.org/lab/specs-2"),
    ("https://git.example.org/lab/specs", "https://git.example.org/ada/specs"),
    ("https://git.example.org/lab/specs", "https://git.example.com/lab/specs"),
    ("https://git.example.org/lab/specs", "https://git.example.org:8443/lab/specs"),
    ("ssh://git.example.org:22/lab/specs", "ssh://git.example.org:2222/lab/specs"),
    ("https://127.0.0.1/lab/specs", "https://127.0.0.2.example.org/lab/specs"),
    ("https://10.1.2.3/lab/specs", "https://10/lab/specs"),
    ("https://git.a.example.org/lab/specs", "https://git.b.example.org/lab/specs"),
    ("ssh://hub.example.org/~ada/specs", "ssh://hub.example.org/~bob/specs"),
    ("/srv/git/specs.git", "/srv/git/other.git"),
    ("/srv/git/specs.git", "ssh://git.example.org/srv/git/specs.git"),
    ("https://git.example.org/lab/specs", "not an address: at all"),
    ("https://git.example.org/lab/specs", ""),
]


@pytest.mark.parametrize(("given", "name"), NAMES.items())
def test_a_name_stays_what_it_is(given: tuple[str, str], name: str) -> None:
    """Jobs, directories and marks of years are known by it."""
    assert instance_of(*given) == name


def test_a_second_instance_has_another_name() -> None:
    """One for each branch, and never that of the repository itself."""
    address = "https://git.example.org/lab/specs"
    names = {instance_of(address), instance_of(address, "", "main"), instance_of(address, "", "feature")}
    assert len(names) == 3


@pytest.mark.parametrize("spellings", SAME)
def test_spellings_of_one_address(spellings: tuple[str, ...]) -> None:
    """Each equals each, both ways round."""
    unequal = [(one, other) for one in spellings for other in spellings if not same_repository(one, other)]
    assert unequal == []


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_other_repositories(one: str, other: str) -> None:
    """What is not certain to be the same is another."""
    assert not same_repository(one, other)
    assert not same_repository(other, one)


def test_a_directory_by_all_its_names(tmp_path: Path) -> None:
    """Links, file://, a work tree and its .git, with and without the ending."""
    real = tmp_path / "specs.git"
    (real / ".git").mkdir(parents=True)
    (tmp_path / "link").symlink_to(real)
    names = [str(real), f"file://{real}", f"{real}/", str(tmp_path / "link"), str(tmp_path / "specs"), f"{real}/.git"]
    assert [name for name in names if not same_repository(name, str(real))] == []
