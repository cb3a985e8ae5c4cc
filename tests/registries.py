"""A real registry (Debian's docker-registry) on a port of this machine, with or without a log-in."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import bcrypt

from tests.conftest import lacking

CONFIG = "application/vnd.docker.container.image.v1+json"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
USER, PASSWORD = "ada", "analytical"
LOGIN = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


class Registry:
    """Started at once; ``stop`` and ``start`` keep port and contents."""

    def __init__(self, directory: Path, *, login: bool = False) -> None:
        if shutil.which("docker-registry") is None:
            lacking("these tests need a registry: apt-get install docker-registry")
        directory.mkdir(parents=True, exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])
        self.host = f"127.0.0.1:{self.port}"
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        config: dict[str, object] = {
            "version": 0.1,
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": str(directory / "data")}, "delete": {"enabled": True}},
            "http": {"addr": self.host},
        }
        if login:
            hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5)).decode()
            (directory / "htpasswd").write_text(f"{USER}:{hashed}\n")
            config["auth"] = {"htpasswd": {"realm": "test", "path": str(directory / "htpasswd")}}
        (directory / "config.yml").write_text(json.dumps(config))
        self._login = login
        self.start()

    def start(self) -> None:
        """Listen, and wait until it does."""
        argv = ["docker-registry", "serve", str(self._directory / "config.yml")]
        with (self._directory / "log").open("ab") as log:
            env = {"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"}
            self._process = subprocess.Popen(argv, stdout=log, stderr=log, env=env)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self._process.poll() is None, (self._directory / "log").read_text()
                time.sleep(0.05)
        raise AssertionError("the registry does not listen")

    def stop(self) -> None:
        """Refuse connections."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def push(self, name: str, tag: str, word: str) -> str:
        """Put an image of no layers there that differs by a word; return its digest."""
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Labels": {"word": word}}}).encode()
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": CONFIG, "size": len(config), "digest": _digest(config)},
                "layers": [],
            }
        ).encode()
        place = self._ask("POST", f"http://{self.host}/v2/{name}/blobs/uploads/").headers["Location"]
        self._ask("PUT", f"{place}&digest={_digest(config)}", config, "application/octet-stream")
        self._ask("PUT", f"http://{self.host}/v2/{name}/manifests/{tag}", manifest, MANIFEST)
        return _digest(manifest)

    def _ask(self, method: str, url: str, body: bytes = b"", kind: str = "") -> urllib.request.addinfourl:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        headers = {"Content-Type": kind} if kind else {}
        if self._login:
            headers["Authorization"] = f"Basic {LOGIN}"
        request = urllib.request.Request(url, method=method, data=body, headers=headers)
        answer: urllib.request.addinfourl = opener.open(request, timeout=20)
        return answer


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
