"""Remotes for the contract suite: the same repository by path, over ssh and over http."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.repository.auth import RemoteAuth
from controller.repository.mirror import Mirror
from tests.contract.remotes.servers import TOKEN, HttpGit, Sshd, missing

BACKENDS = ("path", "ssh", "http")


def git(where: Path, *argv: str, env: dict[str, str] | None = None) -> str:
    """Run git as a person would, untouched by this machine's configuration."""
    clean = {
        "PATH": os.environ["PATH"],
        "HOME": str(where),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.org",
    }
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", *argv], cwd=where, env=clean | (env or {}), capture_output=True, text=True
    )
    assert done.returncode == 0, f"git {argv}: {done.stderr}"
    return done.stdout.strip()


@dataclass
class Origin:
    """A bare repository, and a person's clone of it."""

    bare: Path
    clone: Path

    def commit(self, files: dict[str, str], subject: str = "Change", *, branch: str = "main") -> str:
        """Commit files in the clone and push; return the commit's id."""
        for name, text in files.items():
            path = self.clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        git(self.clone, "add", "-A")
        git(self.clone, "commit", "-qm", subject)
        git(self.clone, "push", "-q", "origin", f"HEAD:{branch}")
        return git(self.clone, "rev-parse", "HEAD")

    def tip(self, branch: str) -> str | None:
        """Return where a branch of the bare repository is."""
        listed = git(self.bare, "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")
        return listed or None

    def hook(self, name: str, script: str) -> None:
        """Install a hook on the server."""
        path = self.bare / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\n" + script)
        path.chmod(0o755)


@dataclass
class Backend:
    """One way to reach the origin."""

    name: str
    origin: Origin
    url: str
    auth: RemoteAuth
    directory: Path

    def mirror(self, name: str = "mirror", **auth: object) -> Mirror:
        """Return a mirror in a directory of its own."""
        values = {f: getattr(self.auth, f) for f in self.auth.__slots__} | auth
        return Mirror(self.directory / name, self.url, RemoteAuth(**values))


def make_origin(directory: Path) -> Origin:
    """Make a bare repository with one commit on main."""
    bare = directory / "served" / "specs.git"
    bare.parent.mkdir(parents=True)
    git(directory, "init", "-q", "--bare", "-b", "main", str(bare))
    git(bare, "config", "http.receivepack", "true")
    git(directory, "clone", "-q", str(bare), str(directory / "clone"))
    origin = Origin(bare, directory / "clone")
    git(origin.clone, "checkout", "-q", "-b", "main")
    origin.commit({"README": "hello\n", "specs/a.yaml": "kind: Job\n"}, "Begin")
    return origin


def need(backend: str) -> None:
    """Skip what this machine cannot run; under CI that is a failure."""
    lacking = missing(backend)
    if lacking and os.environ.get("CI") == "true":
        pytest.fail(f"{backend} remotes need {lacking}: apt-get install openssh-server git")
    if lacking:
        pytest.skip(f"{backend} remotes need {lacking}")


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One private sshd for all tests."""
    need("ssh")
    server = Sshd(tmp_path_factory.mktemp("sshd") / "sshd")
    yield server
    server.close()


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    """A fresh origin."""
    need("path")
    return make_origin(tmp_path)


@pytest.fixture
def http(origin: Origin) -> Iterator[HttpGit]:
    """An HTTP server of the origin's directory."""
    need("http")
    server = HttpGit(origin.bare.parent)
    yield server
    server.close()


@pytest.fixture
def path_backend(origin: Origin, tmp_path: Path) -> Backend:
    """The origin by its path."""
    return Backend("path", origin, str(origin.bare), RemoteAuth(), tmp_path)


@pytest.fixture
def ssh_backend(origin: Origin, sshd: Sshd, tmp_path: Path) -> Backend:
    """The origin over ssh."""
    known = tmp_path / "known_hosts"
    known.write_text(sshd.known_host)
    auth = RemoteAuth(identity_files=(sshd.client_key,), known_hosts=(known,), connect_timeout_s=5, timeout_s=20)
    return Backend("ssh", origin, sshd.url(origin.bare), auth, tmp_path)


@pytest.fixture
def http_backend(origin: Origin, http: HttpGit, tmp_path: Path) -> Backend:
    """The origin over http with a token."""
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    auth = RemoteAuth(token_file=token, connect_timeout_s=5, timeout_s=20)
    return Backend("http", origin, http.url(origin.bare), auth, tmp_path)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    """The origin, by each way there is."""
    found: Backend = request.getfixturevalue(f"{request.param}_backend")
    return found
