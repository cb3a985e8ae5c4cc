"""What the end-to-end tests are made of: a spec repository, the installed command, and ways to look at the result.

A ``Project`` is what a user has: a bare remote, a clone to commit in, a configuration file, a state directory. The
command is always the installed one, in a process of its own, so that what is asserted is what a user would see.
"""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

STATUS_BRANCH = "controller/status"
COMMAND = Path(sys.executable).with_name("controller")
KEPT = ("DOCKER_", "COVERAGE_")
SMALL = {"cpus": 1, "memory": "64M", "time": "10m"}


def wait_for(what: str, condition: Callable[[], Any], *, deadline_s: float = 60.0) -> Any:
    """Return the first true value of ``condition``; fail when none came in time."""
    deadline = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {deadline_s:.0f} s for: {what}; last seen: {value!r}"
        time.sleep(0.1)


def documents(*specs: Mapping[str, Any]) -> str:
    """Return specs as one YAML file."""
    return yaml.safe_dump_all(specs, sort_keys=False)


def job(name: str, command: str, *, cluster: str = "here", **fields: Any) -> dict[str, Any]:
    """Return a job's spec."""
    return {"kind": "Job", "name": name, "cluster": cluster, "command": command, **fields}


def condition(resource: Mapping[str, Any], name: str) -> tuple[str, str, str]:
    """Return status, reason and message of a resource's condition."""
    found = next(item for item in resource["conditions"] if item["type"] == name)
    return found["status"], found["reason"], found["message"]


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, read as JSON."""
        return json.loads(self.out)


@dataclass
class Project:
    """A spec repository and the one controller that works for it."""

    directory: Path
    instance: str
    repo: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bare = self.directory / "served" / "specs.git"
        self.clone = self.directory / "clone"
        self.state_dir = self.directory / "state"
        self.workdir = self.directory / "work"
        self.bare.parent.mkdir(parents=True)
        (self.directory / "home").mkdir()
        self.git("init", "-q", "--bare", "-b", "main", str(self.bare), where=self.directory)
        self.git("config", "http.receivepack", "true", where=self.bare)
        self.git("clone", "-q", str(self.bare), str(self.clone), where=self.directory)
        self.git("checkout", "-q", "-b", "main")
        self.repo = self.repo or str(self.bare)
        self.configure()

    # ---- what a user does ----

    def configure(self, **settings: Any) -> None:
        """Write the controller's configuration file."""
        self.settings |= settings
        written = {"repo": self.repo, "instance": self.instance, "submit_grace": "3s", **self.settings}
        (self.directory / "config.yaml").write_text(yaml.safe_dump(written))

    def commit(self, files: Mapping[str, str | None], message: str = "Change the specs") -> str:
        """Write files (None removes one), commit, push; return the commit's id."""
        for name, text in files.items():
            path = self.clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                path.unlink()
            else:
                path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        self.git("push", "-q", "origin", "HEAD:main")
        return self.git("rev-parse", "HEAD")

    def controller(
        self,
        *argv: str,
        env: Mapping[str, str] | None = None,
        expect: int | None = None,
        timeout_s: float = 400,
        where: Path | None = None,
    ) -> Ran:
        """Run the command to its end, in ``where``; ``expect`` is the exit code that it has to have."""
        done = subprocess.run(
            [COMMAND, *argv],
            cwd=where or self.directory,
            env=self.environment(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
        ran = Ran(done.returncode, done.stdout, done.stderr)
        assert expect is None or ran.code == expect, f"controller {argv} ended with {ran.code}:\n{ran.out}\n{ran.err}"
        assert "Traceback" not in ran.err, ran.err
        return ran

    def start(self, *argv: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start the command; what it says goes to ``log`` in the project's directory. Ended with the test."""
        with (self.directory / "log").open("ab") as log:
            process = subprocess.Popen(
                [COMMAND, *argv],
                cwd=self.directory,
                env=self.environment(env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Nothing of the tester's own settings but where programs and the Docker Engine are, and a count of lines."""
        kept = {name: value for name, value in os.environ.items() if name == "PATH" or name.startswith(KEPT)}
        own = {
            "HOME": str(self.directory / "home"),
            "LANG": "C.UTF-8",
            "CONTROLLER_CONFIG": str(self.directory / "config.yaml"),
            "CONTROLLER_STATE_DIR": str(self.state_dir),
        }
        return {**kept, **own, **(more or {})}

    def one_pass(self, *, expect: int | None = None, env: Mapping[str, str] | None = None) -> Any:
        """Run a single pass; return what ``-o json`` prints. By default 0, or 3 where something could not be seen."""
        ran = self.controller("reconcile", "--once", "-o", "json", expect=expect, env=env)
        assert expect is not None or ran.code == (3 if ran.json["unseen"] else 0), ran
        return ran.json

    def settle(self, *, expect: int | None = None, timeout: str = "4m") -> Any:
        """Run passes until nothing is in progress; return what ``-o json`` prints of the last.

        By default 0 where all is as wanted and 1 where something has failed or is Stalled.
        """
        ran = self.controller("reconcile", "--wait", "--timeout", timeout, "-o", "json", expect=expect)
        wrong = ran.json["wrong"] and not ran.json["in_progress"]
        assert expect is not None or ran.code == (1 if wrong else 0), ran
        return ran.json

    def passes_until(
        self, what: str, condition: Callable[[], Any], *, deadline_s: float = 90, expect: int | None = None
    ) -> Any:
        """Run passes until a condition holds."""

        def look() -> Any:
            self.one_pass(expect=expect)
            return condition()

        return wait_for(what, look, deadline_s=deadline_s)

    def passes_until_states(
        self, states: Mapping[str, str], *, env: Mapping[str, str] | None = None, expect: int | None = None
    ) -> None:
        """Run passes until the tasks named have these states."""

        def look() -> bool:
            self.one_pass(expect=expect, env=env)
            tasks = self.tasks()
            return {name: tasks[name]["state"] for name in states} == states

        wait_for(str(states), look, deadline_s=90)

    def planned(self, env: Mapping[str, str] | None = None) -> list[str]:
        """Return the kinds of actions that ``controller plan`` announces, in order."""
        ran = self.controller("plan", "-o", "json", env=env)
        kinds = [action["kind"] for action in ran.json["actions"]]
        open_ = kinds or ran.json["held"] or ran.json["problems"] or ran.json["wrong"]
        assert ran.code == (3 if ran.json["unseen"] else 1 if open_ else 0), ran
        return kinds

    # ---- what a user sees ----

    def resources(self) -> dict[str, dict[str, Any]]:
        """Return what ``controller status -o json`` tells, by ``Kind/name``."""
        listed = self.controller("status", "-o", "json", expect=0).json
        return {f"{item['kind']}/{item['name']}": item for item in listed}

    def tasks(self) -> dict[str, dict[str, Any]]:
        """Return every task of every job by its id."""
        return {task["id"]: task for item in self.resources().values() for task in item["tasks"]}

    def names(self) -> list[str]:
        """Return ``Kind/name`` of every resource that is told of."""
        return list(self.resources())

    def resource(self, kind: str, name: str) -> dict[str, Any]:
        """Return one resource."""
        return self.resources()[f"{kind}/{name}"]

    def task(self, name: str) -> dict[str, Any]:
        """Return the only task of a job."""
        (task,) = self.resource("Job", name)["tasks"]
        return task

    def state(self, name: str) -> str:
        """Return the state of a job's only task."""
        return str(self.task(name)["state"])

    def condition(self, kind: str, name: str, kind_of: str) -> tuple[str, str, str]:
        """Return status, reason and message of one condition of one resource."""
        return condition(self.resource(kind, name), kind_of)

    # ---- the status branch, by git alone ----

    def status_tip(self) -> str | None:
        """Return where the status branch is on the remote."""
        ref = f"refs/heads/{STATUS_BRANCH}"
        return self.git("for-each-ref", "--format=%(objectname)", ref, where=self.bare) or None

    def status_files(self) -> dict[str, str]:
        """Return path to text of every file on the status branch."""
        paths = self.git("ls-tree", "-r", "--name-only", STATUS_BRANCH, where=self.bare).splitlines()
        return {path: self.git("show", f"{STATUS_BRANCH}:{path}", where=self.bare) for path in paths}

    def status_file(self, kind: str, name: str) -> dict[str, Any]:
        """Return one resource's file on the status branch."""
        files = self.status_files()
        (path,) = [path for path in files if path.startswith(f"{kind.lower()}s/") and path.endswith(f"/{name}.json")]
        found: dict[str, Any] = json.loads(files[path])
        return found

    # ---- the machinery ----

    def git(self, *argv: str, where: Path | None = None) -> str:
        """Run git as a person would, untouched by this machine's configuration."""
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_AUTHOR_NAME": "Ada",
            "GIT_AUTHOR_EMAIL": "ada@example.org",
            "GIT_COMMITTER_NAME": "Ada",
            "GIT_COMMITTER_EMAIL": "ada@example.org",
        }
        command = ["git", "-c", "safe.directory=*", *argv]
        done = subprocess.run(command, cwd=where or self.clone, env=env, capture_output=True, text=True)
        assert done.returncode == 0, f"git {argv}: {done.stderr}"
        return done.stdout.strip()

    def hook(self, name: str, script: str) -> None:
        """Install a hook on the remote."""
        path = self.bare / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\n" + script)
        path.chmod(0o755)

    def here(self, name: str = "here", **fields: Any) -> dict[str, Any]:
        """Return the spec of a cluster that is this machine."""
        return {
            "kind": "Cluster",
            "name": name,
            "scheduler": "local",
            "containers": "none",
            "workdir": str(self.workdir),
            "defaults": {"time": "10m"},
            **fields,
        }

    def said(self) -> str:
        """Return what started commands have printed."""
        return (self.directory / "log").read_text()

    def close(self) -> None:
        """End what was started: commands, and jobs on this machine."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait(20)
        queue = self.workdir / "local" / "queue"
        for place in queue.glob("*"):
            place.unlink(missing_ok=True)
        for place in (self.workdir / "local" / "running").glob("*/pid"):
            with suppress(OSError, ValueError):
                os.killpg(int(place.read_text().split()[0]), signal.SIGKILL)


@dataclass
class Counted:
    """A command that says each time it runs, and ends when it is told to."""

    directory: Path
    name: str = "counted"

    @property
    def lines(self) -> list[str]:
        """One line, the process id, for each time that the command ran."""
        path = self.directory / f"{self.name}.ran"
        return path.read_text().split() if path.exists() else []

    @property
    def command(self) -> str:
        """The command."""
        base = self.directory / self.name
        return f"echo $$ >>{base}.ran; while [ ! -e {base}.release ]; do sleep 0.1; done; echo released"

    def release(self) -> None:
        """Let the command end."""
        (self.directory / f"{self.name}.release").touch()

    def alive(self) -> bool:
        """Whether its newest process runs."""
        return bool(self.lines) and Path(f"/proc/{self.lines[-1]}").exists()


class Gate:
    """A port of 127.0.0.1 that leads to another while it is open; closed, it refuses like a machine that is down."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener: socket.socket | None = None
        self._held: list[socket.socket] = []
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])

    def open(self) -> None:
        """Listen."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        """Refuse new connections and cut those there are."""
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for held in self._held:
            with suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)
            held.close()
        self._held.clear()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near = listener.accept()[0]
                far = socket.create_connection(self._target, 5)
                far.settimeout(None)
                self._held += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=(source, target), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


def on_terminal(argv: Sequence[str], *, columns: int, env: Mapping[str, str], cwd: Path, typed: bytes = b"") -> str:
    """Run a command on a terminal of so many columns, with something typed ahead; return what appeared there."""
    near, far = pty.openpty()
    termios.tcsetwinsize(far, (24, columns))
    terminal = {"TERM": "xterm-256color", "COLUMNS": str(columns)}
    with subprocess.Popen(argv, cwd=cwd, env={**terminal, **env}, stdin=far, stdout=far, stderr=far) as process:
        os.close(far)
        os.write(near, typed)
        shown = b""
        while select.select([near], [], [], 60)[0]:
            # Linux says EIO when the last process that held the terminal has gone: pty(7).
            try:
                shown += os.read(near, 1 << 16)
            except OSError:
                break
        os.close(near)
        process.wait(20)
    return shown.decode().replace("\r\n", "\n")
