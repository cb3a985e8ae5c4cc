"""Remotes that do not answer, are not who they say, or let nobody in: each is refused, bounded and explained."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from controller.model.errors import ConfigurationError, StalledError
from controller.repository.auth import AuthenticationFailed, RemoteAuth
from controller.repository.failures import CertificateRejected, HostKeyRejected, Unreachable
from controller.repository.mirror import Mirror
from controller.repository.statusbranch import BRANCH, StatusBranch
from tests.contract.remotes.conftest import Backend, Origin, git
from tests.contract.remotes.servers import TOKEN, HttpGit, Sshd, black_hole, free_port, keygen, public_key

BOUND_S = 10.0


def known_hosts(backend: Backend, text: str) -> Path:
    path = backend.directory / "other_known_hosts"
    path.write_text(text)
    return path


def hashed(line: str, directory: Path) -> str:
    path = directory / "to_hash"
    path.write_text(line)
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(path)], check=True, capture_output=True)
    assert line.split()[0] not in path.read_text()
    return path.read_text()


@pytest.fixture
def stranger(tmp_path: Path) -> str:
    """A key that is not the server's: ``type base64``."""
    return public_key(keygen(tmp_path / "stranger"))


def right_lines(sshd: Sshd, stranger: str, directory: Path) -> dict[str, str]:
    name, key = f"[127.0.0.1]:{sshd.port}", public_key(sshd.host_key)
    return {
        "plain": f"{name} {key}\n",
        "hashed": hashed(f"{name} {key}\n", directory),
        "without port": f"127.0.0.1 {key}\n",
        "pattern": f"[127.0.0.?]:* {key} comment\n",
        "in a list": f"elsewhere,{name} {key}\n",
        "after junk": f"junk\n\n# note\n{name} ssh-rsa %%%%\n{name} {key}\n",
        "windows": f"{name} {key}\r\n",
        "beside another": f"{name} {stranger}\n{name} {key}\n",
        "long line first": f"{name} ssh-rsa {'A' * 9000}\n{name} {key}\n",
        "unknown type first": f"x sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29t\n{name} {key}\n",
    }


def wrong_lines(sshd: Sshd, stranger: str, directory: Path) -> dict[str, tuple[str, str]]:
    name, key = f"[127.0.0.1]:{sshd.port}", public_key(sshd.host_key)
    return {
        "empty": ("", "is not known"),
        "other host": (f"elsewhere {key}\n", "is not known"),
        "other port": (f"[127.0.0.1]:{sshd.port + 1} {key}\n", "is not known"),
        "excluded": (f"!127.0.0.1,!{name},* {key}\n", "is not known"),
        "authority": (f"@cert-authority * {key}\n", "only a certificate authority"),
        "changed": (f"{name} {stranger}\n", "has changed"),
        "changed, hashed": (hashed(f"{name} {stranger}\n", directory), "has changed"),
        "changed, without port right": (f"{name} {stranger}\n127.0.0.1 {key}\n", "has changed"),
        "revoked": (f"{name} {key}\n@revoked * {key}\n", "is revoked"),
    }


def test_known_host_keys_are_accepted(ssh_backend: Backend, sshd: Sshd, stranger: str) -> None:
    """Every form in which OpenSSH writes or takes a known key."""
    for form, text in right_lines(sshd, stranger, ssh_backend.directory).items():
        mirror = ssh_backend.mirror(f"m-{form}", known_hosts=(known_hosts(ssh_backend, text),))
        mirror.fetch("main")
        assert mirror.head("main"), form


def test_any_other_host_key_is_refused(ssh_backend: Backend, sshd: Sshd, stranger: str) -> None:
    """Nothing is offered to such a server: no user, no key, no request."""
    for form, (text, words) in wrong_lines(sshd, stranger, ssh_backend.directory).items():
        before = len(sshd.said())
        mirror = ssh_backend.mirror(f"m-{form}", known_hosts=(known_hosts(ssh_backend, text),))
        with pytest.raises(HostKeyRejected, match=words) as caught:
            mirror.fetch("main")
        assert "127.0.0.1" in str(caught.value), form
        assert "nothing was sent" in str(caught.value), form
        with pytest.raises(HostKeyRejected):
            StatusBranch(mirror).write({"README.md": b""}, message="Report")
        said = sshd.said()[before:]
        assert "userauth" not in said.lower(), form
        assert "upload-pack" not in said, form
    assert ssh_backend.origin.tip(BRANCH) is None


def test_missing_known_hosts_is_refused(ssh_backend: Backend) -> None:
    """Trust on first use would trust anybody who answers first."""
    mirror = ssh_backend.mirror(known_hosts=(ssh_backend.directory / "none",))
    with pytest.raises(HostKeyRejected, match="ssh-keyscan"):
        mirror.fetch("main")


def test_default_known_hosts_are_the_accounts_own(
    ssh_backend: Backend, sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a file named, the ones that ssh reads are read; libgit2's own home is put back."""
    import pygit2

    home = ssh_backend.directory / "home"
    (home / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    before = pygit2.settings.homedir
    with pytest.raises(HostKeyRejected):
        ssh_backend.mirror("a", known_hosts=()).fetch("main")
    (home / ".ssh" / "known_hosts").write_text(sshd.known_host)
    ssh_backend.mirror("b", known_hosts=()).fetch("main")
    assert pygit2.settings.homedir == before


def test_key_that_the_server_does_not_know(ssh_backend: Backend, tmp_path: Path) -> None:
    """Refused once and reported with what was tried, not asked for ever."""
    mirror = ssh_backend.mirror(identity_files=(keygen(tmp_path / "unknown"),))
    with pytest.raises(AuthenticationFailed, match=r"tried: .*unknown"):
        mirror.fetch("main")


def test_second_key_is_tried(ssh_backend: Backend, sshd: Sshd, tmp_path: Path) -> None:
    """Keys are offered in turn; one that needs a passphrase or is missing is passed over and named."""
    locked = keygen(tmp_path / "locked", passphrase="secret")
    keys = (tmp_path / "absent", locked, keygen(tmp_path / "unknown"))
    ssh_backend.mirror("a", identity_files=(*keys, sshd.client_key)).fetch("main")
    with pytest.raises(AuthenticationFailed, match=r"absent \(No such file.*locked \(protected by a passphrase"):
        ssh_backend.mirror("b", identity_files=keys).fetch("main")


@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
def test_types_of_key(ssh_backend: Backend, sshd: Sshd, tmp_path: Path, kind: str) -> None:
    """Keys of each common type log in, without their public half beside them."""
    key = keygen(tmp_path / kind, kind)
    with (sshd.client_key.parent / "authorized").open("a") as authorized:
        authorized.write(public_key(key) + "\n")
    key.with_name(kind + ".pub").unlink()
    ssh_backend.mirror(identity_files=(key,)).fetch("main")


def test_agent_and_default_keys(ssh_backend: Backend, sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no key named, the agent's are used; a socket that is left over does no harm, the default keys follow."""
    home = ssh_backend.directory / "home"
    (home / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(AuthenticationFailed, match="no agent"):
        ssh_backend.mirror("none", identity_files=()).fetch("main")
    socket = ssh_backend.directory / "agent.sock"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        wait_for(socket.exists)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        with pytest.raises(AuthenticationFailed, match="keys of the agent"):
            ssh_backend.mirror("empty", identity_files=()).fetch("main")
        subprocess.run(["ssh-add", "-q", str(sshd.client_key)], check=True)
        ssh_backend.mirror("agent", identity_files=()).fetch("main")
    finally:
        agent.kill()
        agent.wait()
    assert socket.exists()
    (home / ".ssh" / "id_ed25519").write_bytes(sshd.client_key.read_bytes())
    ssh_backend.mirror("default", identity_files=()).fetch("main")


def test_wrong_token(http_backend: Backend, http: HttpGit, tmp_path: Path) -> None:
    """One try, and the token is in no message."""
    (tmp_path / "wrong").write_text("wrong-token")
    mirror = http_backend.mirror(token_file=tmp_path / "wrong")
    with pytest.raises(AuthenticationFailed, match="refused the token") as caught:
        mirror.fetch("main")
    assert "wrong-token" not in repr(caught.value.__cause__) + str(caught.value)
    assert [given is not None for _, given in http.requests] == [False, True]


def test_no_token_or_an_empty_one(http_backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each says where the token was looked for."""
    monkeypatch.setenv("EMPTY_TOKEN", " ")
    (tmp_path / "void").write_text("\n")
    for options, words in (
        ({"token_file": None}, "asks for a log-in"),
        ({"token_file": tmp_path / "void"}, "void holds no token"),
        ({"token_file": tmp_path / "absent"}, "absent cannot be read"),
        ({"token_file": None, "token_env": "EMPTY_TOKEN"}, "EMPTY_TOKEN holds no token"),
    ):
        with pytest.raises(AuthenticationFailed, match=words):
            http_backend.mirror(**options).fetch("main")


def test_token_from_the_environment_or_the_url(
    http_backend: Backend, http: HttpGit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token in the URL works, but reaches neither the mirror's files nor a message."""
    monkeypatch.setenv("GIT_TOKEN_X", TOKEN)
    http_backend.mirror("env", token_file=None, token_env="GIT_TOKEN_X").fetch("main")
    with_secret = http_backend.url.replace("://", f"://x-access-token:{TOKEN}@")
    mirror = Mirror(http_backend.directory / "secret", with_secret)
    mirror.fetch("main")
    StatusBranch(mirror).write({"README.md": b""}, message="Report")
    for path in mirror.directory.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()
    assert TOKEN not in repr(mirror.url)
    http.fail_with = 503
    with pytest.raises(Unreachable) as caught:
        mirror.fetch("main")
    assert TOKEN not in f"{caught.value} {caught.value.__cause__!r}"


@pytest.mark.parametrize(
    ("status", "reason"),
    [(403, "AuthenticationFailed"), (404, "RepositoryNotFound"), (500, "Unreachable"), (429, "Unreachable")],
)
def test_http_errors(http_backend: Backend, http: HttpGit, status: int, reason: str) -> None:
    """What a person must mend is told from what passes by itself."""
    http.fail_with = status
    with pytest.raises(StalledError if reason != "Unreachable" else Unreachable) as caught:
        http_backend.mirror().fetch("main")
    assert caught.value.reason == reason


def test_http_to_another_machine_is_refused(tmp_path: Path) -> None:
    """The token would go over the network in the clear."""
    mirror = Mirror(tmp_path / "m", "http://git.example.org/specs.git")
    with pytest.raises(ConfigurationError, match="unencrypted"):
        mirror.fetch("main")


def test_certificate_that_does_not_hold(origin: object, http_backend: Backend, tmp_path: Path) -> None:
    """A self-signed certificate is refused before anything is sent."""
    pem = tmp_path / "server.pem"
    argv = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -keyout {pem}.key -out {pem}.crt"
    subprocess.run(argv.split(), check=True, capture_output=True)
    pem.write_text(Path(f"{pem}.key").read_text() + Path(f"{pem}.crt").read_text())
    server = HttpGit(http_backend.origin.bare.parent, certificate=pem)
    try:
        mirror = Mirror(tmp_path / "tls", server.url(http_backend.origin.bare), http_backend.auth)
        with pytest.raises(CertificateRejected, match="nothing was sent"):
            mirror.fetch("main")
        assert server.requests == []
    finally:
        server.close()


@pytest.mark.parametrize("scheme", ["ssh", "http", "https"])
def test_nobody_listens(scheme: str, tmp_path: Path) -> None:
    """A closed port is transient, and says so at once."""
    mirror = Mirror(tmp_path / "m", f"{scheme}://127.0.0.1:{free_port()}/specs.git")
    with pytest.raises(Unreachable, match="refused"):
        mirror.fetch("main")


@pytest.mark.parametrize(
    ("scheme", "greeting"),
    [
        ("ssh", b""),
        ("ssh", b"SSH-2.0-OpenSSH_9.2\r\n"),
        ("http", b""),
        ("http", b"HTTP/1.1 200 OK\r\n"),
        ("https", b""),
    ],
)
def test_server_that_never_answers(scheme: str, greeting: bytes, tmp_path: Path) -> None:
    """A server that takes the connection and falls silent holds a pass up for the time-out, no longer."""
    auth = RemoteAuth(connect_timeout_s=1, timeout_s=1)
    with black_hole(greeting) as port:
        mirror = Mirror(tmp_path / "m", f"{scheme}://127.0.0.1:{port}/specs.git", auth)
        start = time.monotonic()
        with pytest.raises(Unreachable):
            mirror.fetch("main")
        assert time.monotonic() - start < BOUND_S


def test_name_that_does_not_resolve(tmp_path: Path) -> None:
    """Names may come back: transient."""
    with pytest.raises(Unreachable, match=r"nowhere\.invalid"):
        Mirror(tmp_path / "m", "https://nowhere.invalid/specs.git").fetch("main")


CHILD = """
import sys
from pathlib import Path
from controller.repository.auth import RemoteAuth
from controller.repository.mirror import Mirror
directory, url, *rest = sys.argv[1:]
paths = [Path(p) for p in rest]
auth = RemoteAuth(token_file=paths[0]) if len(paths) == 1 else RemoteAuth()
if len(paths) == 2:
    auth = RemoteAuth(identity_files=(paths[0],), known_hosts=(paths[1],))
print("begin", flush=True)
Mirror(Path(directory), url, auth).fetch("main")
print("end", flush=True)
"""


def test_killed_in_the_middle_of_a_fetch(backend: Backend) -> None:
    """SIGKILL at several instants: the next fetch gets everything, and leaves no partial pack behind."""
    blob = backend.origin.clone / "blob"
    blob.write_bytes(os.urandom(8_000_000))
    commit = backend.origin.commit({f"f{i}": str(i) * 50 for i in range(500)}, "Grow")
    secrets = [backend.auth.token_file, *backend.auth.identity_files, *backend.auth.known_hosts]
    argv = [
        sys.executable,
        "-c",
        CHILD,
        str(backend.directory / "mirror"),
        backend.url,
        *map(str, filter(None, secrets)),
    ]
    instants: list[bool] = []
    for delay_s in (0.0, 0.03, 0.1, 0.2, 0.4):
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "begin\n"
            threading.Event().wait(delay_s)
            child.send_signal(signal.SIGKILL)
            instants.append("end" in child.stdout.read())
    mirror = backend.mirror()
    mirror.fetch("main")
    assert mirror.head("main") == commit
    assert len(mirror.tree(commit).entries()) == 503
    git(mirror.directory, "fsck", "--full")
    assert [p.name for p in (mirror.directory / "objects/pack").iterdir() if p.suffix not in (".pack", ".idx")] == []
    assert not all(instants)


def wait_for(condition: object, deadline_s: float = 10.0) -> None:
    """Wait until a condition holds."""
    assert callable(condition)
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        threading.Event().wait(0.01)


def test_the_token_does_not_follow_a_redirect(http: HttpGit, origin: Origin, tmp_path: Path) -> None:
    """Whoever can make the server redirect, by a path of their own on it, would else be sent the token."""
    elsewhere = HttpGit(origin.bare.parent)
    http.redirect_to = f"http://localhost:{elsewhere.port}"
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    mirror = Mirror(tmp_path / "mirror", http.url(origin.bare), RemoteAuth(token_file=token, timeout_s=20))
    try:
        with pytest.raises(AuthenticationFailed, match="redirects to another one"):
            mirror.fetch("main")
        assert elsewhere.requests, "the redirect was followed"
        assert {given for _, given in elsewhere.requests} == {None}
    finally:
        elsewhere.close()
