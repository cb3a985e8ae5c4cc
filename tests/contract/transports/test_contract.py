"""What every transport does alike: the suite that a new one has to pass."""

from __future__ import annotations

import hashlib
import io
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from controller.clusters.transport import Transport
from controller.model.errors import AmbiguousError
from tests.contract.transports.private_sshd import wait_until

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning"),
]

MIB = 1024 * 1024
STRANGE = 'it\'s "quoted" $HOME `id` \\ * ! % ~ \t é 漢字 🜁'


def test_streams_are_kept_apart(transport: Transport) -> None:
    """Standard output and standard error hold what the script wrote to each, and nothing else."""
    done = transport.run("printf out; printf err >&2")
    assert (done.exit_code, done.stdout, done.stderr) == (0, b"out", b"err")


def test_every_exit_code(transport: Transport) -> None:
    """0 to 255 come back as they are; 255 is not taken for a lost connection."""
    with ThreadPoolExecutor(8) as pool:
        codes = pool.map(lambda code: transport.run(f"exit {code}").exit_code, range(256))
    assert list(codes) == list(range(256))


def test_what_ends_early_disturbs_no_other(transport: Transport) -> None:
    """Scripts that end before their input does break none beside them, and nothing of it gets into theirs."""

    def one(number: int) -> bytes:
        if number % 4:
            assert transport.run("exit 3", payload=b"left" * (number % 3)).exit_code == 3
            return b""
        return transport.run("cat", payload=str(number).encode() * 1000).stdout

    over = threading.Event()

    def contend() -> None:
        while not over.is_set():
            pass

    # With threads that always want the interpreter, one that sends is stopped in the middle of it again and again.
    with ThreadPoolExecutor(10) as pool:
        pool.submit(contend)
        pool.submit(contend)
        try:
            found = list(pool.map(one, range(120)))
        finally:
            over.set()
    assert found == [b"" if number % 4 else str(number).encode() * 1000 for number in range(120)]


def test_last_command_decides(transport: Transport) -> None:
    """A script without ``exit`` ends with the exit code of its last command."""
    assert transport.run("true\nfalse").exit_code == 1
    assert transport.run("false\ntrue\n").exit_code == 0
    assert transport.run("").exit_code == 0


@pytest.mark.parametrize(("signal", "code"), [("KILL", 137), ("TERM", 143)])
def test_killed_by_signal(transport: Transport, signal: str, code: int) -> None:
    """A script killed over there is a script that ended, as bash counts: 128 and the signal's number."""
    done = transport.run(f"echo begun; kill -{signal} $$; echo not reached")
    assert (done.exit_code, done.stdout) == (code, b"begun\n")


def test_script_is_data(transport: Transport) -> None:
    """Quotes, newlines, backslashes, here-documents and other alphabets reach bash as they are."""
    script = f"cat <<'END'\n{STRANGE}\nEND\nprintf '%s' \"$#\"; echo ' line' $LINENO"
    assert transport.run(script).stdout.decode() == f"{STRANGE}\n0 line 4\n"


def test_large_script(transport: Transport) -> None:
    """A script of more than 1 MiB, far beyond what one argument may hold, is read whole."""
    lines = "\n".join(f"x='line {number} é'" for number in range(60_000))
    done = transport.run(f'{lines}\necho "$x"; cat', payload=b"rest")
    assert len(lines.encode()) > MIB
    assert done.stdout.decode() == "line 59999 é\nrest"


def test_syntax_error(transport: Transport) -> None:
    """What bash makes of a broken script comes back as a failure of the script."""
    done = transport.run("echo one\nif true; then")
    assert done.exit_code != 0
    assert b"syntax error" in done.stderr


def test_nul_in_script(transport: Transport) -> None:
    """A NUL, which no shell can hold, is refused before anything is sent."""
    with pytest.raises(ValueError, match="NUL"):
        transport.run("echo a\0b")


@pytest.mark.parametrize("size", [0, 1, 65_537])
def test_payload_is_standard_input(transport: Transport, size: int) -> None:
    """The script finds the payload, to the byte, and then the end of input."""
    payload = os.urandom(size)
    assert transport.run("cat", payload=payload).stdout == payload


def test_large_binary_payload(transport: Transport) -> None:
    """64 MiB of any bytes arrive whole, from a file too, and progress counts up to the last one."""
    payload = os.urandom(64 * MIB)
    seen: list[int] = []
    done = transport.run("sha256sum", payload=io.BytesIO(payload), progress=seen.append)
    assert done.stdout.split()[0].decode() == hashlib.sha256(payload).hexdigest()
    assert seen == sorted(seen)
    assert seen[-1] == len(payload)


@pytest.mark.parametrize("script", ["exit 3", "exec 0<&-; sleep 0.3; exit 3", "head -c 1 >/dev/null; exit 3"])
def test_payload_not_read(transport: Transport, script: str) -> None:
    """A script may leave its payload alone: that is neither an error nor a reason to wait."""
    assert transport.run(script, payload=bytes(16 * MIB), timeout_s=30).exit_code == 3


def test_much_of_everything_at_once(transport: Transport) -> None:
    """20 MiB on each stream while the payload is still being sent lead to no deadlock."""
    script = "head -c 20971520 /dev/zero >&2 & head -c 20971520 /dev/zero; wait; wc -c"
    done = transport.run(script, payload=bytes(20 * MIB))
    assert done.stdout[: 20 * MIB] == bytes(20 * MIB)
    assert done.stdout[20 * MIB :].strip() == str(20 * MIB).encode()
    assert done.stderr == bytes(20 * MIB)


def test_what_is_left_in_the_background(transport: Transport) -> None:
    """A process left behind with the streams open does not keep the result back."""
    started = time.monotonic()
    assert transport.run("sleep 20 & echo done").stdout == b"done\n"
    assert time.monotonic() - started < 15


def test_time_out(transport: Transport) -> None:
    """A script that takes too long is in doubt: it may still be running."""
    started = time.monotonic()
    with pytest.raises(AmbiguousError) as caught:
        transport.run("sleep 60", payload=bytes(8 * MIB), timeout_s=1)
    assert caught.value.reason == "TimedOut"
    assert time.monotonic() - started < 15
    assert transport.run("echo again").stdout == b"again\n"


def test_payload_that_cannot_be_read(transport: Transport) -> None:
    """A payload that breaks off is said to be that, and is in doubt."""

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError("the disk is on fire")

    with pytest.raises(AmbiguousError, match="on fire") as caught:
        transport.run("cat", payload=Broken())
    assert caught.value.reason == "PayloadFailed"


def test_many_at_once(transport: Transport) -> None:
    """Sixteen threads share one transport, and each gets its own answer."""

    def ask(number: int) -> bytes:
        return transport.run(f"sleep 0.1; echo {number}; cat", payload=str(number).encode() * 1000).stdout

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(16)))
    assert answers == [f"{number}\n{str(number) * 1000}".encode() for number in range(16)]


def test_close_and_run_again(transport: Transport) -> None:
    """A closed transport opens again; closing twice, or before any run, is nothing."""
    transport.close()
    assert transport.run("echo 1").stdout == b"1\n"
    transport.close()
    transport.close()
    assert transport.run("echo 2").stdout == b"2\n"


def test_nothing_of_the_controller_leaks(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    """The controller's own variables, and those of a SLURM job that it runs in, are not the script's."""
    for name in ("SLURM_JOB_ID", "SBATCH_TIMELIMIT", "CONTROLLER_TOKEN"):
        monkeypatch.setenv(name, "leaked")
    assert b"leaked" not in transport.run("env").stdout


def test_local_time_out_leaves_nothing(opened, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """A local script that timed out is gone, and so is what it started."""
    pid_file = tmp_path / "pid"
    with pytest.raises(AmbiguousError):
        opened(None).run(f"sleep 60 & echo $! > {pid_file}; wait", timeout_s=1)
    pid = int(pid_file.read_text())
    wait_until(lambda: not _runs(pid), "the sleep is gone")


def _runs(pid: int) -> bool:
    """Return whether a process runs; a zombie that nobody has reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
