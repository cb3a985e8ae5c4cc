"""A model of a lab: repositories that move and are forked, people with controllers, one work directory, and a counter.

Executions are counted by the commands themselves, in a file outside of all that a controller touches.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.chaos.sites import Here
from tests.e2e.harness import COMMAND, STATUS_BRANCH, Ran, documents, job, wait_for


class Lab:
    """Repositories below ``directory/git``, and the machine whose scheduler all controllers use."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.site = Here(directory / "work")
        self.sites = [self.site]
        self.gate = f"{directory}/go"
        """The file for which long jobs wait."""
        self.clone = directory / "clone"
        self.repo = directory / "git" / "specs.git"
        self.people: list[Person] = []
        self.git("init", "-q", "--bare", "-b", "main", str(self.repo), where=directory)
        self.git("clone", "-q", str(self.repo), str(self.clone), where=directory)
        self.git("checkout", "-q", "-b", "main")

    def person(self, name: str, **settings: Any) -> Person:
        """Return somebody with a controller: a configuration, a state directory, no instance set."""
        made = Person(self, name, {"repo": str(self.repo), **settings})
        self.people.append(made)
        return made

    # ---- what happens to a repository ----

    def commit(self, files: Mapping[str, str | None], *, branch: str = "main") -> str:
        """Write files (None removes one), commit and push."""
        for name, text in files.items():
            path = self.clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                path.unlink()
            else:
                path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "Change the specs")
        self.git("push", "-q", str(self.repo), f"HEAD:{branch}")
        return self.git("rev-parse", "HEAD")

    def specs(self, *specs: Mapping[str, Any], clusters: Sequence[Mapping[str, Any]] = ()) -> dict[str, str]:
        """Return the files of the clusters, by default the one there is, and these specs."""
        return {"cluster.yaml": documents(*(clusters or [self.site.cluster()])), "jobs.yaml": documents(*specs)}

    def approve(self) -> None:
        """Approve what the brakes hold back, as a person does who pushes by hand."""
        self.git("commit", "-q", "--allow-empty", "-m", "Go on\n\nController-Approve: yes")
        self.git("push", "-q", str(self.repo), "HEAD:main")

    def another_site(self, name: str) -> Here:
        """Return another work directory, with a scheduler of its own."""
        made = Here(self.directory / name)
        self.sites.append(made)
        return made

    def counting(self, more: str = "") -> str:
        """Return a command that counts itself, then does ``more``."""
        return self.site.counting(more)

    def quick(self, name: str, more: str = "", **fields: Any) -> dict[str, Any]:
        """Return a job that counts itself and ends."""
        return job(name, self.counting(more), **{"cluster": "there", **fields})

    def long(self, name: str, more: str = "", **fields: Any) -> dict[str, Any]:
        """Return a job that counts itself and runs until ``release``, then does ``more``."""
        wait = f"while [ ! -e {self.gate} ]; do sleep 0.2; done\n{more}".strip()
        return job(name, self.counting(wait), **{"cluster": "there", **fields})

    def queued(self, name: str) -> dict[str, Any]:
        """Return a job that the scheduler keeps waiting until ``release``, beside two that are long."""
        slots = Path(self.site.workdir) / "local" / "slots"
        slots.mkdir(parents=True, exist_ok=True)
        (slots / "count").write_text("2\n")
        return self.quick(name)

    def release(self) -> None:
        """Let the long jobs end."""
        (self.directory / "go").touch()

    def commit_to(self, repo: Path, files: Mapping[str, str]) -> None:
        """Write files in another repository, which has the history of this one."""
        place = self.directory / f"{repo.stem}.clone"
        self.git("clone", "-q", "-b", "main", str(repo), str(place), where=self.directory)
        for name, text in files.items():
            (place / name).write_text(text)
        self.git("commit", "-q", "-a", "-m", "Split", where=place)
        self.git("push", "-q", str(repo), "HEAD:main", where=place)

    def move(self, name: str) -> Path:
        """Move the repository to another address, with all its branches."""
        moved = self.directory / "git" / name
        self.repo.rename(moved)
        self.repo = moved
        return moved

    def fork(self, name: str) -> Path:
        """Copy the repository to another address, with all its branches, as Git hosts do."""
        made = self.directory / "git" / name
        self.git("clone", "-q", "--mirror", str(self.repo), str(made), where=self.directory)
        return made

    def status_tip(self, repo: Path | None = None, branch: str = STATUS_BRANCH) -> str:
        """Return where a status branch is, "" for none."""
        return self.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}", where=repo or self.repo)

    def record(self, repo: Path | None = None, branch: str = STATUS_BRANCH) -> dict[str, Any]:
        """Return ``controller.json`` of a status branch."""
        found: dict[str, Any] = json.loads(self.git("show", f"{branch}:controller.json", where=repo or self.repo))
        return found

    def rewrite_status(self, files: Mapping[str, str | None]) -> None:
        """Change files of the status branch by hand."""
        place = self.directory / "status"
        shutil.rmtree(place, ignore_errors=True)
        self.git("clone", "-q", "-b", STATUS_BRANCH, str(self.repo), str(place), where=self.directory)
        for name, text in files.items():
            if text is None:
                (place / name).unlink()
            else:
                (place / name).write_text(text)
        self.git("commit", "-q", "-a", "-m", "By hand", where=place)
        self.git("push", "-q", "origin", STATUS_BRANCH, where=place)

    def delete_status(self) -> None:
        """Delete the status branch."""
        self.git("update-ref", "-d", f"refs/heads/{STATUS_BRANCH}", where=self.repo)

    # ---- what really ran ----

    def owners(self) -> dict[str, dict[str, Any]]:
        """Return ``owner.json`` of every instance in the work directory."""
        found = Path(self.site.workdir).glob("*/owner.json")
        return {path.parent.name: json.loads(path.read_text()) for path in found}

    def executions(self) -> Counter[str]:
        """Return how often each job's command was executed, whoever asked for it."""
        return Counter(run.partition("/")[0] for run in self.site.executions())

    def purge_runs(self, *jobs: str) -> None:
        """Lose what the cluster has of runs, or of some jobs' alone: scratch is purged."""
        places = [f"{kind}/{job}" for kind in ("runs", "control") for job in jobs]
        self._delete([f"*/{place}" for place in places or ("runs", "control", "submissions", "spool")])

    def _delete(self, patterns: list[str]) -> None:
        self.site.shell(f"cd {self.site.workdir} && rm -rf {' '.join(patterns)}")

    def cancelled(self) -> list[str]:
        """Return the jobs that the scheduler has seen cancelled."""
        records = [Path(site.workdir, "local", "ended") for site in self.sites]
        rows = [line.split("|") for each in records if each.exists() for line in each.read_text().splitlines()]
        return [row[2] for row in rows if row[3].startswith("CANCEL")]

    def running(self) -> int:
        """Return how many jobs the scheduler has running."""
        return sum(len(list(Path(site.workdir, "local", "running").glob("*/pid"))) for site in self.sites)

    def git(self, *argv: str, where: Path | None = None) -> str:
        """Run git as a person would, untouched by this machine's configuration."""
        who = {f"GIT_{role}_{what}": f"ada{end}" for role in ("AUTHOR", "COMMITTER") for what, end in WHO}
        env = {"PATH": os.environ["PATH"], "HOME": str(self.directory), "GIT_CONFIG_GLOBAL": os.devnull, **who}
        done = subprocess.run(["git", *argv], cwd=where or self.clone, env=env, capture_output=True, text=True)
        assert done.returncode == 0, f"git {argv}: {done.stderr}"
        return done.stdout.strip()

    def close(self) -> None:
        """End what was started."""
        self.release()
        for person in self.people:
            person.close()
        for site in self.sites:
            site.end("")


WHO = (("NAME", ""), ("EMAIL", "@example.org"))


@dataclass
class Person:
    """Somebody with a controller."""

    lab: Lab
    name: str
    settings: dict[str, Any]
    account: str = ""
    version: Path | None = None
    """Directory of another version of the controller; None is the installed one."""
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def state_dir(self) -> Path:
        """Where this controller keeps its journal."""
        return self.lab.directory / f"{self.name}.state"

    def configure(self, **settings: Any) -> None:
        """Change the configuration file."""
        self.settings |= settings

    def lose_state(self) -> None:
        """Lose the journal and the mirror: a new machine, a disk that died."""
        shutil.rmtree(self.state_dir)

    def back_up(self) -> None:
        """Copy the state directory, as it is now, in the place of an older copy."""
        shutil.rmtree(f"{self.state_dir}.backup", ignore_errors=True)
        shutil.copytree(self.state_dir, f"{self.state_dir}.backup", symlinks=True)

    def restore(self) -> None:
        """Put the copy in the place of the state directory."""
        self.lose_state()
        shutil.copytree(f"{self.state_dir}.backup", self.state_dir, symlinks=True)

    def works_as(self, account: str) -> None:
        """Have another account on the cluster."""
        place = self.lab.directory / f"{self.name}.bin"
        place.mkdir(exist_ok=True)
        # Only the name is another: this machine's tests have one account.
        (place / "id").write_text(f'#!/bin/sh\n[ "$*" = -un ] && echo {account} || exec /usr/bin/id "$@"\n')
        (place / "id").chmod(0o755)
        self.account = account

    def controller(self, *argv: str, expect: int | None = 0) -> Ran:
        """Run the installed command to its end."""
        done = subprocess.run(self._argv(argv), **self._where(), capture_output=True, text=True, timeout=400)
        ran = Ran(done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in ran.err, ran.err
        assert expect is None or ran.code == expect, f"{argv} ended with {ran.code}:\n{ran.out}\n{ran.err}"
        return ran

    def dies_at(self, name: str, *argv: str) -> None:
        """Run the command until it is killed at a failpoint."""
        armed = self.lab.directory / f"{self.name}.failpoints"
        (armed / name).mkdir(parents=True)
        where = self._where()
        where["env"]["CONTROLLER_FAILPOINTS"] = str(armed)
        done = subprocess.run(self._argv(argv), **where, capture_output=True, text=True, timeout=400)
        assert done.returncode == -signal.SIGKILL, f"{name} was not reached: {done.stdout}\n{done.stderr}"

    def start(self, *argv: str) -> subprocess.Popen[str]:
        """Start the command."""
        process = subprocess.Popen(
            self._argv(argv), **self._where(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self.processes.append(process)
        return process

    def one_pass(self, *argv: str, expect: int = 0) -> dict[str, Any]:
        """Run a pass that has to go well; return what ``-o json`` prints."""
        found: dict[str, Any] = self.controller("reconcile", "--once", "-o", "json", *argv, expect=expect).json
        return found

    def refused(self, *argv: str) -> str:
        """Run a pass that has to be refused; return why."""
        ran = self.controller("reconcile", "--once", *argv, expect=3)
        return ran.err

    def states(self) -> dict[str, str]:
        """Return the state of every task, as ``controller status`` says it."""
        listed = self.controller("status", "-o", "json").json
        return {task["id"]: task["state"] for item in listed for task in item["tasks"]}

    def passes_until(self, states: Mapping[str, str], *argv: str, also: bool = False) -> None:
        """Run passes until the tasks are in these states, and there are no others but with ``also``."""
        seen: dict[str, str] = {}

        def reached() -> bool:
            nonlocal seen
            # A job that has failed makes a pass with --wait end otherwise; here it is a state like any other.
            self.one_pass(*argv)
            seen = self.states()
            return {name: state for name, state in seen.items() if not also or name in states} == states

        wait_for(f"{states}", reached, deadline_s=120)

    def crashed(self, *argv: str) -> bool:
        """Run a version that cannot go on; whether it ended at once, with no exit code of its own."""
        done = subprocess.run(self._argv(argv), **self._where(), capture_output=True, text=True, timeout=400)
        return done.returncode != 0 and "Traceback" in done.stderr

    def change_journal(self, *statements: str) -> None:
        """Change the journal past the controller."""
        with closing(sqlite3.connect(self.state_dir / "journal.sqlite3")) as database, database:
            for statement in statements:
                database.execute(statement)

    def close(self) -> None:
        """End what was started."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate(timeout=20)

    def _argv(self, argv: tuple[str, ...]) -> list[str]:
        config = self.lab.directory / f"{self.name}.yaml"
        config.write_text(yaml.safe_dump({"submit_grace": "3s", **self.settings}))
        return [str(COMMAND), *argv] if self.version is None else [sys.executable, "-m", "controller", *argv]

    def _where(self) -> dict[str, Any]:
        home = self.lab.directory / f"{self.name}.home"
        home.mkdir(exist_ok=True)
        path = os.environ["PATH"]
        if self.account:
            path = f"{self.lab.directory}/{self.name}.bin:{path}"
        env = {
            "PATH": path,
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "CONTROLLER_CONFIG": str(self.lab.directory / f"{self.name}.yaml"),
            "CONTROLLER_STATE_DIR": str(self.state_dir),
        }
        if self.version is not None:
            env |= {"PYTHONPATH": str(self.version), "PYTHONDONTWRITEBYTECODE": "1"}
        return {"cwd": self.lab.directory, "env": env, "stdin": subprocess.DEVNULL}
