"""Real Git servers for the contract suite: a private sshd, an HTTP server around git http-backend, and silence."""

from __future__ import annotations

import base64
import contextlib
import getpass
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SSHD = "/usr/sbin/sshd"
HTTP_BACKEND = "/usr/lib/git-core/git-http-backend"
TOKEN = "correct-horse"
START_S = 20.0


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def keygen(path: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    """Make a key pair and return the private half's path."""
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", str(path)], check=True)
    return path


def public_key(path: Path) -> str:
    """Return ``type base64`` of a key pair."""
    return " ".join(path.with_name(path.name + ".pub").read_text().split()[:2])


class Sshd:
    """A private OpenSSH server of the current account, on a free port of 127.0.0.1."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        self.port = free_port()
        self.user = getpass.getuser()
        self.host_key = keygen(directory / "host")
        self.client_key = keygen(directory / "client")
        self.log = directory / "log"
        (directory / "authorized").write_text(public_key(self.client_key) + "\n")
        config = directory / "config"
        config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.host_key}\nPidFile none\n"
            f"AuthorizedKeysFile {directory / 'authorized'}\nStrictModes no\nUsePAM no\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nLogLevel DEBUG1\nMaxStartups 100\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        self._process = subprocess.Popen([SSHD, "-D", "-f", str(config), "-E", str(self.log)])
        self._wait()

    @property
    def known_host(self) -> str:
        """The line that known_hosts needs."""
        return f"[127.0.0.1]:{self.port} {public_key(self.host_key)}\n"

    def url(self, repository: Path) -> str:
        """Return the address of a repository."""
        return f"ssh://{self.user}@127.0.0.1:{self.port}{repository}"

    def said(self) -> str:
        """Return the log so far."""
        return self.log.read_text(errors="replace")

    def close(self) -> None:
        """Stop the server."""
        self._process.terminate()
        self._process.wait(10)

    def _wait(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            threading.Event().wait(0.02)
        raise RuntimeError(f"sshd did not start: {self.said()}")


class HttpGit:
    """git http-backend behind a token, on a free port of 127.0.0.1."""

    def __init__(self, root: Path, *, certificate: Path | None = None, token: str | None = TOKEN) -> None:
        """``token`` None: anybody may read and write."""
        self.token = token
        self.requests: list[tuple[str, str | None]] = []
        """Path and Authorization header of every request."""
        self.fail_with: int | None = None
        self.redirect_to: str | None = None
        """Where every request is led, as the beginning of an address."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(root, self))
        self._server.daemon_threads = True
        self.scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.scheme = "https"
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def url(self, repository: Path) -> str:
        """Return the address of a repository below the root."""
        return f"{self.scheme}://127.0.0.1:{self.port}/{repository.name}"

    def close(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()


def _handler(root: Path, owner: HttpGit) -> type[BaseHTTPRequestHandler]:
    expected = "Basic " + base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            self._serve(b"")

        def do_POST(self) -> None:
            self._serve(self._body())

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _serve(self, body: bytes) -> None:
            given = self.headers.get("Authorization")
            owner.requests.append((self.path, given))
            if owner.fail_with is not None:
                self._answer(owner.fail_with, [], b"")
            elif owner.redirect_to is not None:
                self._answer(302, [("Location", owner.redirect_to + self.path)], b"")
            elif owner.token is not None and given != expected:
                self._answer(401, [("WWW-Authenticate", 'Basic realm="git"')], b"")
            else:
                self._answer(*_backend(root, self, body))

        def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


def _backend(root: Path, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
    """Run the CGI program (RFC 3875) for one request."""
    path, _, query = request.path.partition("?")
    environment = {
        "PATH": os.environ["PATH"],
        "GIT_PROJECT_ROOT": str(root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "REQUEST_METHOD": request.command,
        "REMOTE_USER": "someone",
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
    }
    done = subprocess.run([HTTP_BACKEND], input=body, env=environment, capture_output=True, check=False)
    head, _, content = done.stdout.partition(b"\r\n\r\n")
    status, headers = 200, []
    for line in head.decode().split("\r\n"):
        name, _, value = line.partition(": ")
        if name == "Status":
            status = int(value.split()[0])
        elif name:
            headers.append((name, value))
    return status, headers, content


@contextlib.contextmanager
def black_hole(greeting: bytes = b"") -> Iterator[int]:
    """Yield the port of a server that takes connections, may greet, and then says nothing, ever."""
    with socket.socket() as listener, contextlib.ExitStack() as held:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection = held.enter_context(listener.accept()[0])
                    connection.sendall(greeting)

        threading.Thread(target=accept, daemon=True).start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


def missing(backend: str) -> str | None:
    """Return what this machine lacks for a backend, None when it lacks nothing."""
    needs = {"ssh": [SSHD, "/usr/bin/ssh-keygen"], "http": [HTTP_BACKEND]}.get(backend, [])
    lacking = [path for path in needs if not Path(path).exists()]
    if shutil.which("git") is None:
        lacking.append("git")
    return ", ".join(lacking) or None
