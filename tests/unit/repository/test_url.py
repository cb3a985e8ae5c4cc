"""Addresses of remotes, and the instance that they give."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.model.errors import ConfigurationError
from controller.repository.identity import instance_of
from controller.repository.url import is_loopback, may_be_here, parse_url

SAME = [
    "https://git.example.org/lab/specs",
    "https://git.example.org/lab/specs.git",
    "https://git.example.org/lab/specs/",
    "https://git.example.org:443/lab/specs.git/",
    "https://ab123:secret@git.example.org/lab/specs.git",
    "HTTPS://Git.Example.ORG/lab/specs.git",
    "ssh://git@git.example.org/lab/specs.git",
    "ssh://git.example.org:22/lab//specs",
    "git+ssh://git.example.org/lab/specs",
    "git@git.example.org:lab/specs.git",
    "git.example.org:/lab/specs.git",
]


def test_all_addresses_of_one_repository_give_one_instance() -> None:
    """User, port, protocol, ``.git`` and slashes do not make another repository."""
    assert len({instance_of(url) for url in SAME}) == 1
    assert re.fullmatch(r"specs-[0-9a-f]{8}", instance_of(SAME[0]))


def test_other_repositories_and_directories_give_others() -> None:
    """Two controllers for two repositories never share a name."""
    others = [
        instance_of(SAME[0]),
        instance_of("https://git.example.org/lab2/specs"),
        instance_of("https://git.example.com/lab/specs"),
        instance_of("https://git.example.org:8443/lab/specs"),
        instance_of(SAME[0], "team/a"),
        instance_of(SAME[0], "team/b"),
    ]
    assert len(set(others)) == len(others)
    assert instance_of(SAME[0], "team/a") == instance_of(SAME[1], "./team/a/")
    assert instance_of(SAME[0]) == instance_of(SAME[0], ".") == instance_of(SAME[0], "/")


def test_local_paths_are_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link, ``file://``, a relative path and ``.git`` are all the one repository."""
    real = tmp_path / "My Specs"
    (real / ".git").mkdir(parents=True)
    (tmp_path / "link").symlink_to(real)
    monkeypatch.chdir(tmp_path)
    forms = [str(real), f"{real}/", f"{real}/.git", str(tmp_path / "link"), "My Specs", f"file://{tmp_path}/My%20Specs"]
    assert {instance_of(form) for form in forms} == {instance_of(str(real))}
    assert instance_of(str(real)).startswith("my-specs-")


@given(name=st.text(st.characters(blacklist_characters="/?#\0", blacklist_categories=["Cs", "Cc"]), max_size=40))
def test_instance_is_always_a_tag(name: str) -> None:
    """At most 20 characters of a-z, 0-9 and dashes, beginning and ending with none of the latter."""
    made = instance_of(f"/srv/{name}x")
    assert re.fullmatch(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", made)
    assert len(made) <= 20


def test_secrets_do_not_show() -> None:
    """Neither in what is shown, nor in what libgit2 is given, nor in a traceback's repr."""
    url = parse_url("https://ab123:hunter2@git.example.org:8443/x.git")
    assert url.shown == url.connecting_as(None) == "https://git.example.org:8443/x.git"
    assert "hunter2" not in repr(url)
    assert url.password == "hunter2"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("git@host:lab/x.git", "me@host:lab/x.git"),
        ("ssh://git@host:2222/lab/x.git", "ssh://me@host:2222/lab/x.git"),
        ("ssh://[::1]:2222/x", "ssh://me@[::1]:2222/x"),
        ("[::1]:x", "me@[::1]:x"),
    ],
)
def test_forms_of_ssh(text: str, address: str) -> None:
    """Both forms keep path and port."""
    assert parse_url(text).scheme == "ssh"
    assert parse_url(text).connecting_as("me") == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a\nb",
        "git://host/x",
        "ftp://u:hunter2@host/x",
        "https://",
        "https://host",
        "https://host:99999/x",
        "ssh://u:hunter2@/x",
        "https://u:hunter2@host/x?y=1",
        "ssh://-oProxyCommand=x/y",
        "-oProxyCommand=x:y",
        "host:-x",
        "file://other/x",
    ],
)
def test_what_is_no_address(text: str) -> None:
    """Refused with the forms there are, and without the secret."""
    with pytest.raises(ConfigurationError) as caught:
        parse_url(text)
    assert caught.value.reason == "UrlInvalid"
    assert "hunter2" not in str(caught.value)


def test_a_path_may_be_named_without_its_suffix(tmp_path: Path) -> None:
    """As with git clone."""
    (tmp_path / "specs.git").mkdir()
    assert parse_url(str(tmp_path / "specs")).path == str(tmp_path / "specs.git")


def test_a_path_with_a_colon_that_exists_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``a:b`` is a host and a path unless there is such a directory."""
    (tmp_path / "a:b").mkdir()
    monkeypatch.chdir(tmp_path)
    assert parse_url("a:b").is_path
    assert not parse_url("a:c").is_path


def test_loopback() -> None:
    """Only names that can be nothing else."""
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.1.2.3", "::1")))
    assert not any(map(is_loopback, ("localhost.example.org", "10.0.0.1", "127.example.org", "")))


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST.", "x.localhost", "localhost.localdomain", "ip6-localhost", "127.1", "2130706433",
     "0x7f.0.0.1", "0.0.0.0", "0", "::1", "::", "::ffff:127.0.0.1"],
)  # fmt: skip
def test_every_spelling_of_this_machine_is_known(host: str) -> None:
    """What specs from elsewhere must not name is refused however it is written."""
    assert may_be_here(host)


@pytest.mark.parametrize("host", ["git.example.org", "10.0.0.1", "localhost.example.org", "::2", "128.0.0.1"])
def test_other_hosts_are_not_taken_for_this_machine(host: str) -> None:
    assert not may_be_here(host)
