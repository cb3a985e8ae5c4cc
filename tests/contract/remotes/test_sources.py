"""Other repositories that specs name: refs of every sort to commits, one exchange, and no token for a stranger."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from controller.model.errors import ConfigurationError, ControllerError
from controller.repository.auth import RemoteAuth
from controller.repository.sources import RefNotFound, SourceRepository, auth_for
from controller.repository.url import parse_url
from tests.contract.remotes.conftest import Backend, git


def repository(backend: Backend) -> SourceRepository:
    here = parse_url(backend.url)
    return SourceRepository(backend.directory / "sources", backend.url, specs=here, auth=backend.auth)


def test_every_sort_of_ref(backend: Backend) -> None:
    """HEAD, branch, full name, light and annotated tag, the id of a commit that no ref stands on."""
    origin = backend.origin
    first = origin.tip("main")
    assert first is not None
    git(origin.clone, "tag", "light")
    git(origin.clone, "tag", "-a", "-m", "x", "annotated")
    git(origin.clone, "push", "-q", "origin", "--tags")
    buried = origin.commit({"x": "1"})
    last = origin.commit({"x": "2"})
    side = origin.commit({"y": "1"}, branch="topic/a")
    found = repository(backend).resolve(["", "main", "topic/a", "refs/heads/main", "light", "annotated", buried])
    assert found == {
        "": last,
        "main": last,
        "refs/heads/main": last,
        "topic/a": side,
        "light": first,
        "annotated": first,
        buried: buried,
    }
    tree = repository(backend).tree(buried)
    (entry,) = [entry for entry in tree.entries() if entry.path == "x"]
    assert tree.read(entry.oid) == b"1"


def test_a_moved_branch_leaves_the_old_commit_here(backend: Backend) -> None:
    """Also when the branch was forced away from it: what was in force stays readable."""
    origin, source = backend.origin, repository(backend)
    before = source.resolve(["main"])["main"]
    git(origin.clone, "commit", "-q", "--amend", "-m", "Begin again")
    git(origin.clone, "push", "-qf", "origin", "HEAD:main")
    after = source.resolve(["main"])["main"]
    assert after == origin.tip("main") != before
    assert isinstance(before, str)
    assert source.holds(before)
    assert {entry.path for entry in repository(backend).tree(before).entries()} == {"README", "specs/a.yaml"}


def test_refs_that_are_not_there(backend: Backend) -> None:
    """Each is told by itself, with the nearest name; the others are found all the same."""
    found = repository(backend).resolve(["mian", "0123abc", "f" * 40, "main"])
    assert found["main"] == backend.origin.tip("main")
    said = {ref: str(error) for ref, error in found.items() if isinstance(error, RefNotFound)}
    assert said["mian"].endswith("there is no branch or tag mian; did you mean main?")
    assert said["0123abc"].endswith("written with all of its 40 digits")
    assert "no branch or tag leads to the commit" in said["f" * 40]


def test_a_commit_id_that_is_here_needs_no_exchange(path_backend: Backend) -> None:
    source = repository(path_backend)
    commit = source.resolve(["main"])["main"]
    assert isinstance(commit, str)
    shutil.rmtree(path_backend.origin.bare)
    assert source.resolve([commit]) == {commit: commit}
    with pytest.raises(ControllerError):
        source.resolve(["main"])


def test_the_token_goes_to_no_other_server(http_backend: Backend) -> None:
    """The same address under another host name is a stranger: it is asked without the token, and refuses."""
    stranger = http_backend.url.replace("127.0.0.1", "localhost")
    assert stranger != http_backend.url
    specs = parse_url(http_backend.url)
    source = SourceRepository(http_backend.directory / "s", stranger, specs=specs, auth=http_backend.auth)
    with pytest.raises(ControllerError, match="is not sent to another server") as caught:
        source.resolve(["main"])
    assert caught.value.reason == "AuthenticationFailed"
    assert repository(http_backend).resolve(["main"])["main"] == http_backend.origin.tip("main")


@pytest.mark.parametrize(
    "other", ["https://b.example/x", "http://a.example/x", "https://a.example:8443/x", "git@a.example:x"]
)
def test_which_servers_are_strangers(other: str) -> None:
    auth = RemoteAuth(token_env="T", token_file=Path("/t"), username="u", identity_files=(Path("/k"),))
    specs = parse_url("https://a.example/specs")
    assert auth_for(parse_url("https://A.example/x"), specs, auth) == auth
    strange = auth_for(parse_url(other), specs, auth)
    assert (strange.token_env, strange.token_file, strange.username) == (None, None, None)
    assert strange.identity_files == auth.identity_files


@pytest.mark.parametrize(
    "url", ["/srv/private.git", "file:///srv/private.git", "http://127.0.0.1:8080/x", "git@localhost:x"]
)
def test_specs_from_elsewhere_name_nothing_on_this_machine(url: str, tmp_path: Path) -> None:
    specs = parse_url("https://example.org/specs.git")
    with pytest.raises(ConfigurationError, match="must not name a repository on the controller's own machine"):
        SourceRepository(tmp_path, url, specs=specs, auth=RemoteAuth())
