"""Faults of the controller's own machine: one line names it as the cause, nothing is lost, nothing runs again."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.harness import COMMAND, Counted, Project, Ran, documents, job, wait_for

MACHINES = {
    "full disk": (
        "unshare -m sh -c 'mount -t tmpfs -o size=4m full $LENT && cp -r $CONTROLLER_STATE_DIR/. $LENT &&"
        ' { cat /dev/zero > $LENT/rest 2>&-; CONTROLLER_STATE_DIR=$LENT "$@"; }\' sh "$@"',
        3,
        "DiskFull",
    ),
    "read-only disk": (
        "unshare -m sh -c 'mount --bind $CONTROLLER_STATE_DIR $LENT && mount -o remount,ro,bind $LENT &&"
        ' CONTROLLER_STATE_DIR=$LENT "$@"\' sh "$@"',
        3,
        "DiskReadOnly",
    ),
    "a circle of links": ('ln -s loop $LENT/loop; CONTROLLER_STATE_DIR=$LENT/loop/state "$@"', 3, "PathUnusable"),
    "a file in its place": ('touch $LENT/file; CONTROLLER_STATE_DIR=$LENT/file/state "$@"', 3, "PathUnusable"),
    "a directory in the journal's place": (
        'mkdir $LENT/journal.sqlite3; CONTROLLER_STATE_DIR=$LENT "$@"',
        3,
        "StateDirectoryUnusable",
    ),
    "few files": ('ulimit -n 64; "$@"', 2, "TooManyOpenFiles"),
    "optimised": ('PYTHONOPTIMIZE=2 "$@"', 2, "PythonOptimized"),
    "full output": ('"$@" > /dev/full', 3, "OutputFailed"),
}
UNHARMED = {
    "output closed": '"$@" >&-',
    "all three closed": '"$@" <&- >&- 2>&-',
    "a low soft limit": 'ulimit -Sn 64; "$@"',
}


@pytest.fixture
def done(project: Project, tmp_path: Path) -> Counted:
    """The command of a job that has run once; every test ends with a pass that finds all as it was."""
    command = Counted(tmp_path)
    command.release()
    project.commit({"specs.yaml": documents(project.here(), job("once", command.command))})
    project.passes_until_states({"once": "Succeeded"})
    return command


def through(project: Project, snippet: str, *argv: str, lent: Path) -> Ran:
    """Run the command as ``"$@"`` of a shell's text, with an empty directory in ``$LENT``."""
    lent.mkdir(exist_ok=True)
    ran = subprocess.run(
        ["sh", "-c", snippet, "sh", str(COMMAND), *argv],
        cwd=project.directory,
        env=project.environment({"LENT": str(lent)}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def unharmed(project: Project, command: Counted) -> bool:
    """Return whether a pass finds all as it was, with the same journal, and nothing ran again."""
    project.one_pass(expect=0)
    aside = list(project.state_dir.glob("*.unreadable-*")) + list(project.state_dir.glob("*.aside"))
    return project.state("once") == "Succeeded" and len(command.lines) == 1 and not aside


@pytest.mark.parametrize("machine", MACHINES)
def test_a_fault_of_our_own_machine_is_told_as_such(
    project: Project, done: Counted, machine: str, tmp_path: Path
) -> None:
    """By one line of standard error with the reason, and by the exit code of the table."""
    snippet, code, reason = MACHINES[machine]
    ran = through(project, snippet, "reconcile", "--once", lent=tmp_path / "lent")
    assert (ran.code, ran.err.count("\n")) == (code, 1), ran
    assert ran.err.startswith(f"error: {reason}: ")
    assert unharmed(project, done)


@pytest.mark.parametrize("machine", UNHARMED)
def test_what_a_pass_can_do_without(project: Project, done: Counted, machine: str, tmp_path: Path) -> None:
    """Nobody reads what it prints, or a limit can be raised: it does its work."""
    ran = through(project, UNHARMED[machine], "reconcile", "--once", lent=tmp_path / "lent")
    assert (ran.code, ran.err) == (0, "")
    assert unharmed(project, done)


def test_little_memory(project: Project, done: Counted, tmp_path: Path) -> None:
    """However little there is, a pass works or says that memory ran out."""
    codes = set()
    for kib in range(40_000, 120_001, 16_000):
        ran = through(project, f'ulimit -v {kib}; "$@"', "reconcile", "--once", lent=tmp_path / "lent")
        assert "Traceback" not in ran.err
        assert ran.code == 0 or re.fullmatch("error: OutOfMemory: this machine: .*\n", ran.err), (kib, ran)
        codes.add(ran.code)
    assert 3 in codes
    assert unharmed(project, done)


@pytest.mark.parametrize("field", ["token_file", "ssh.known_hosts", "ssh.identity_files", "ssh.config"])
@pytest.mark.parametrize("place", ["/dev/zero", "fifo"])
def test_a_file_of_ours_that_is_none(project: Project, field: str, place: str) -> None:
    """A device without end, or a FIFO, in the place of a small file neither hangs nor fills the process."""
    path = place if place.startswith("/") else str(project.directory / place)
    if place == "fifo":
        subprocess.run(["mkfifo", path], check=True)
    section, _, name = field.rpartition(".")
    value = [path] if name == "identity_files" else path
    project.configure(
        repo="https://127.0.0.1:9/specs.git" if name == "token_file" else "ssh://127.0.0.1:9/specs.git",
        **({section: {name: value}} if section else {name: value}),
    )
    ran = project.controller("reconcile", "--once", timeout_s=60)
    assert ran.code in (2, 3)
    assert ran.err.startswith("error: ")


def test_a_state_directory_that_is_removed_under_the_service(project: Project, done: Counted) -> None:
    """Nothing more is done, and the log says why; the next start finds all again and runs nothing again."""
    project.configure(interval="1s")
    process = project.start("run", "--log-format", "json")
    wait_for("a pass", lambda: '"pass_ended"' in project.said())
    project.state_dir.rename(project.directory / "gone")
    again = job("again", done.command)
    project.commit({"more.yaml": documents(again)})
    wait_for("it is noticed", lambda: '"StateDirectoryGone"' in project.said())
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert (len(done.lines), '"submit' in project.said()) == (1, False)
    project.passes_until_states({"once": "Succeeded", "again": "Succeeded"})
    assert len(done.lines) == 2


def test_a_hangup_at_the_very_start_does_not_end_the_service(project: Project, done: Counted) -> None:
    """A reload that comes before the service is ready asks for the pass that it runs anyway."""
    process = project.start("run", "--log-format", "json")

    def hang_up() -> bool:
        process.send_signal(signal.SIGHUP)
        return '"pass_ended"' in project.said() or process.poll() is not None

    wait_for("it lets signals be", lambda: caught(process.pid, signal.SIGHUP))
    assert "service_started" not in project.said()
    wait_for("a pass", hang_up)
    assert process.poll() is None


def caught(pid: int, number: int) -> bool:
    """Return whether a process has a handler for a signal, or ignores it."""
    status = Path(f"/proc/{pid}/status").read_text()
    masks = [int(re.search(rf"{name}:\s*([0-9a-f]+)", status)[1], 16) for name in ("SigCgt", "SigIgn")]  # type: ignore[index]
    return any(mask >> (number - 1) & 1 for mask in masks)
