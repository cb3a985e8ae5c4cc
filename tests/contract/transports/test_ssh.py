"""What both SSH transports do when the way is barred, broken, or winding."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from controller.clusters.framing import frame
from controller.clusters.transport import Transport
from controller.model.errors import AmbiguousError, ConfigurationError, StalledError, TransientError
from controller.model.resources import Connection
from tests.contract.transports.conftest import Client
from tests.contract.transports.private_sshd import PrivateSshd, free_port, make_key, public, wait_until

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning"),
]

Open = Callable[..., Transport]
StartSshd = Callable[..., PrivateSshd]


def refusal(transport: Transport, kind: type[Exception], evidence: Path) -> Exception:
    """Return the error of a run that is refused, having made sure that nothing was run."""
    with pytest.raises(kind) as caught:
        transport.run(f"touch {evidence}")
    assert not isinstance(caught.value, AmbiguousError)
    assert not evidence.exists()
    return caught.value


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    """A file that the script would make if it were run."""
    return tmp_path / "was-run"


class TestHostKeys:
    """No host that is not known is ever talked to, whatever the user's configuration allows."""

    def test_unknown(self, ssh: str, client: Client, server: PrivateSshd, opened: Open, evidence: Path) -> None:
        """An unknown host is refused, with its fingerprint and what to do."""
        client.known_hosts.write_text("")
        error = refusal(opened(client.connection(ssh)), StalledError, evidence)
        assert getattr(error, "reason", "") == "HostKeyRejected"
        assert _fingerprint(server.host_key) in str(error)
        assert "ssh-keyscan" in str(error)

    def test_unknown_though_the_user_does_not_care(
        self, ssh: str, client: Client, server: PrivateSshd, opened: Open, evidence: Path
    ) -> None:
        """``StrictHostKeyChecking no`` in the user's configuration changes nothing."""
        client.write_config(
            ("login", server), extra="  StrictHostKeyChecking no\n  NoHostAuthenticationForLocalhost yes\n"
        )
        client.known_hosts.write_text("")
        refusal(opened(client.connection(ssh)), StalledError, evidence)
        assert client.known_hosts.read_text() == ""

    def test_changed(
        self, ssh: str, client: Client, server: PrivateSshd, opened: Open, evidence: Path, directory: Path
    ) -> None:
        """A changed key is refused, with both fingerprints and what to do."""
        other = make_key(directory / "other")
        client.known_hosts.write_text(f"{server.known_name} {public(other)}\n")
        error = refusal(opened(client.connection(ssh)), StalledError, evidence)
        assert getattr(error, "reason", "") == "HostKeyRejected"
        assert _fingerprint(server.host_key) in str(error)
        assert _fingerprint(other) in str(error)
        assert "ssh-keygen -R" in str(error)

    def test_revoked(self, ssh: str, client: Client, server: PrivateSshd, opened: Open, evidence: Path) -> None:
        """A key that was revoked is refused even where another line still has it."""
        client.known_hosts.write_text(f"{server.known_line}@revoked * {public(server.host_key)}\n")
        refusal(opened(client.connection(ssh)), StalledError, evidence)

    def test_another_port_is_another_host(
        self, ssh: str, client: Client, server: PrivateSshd, opened: Open, evidence: Path
    ) -> None:
        """The true key of the same address, on record for another port, does not do."""
        client.known_hosts.write_text(f"[127.0.0.1]:1 {public(server.host_key)}\n127.0.0.2 {public(server.host_key)}\n")
        refusal(opened(client.connection(ssh)), StalledError, evidence)

    def test_hashed(self, ssh: str, client: Client, server: PrivateSshd, opened: Open) -> None:
        """Hashed names are understood."""
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(client.known_hosts)], check=True, capture_output=True)
        assert server.known_name not in client.known_hosts.read_text()
        assert opened(client.connection(ssh)).run("echo in").stdout == b"in\n"

    def test_several_keys_for_one_name(
        self, ssh: str, client: Client, server: PrivateSshd, opened: Open, directory: Path
    ) -> None:
        """Login nodes behind one name have several keys, of the same type too; each of them does."""
        others = [make_key(directory / f"other-{n}", kind) for n, kind in enumerate(("ed25519", "ecdsa", "rsa"))]
        lines = [f"{server.known_name} {public(key)}\n" for key in others]
        client.known_hosts.write_text("".join(lines) + server.known_line)
        assert opened(client.connection(ssh)).run("echo in").stdout == b"in\n"

    def test_wildcard(self, ssh: str, client: Client, server: PrivateSshd, opened: Open) -> None:
        """Patterns of known_hosts are understood."""
        client.known_hosts.write_text(f"[127.0.0.?]:{server.port},!10.* {public(server.host_key)}\n")
        assert opened(client.connection(ssh)).run("echo in").stdout == b"in\n"

    def test_known_hosts_of_the_connection(
        self, ssh: str, client: Client, server: PrivateSshd, opened: Open, directory: Path, evidence: Path
    ) -> None:
        """A file named by the connection takes the place of all others."""
        own = directory / "own hosts"
        own.write_text(server.known_line)
        assert opened(client.connection(ssh, known_hosts=str(own))).run("echo in").stdout == b"in\n"
        own.write_text("")
        refusal(opened(client.connection(ssh, known_hosts=str(own))), StalledError, evidence)


class TestLogIn:
    """Nobody is asked for anything: it works, or the error says what to do."""

    def test_key_refused(self, ssh: str, client: Client, server: PrivateSshd, opened: Open, evidence: Path) -> None:
        """A key that the server does not take needs a person."""
        server.authorized_keys.write_text("")
        error = refusal(opened(client.connection(ssh)), StalledError, evidence)
        assert getattr(error, "reason", "") == "AuthenticationFailed"
        assert "authorized_keys" in str(error)

    def test_second_factor(self, ssh: str, client: Client, start_sshd: StartSshd, opened: Open, evidence: Path) -> None:
        """A server that wants more than a key is said to, instead of a prompt."""
        extra = "AuthenticationMethods publickey,password\nPasswordAuthentication yes"
        client.write_config(("login", start_sshd(extra=extra)))
        error = refusal(opened(client.connection(ssh)), StalledError, evidence)
        assert getattr(error, "reason", "") == "AuthenticationFailed"
        assert "by hand once" in str(error)

    def test_identity_of_the_connection(
        self, ssh: str, client: Client, server: PrivateSshd, opened: Open, directory: Path
    ) -> None:
        """The connection may name the key, the port and the known hosts; then no configuration is needed."""
        empty = directory / "empty"
        empty.write_text("")
        connection = Connection(
            host="127.0.0.1",
            port=server.port,
            identity_file=str(client.key),
            known_hosts=str(client.known_hosts),
            ssh_config=str(empty),
            transport=ssh,
        )
        assert opened(connection).run("echo in").stdout == b"in\n"

    def test_included_configuration(
        self, ssh: str, client: Client, server: PrivateSshd, opened: Open, directory: Path
    ) -> None:
        """``Include`` is followed, and what comes after it belongs to the block that it stands in."""
        parts = directory / "parts"
        parts.mkdir()
        shutil.move(client.ssh_config, parts / "login")
        client.ssh_config.write_text(f"Include {parts}/*\nHost other\n  Port 1\n")
        assert opened(client.connection(ssh)).run("echo in").stdout == b"in\n"


class TestConfiguration:
    """A connection that cannot be meant is refused before anything is opened."""

    def test_configuration_missing(self, ssh: str, client: Client, opened: Open, evidence: Path) -> None:
        """A configuration that is named has to be there."""
        connection = client.connection(ssh, ssh_config=str(client.directory / "nowhere"))
        assert "does not exist" in str(refusal(opened(connection), ConfigurationError, evidence))

    def test_gateways_in_a_circle(self, client: Client, server: PrivateSshd, opened: Open, evidence: Path) -> None:
        """Gateways that lead to one another are told so."""
        client.ssh_config.write_text("Host login\n  ProxyJump a\nHost a\n  ProxyJump b\nHost b\n  ProxyJump a\n")
        assert "circle" in str(refusal(opened(client.connection("fabric")), ConfigurationError, evidence))

    @pytest.mark.parametrize(
        "fields",
        [
            {"transport": "telnet"},
            {"host": "-oProxyCommand=id"},
            {"proxy_jump": "gw,-oProxyCommand=id"},
            {"host": "a b"},
        ],
    )
    def test_connection_refused(self, client: Client, opened: Open, fields: dict[str, str]) -> None:
        """No such transport; a host that ssh would take for an option."""
        with pytest.raises(ConfigurationError):
            opened(client.connection(fields.pop("transport", "openssh"), **fields))


class TestUnreachable:
    """No connection, nothing run: tried again later."""

    def test_port_closed(self, ssh: str, client: Client, server: PrivateSshd, opened: Open, evidence: Path) -> None:
        """Nobody listens."""
        server.stop()
        error = refusal(opened(client.connection(ssh)), TransientError, evidence)
        assert getattr(error, "reason", "") == "Unreachable"

    def test_no_such_host(self, ssh: str, client: Client, server: PrivateSshd, opened: Open, evidence: Path) -> None:
        """The name leads nowhere."""
        connection = client.connection(ssh, host="no-such-host.invalid")
        assert getattr(refusal(opened(connection), TransientError, evidence), "reason", "") == "Unreachable"

    def test_silent_host(self, ssh: str, client: Client, server: PrivateSshd, opened: Open, evidence: Path) -> None:
        """A host that accepts and never says a word is given up after the connection's time."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            connection = client.connection(ssh, host="127.0.0.1", port=silent.getsockname()[1])
            started = time.monotonic()
            error = refusal(opened(connection, connect_timeout_s=2), TransientError, evidence)
            assert time.monotonic() - started < 20
        assert getattr(error, "reason", "") == "Unreachable"

    def test_comes_back(self, ssh: str, client: Client, server: PrivateSshd, opened: Open, evidence: Path) -> None:
        """One transport outlives the server's absence."""
        transport = opened(client.connection(ssh))
        assert transport.run("echo 1").stdout == b"1\n"
        server.stop()
        refusal(transport, TransientError, evidence)
        server.start()
        assert transport.run("echo 2").stdout == b"2\n"


class TestLostConnection:
    """A connection that breaks while a script runs leaves doubt, and the next run a new connection."""

    def test_cut_in_the_middle(
        self, ssh: str, client: Client, server: PrivateSshd, opened: Open, tmp_path: Path
    ) -> None:
        """The server's side of the connection is killed."""
        transport = opened(client.connection(ssh))
        begun = tmp_path / "begun"
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(transport.run, f"touch {begun}; sleep 20", timeout_s=60)
            wait_until(begun.exists, "the script runs")
            server.cut()
            with pytest.raises(AmbiguousError) as caught:
                running.result(timeout=30)
        assert caught.value.reason == "ConnectionLost"
        assert transport.run("echo again").stdout == b"again\n"

    def test_cut_while_sending(
        self, ssh: str, client: Client, server: PrivateSshd, opened: Open, tmp_path: Path
    ) -> None:
        """The connection is cut in the middle of a payload."""
        transport = opened(client.connection(ssh))
        begun = threading.Event()

        def cut(sent: int) -> None:
            if sent > 2**22 and not begun.is_set():
                begun.set()
                server.cut()

        with pytest.raises(AmbiguousError) as caught:
            transport.run("cat >/dev/null", payload=bytes(2**28), progress=cut)
        assert caught.value.reason == "ConnectionLost"

    def test_nothing_stays_of_a_script_that_took_too_long(
        self, ssh: str, client: Client, server: PrivateSshd, opened: Open, tmp_path: Path
    ) -> None:
        """Nobody waits for it any more: it is ended there with what it has started, also where signals are ignored."""
        pids = tmp_path / "pids"
        script = f"trap '' TERM; sleep 600 & echo $$ $! >{pids}; wait; sleep 600"
        with pytest.raises(AmbiguousError) as caught:
            opened(client.connection(ssh)).run(script, timeout_s=2)
        assert caught.value.reason == "TimedOut"
        started = [int(pid) for pid in pids.read_text().split()]
        assert len(started) == 2
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started), "all are gone", 60)

    def test_cut_between_runs(self, ssh: str, client: Client, server: PrivateSshd, opened: Open) -> None:
        """A connection that broke unnoticed is simply made again."""
        transport = opened(client.connection(ssh))
        assert transport.run("echo 1").stdout == b"1\n"
        server.cut()
        wait_until(lambda: not server.connections(), "the connection is gone")
        assert transport.run("echo 2").stdout == b"2\n"

    def test_one_connection_for_all(self, ssh: str, client: Client, server: PrivateSshd, opened: Open) -> None:
        """Runs one after the other, and at once, share one connection."""
        transport = opened(client.connection(ssh))
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda _: transport.run("true"), range(12)))
        assert len(server.connections()) == 1
        transport.close()
        wait_until(lambda: not server.connections(), "close lets go of the connection")

    def test_few_sessions_allowed(self, ssh: str, client: Client, start_sshd: StartSshd, opened: Open) -> None:
        """A server that allows two sessions on a connection is still served by eight threads."""
        client.write_config(("login", start_sshd(extra="MaxSessions 2")))
        transport = opened(client.connection(ssh))
        with ThreadPoolExecutor(8) as pool:
            answers = pool.map(lambda n: transport.run(f"sleep 0.2; echo {n}").stdout, range(12))
        assert list(answers) == [f"{n}\n".encode() for n in range(12)]


class TestGateways:
    """Hops are passed in the order they are named in, and each is checked."""

    def test_one_hop(self, ssh: str, client: Client, start_sshd: StartSshd, opened: Open) -> None:
        """The gateway is named by the connection."""
        login, gateway = start_sshd("login"), start_sshd("gateway")
        client.write_config(("login", login), ("gateway", gateway))
        done = opened(client.connection(ssh, proxy_jump="gateway")).run("cat", payload=bytes(2**20))
        assert done.stdout == bytes(2**20)
        assert "Accepted publickey" in gateway.log.read_text()

    def test_hops_in_order(self, ssh: str, client: Client, start_sshd: StartSshd, opened: Open) -> None:
        """``first,second`` passes first, then second: the login node is reached only from the last."""
        login = start_sshd("login")
        # Each gateway lets nobody further but to the next.
        second = start_sshd("second", extra=f"PermitOpen 127.0.0.1:{login.port}")
        first = start_sshd("first", extra=f"PermitOpen 127.0.0.1:{second.port}")
        client.write_config(("login", login), ("first", first), ("second", second))
        assert opened(client.connection(ssh, proxy_jump="first,second")).run("echo in").stdout == b"in\n"

    def test_hop_of_the_configuration(self, ssh: str, client: Client, start_sshd: StartSshd, opened: Open) -> None:
        """``ProxyJump`` in the configuration does the same, and a gateway may have one of its own."""
        login = start_sshd("login")
        second = start_sshd("second", extra=f"PermitOpen 127.0.0.1:{login.port}")
        first = start_sshd("first", extra=f"PermitOpen 127.0.0.1:{second.port}")
        client.write_config(("login", login), ("first", first), ("second", second))
        plain = client.ssh_config.read_text()
        client.ssh_config.write_text(f"Host login\n  ProxyJump second\nHost second\n  ProxyJump first\n{plain}")
        assert opened(client.connection(ssh)).run("echo in").stdout == b"in\n"

    def test_gateway_unknown(
        self, ssh: str, client: Client, start_sshd: StartSshd, opened: Open, evidence: Path
    ) -> None:
        """A gateway with an unknown key is refused, though the login node's is known and the user does not care."""
        login, gateway = start_sshd("login"), start_sshd("gateway")
        client.write_config(("login", login), ("gateway", gateway), extra="  StrictHostKeyChecking no\n")
        client.known_hosts.write_text(login.known_line)
        error = refusal(opened(client.connection(ssh, proxy_jump="gateway")), StalledError, evidence)
        assert getattr(error, "reason", "") == "HostKeyRejected"
        assert gateway.known_name in str(error)
        assert "Accepted" not in gateway.log.read_text()


class TestStartUpFiles:
    """What a site or a user put into start-up files does not reach the script, and cannot make half of it run."""

    def test_banner(self, ssh: str, client: Client, server: PrivateSshd, opened: Open) -> None:
        """What a profile prints is not the script's output."""
        (server.home / ".bash_profile").write_text("echo WELCOME; echo 'no smoking' >&2; set -x\n")
        done = opened(client.connection(ssh)).run("set +x; echo mine")
        assert done.stdout == b"mine\n"
        assert b"smoking" not in done.stderr

    def test_login_shell(self, ssh: str, client: Client, server: PrivateSshd, opened: Open) -> None:
        """The profile's variables are there: it is where sites put sbatch into PATH."""
        (server.home / ".bash_profile").write_text("export PATH=/opt/slurm/bin:$PATH\n")
        assert opened(client.connection(ssh)).run("echo ${PATH%%:*}").stdout == b"/opt/slurm/bin\n"

    def test_profile_reads_input(self, ssh: str, client: Client, server: PrivateSshd, opened: Open) -> None:
        """A profile that reads standard input gets none of the script, nor of the payload."""
        (server.home / ".bash_profile").write_text("cat >/dev/null; read answer\n")
        assert opened(client.connection(ssh)).run("cat", payload=b"payload").stdout == b"payload"

    def test_profile_leaves(self, ssh: str, client: Client, server: PrivateSshd, opened: Open, evidence: Path) -> None:
        """A profile that ends the shell is said to; nothing was run."""
        (server.home / ".bash_profile").write_text("echo no service today; exit 7\n")
        error = refusal(opened(client.connection(ssh)), TransientError, evidence)
        assert getattr(error, "reason", "") == "ShellUnusable"
        assert "no service today" in str(error)

    @pytest.mark.parametrize("eaten", ["head -c 1", "head -c 40", "read line", "cat"])
    def test_input_eaten_before_bash(
        self, ssh: str, client: Client, start_sshd: StartSshd, opened: Open, evidence: Path, eaten: str
    ) -> None:
        """Whatever part of standard input is taken before bash begins, not one command is run of what is left."""
        forced = f'ForceCommand {eaten} >/dev/null; eval "$SSH_ORIGINAL_COMMAND"'
        client.write_config(("login", start_sshd(extra=forced)))
        transport = opened(client.connection(ssh))
        with pytest.raises(TransientError) as caught:
            transport.run(f"true\ntouch {evidence}\n" * 3, payload=f"\ntouch {evidence}\n".encode())
        assert caught.value.reason == "ShellUnusable"
        assert not evidence.exists()

    @pytest.mark.parametrize("shell", ["sh", "dash", "bash", "zsh", "ksh", "tcsh", "fish"])
    def test_login_shells(self, shell: str) -> None:
        """Login shells of every family start the frame's command line."""
        program = shutil.which(shell)
        if program is None:
            pytest.skip(f"{shell} is not installed")
        framed = frame("echo 'in' $((1 + 1)); cat; exit 9", login=True)
        done = subprocess.run(
            [program, "-c", framed.command_line], input=framed.head + b"payload", capture_output=True, check=False
        )
        completed = framed.read(done.stdout, done.stderr).completed()
        assert completed is not None
        assert (completed.exit_code, completed.stdout) == (9, b"in 2\npayload")


class TestPersonsMaster:
    """Sites with a second factor: a person logs in by hand, and that connection is used."""

    def test_used_and_left_alone(self, client: Client, server: PrivateSshd, opened: Open, directory: Path) -> None:
        """With a live ControlPath no log-in of our own is made, and closing does not end it."""
        client.write_config(("login", server), extra=f"  ControlPath {directory}/cm\n")
        by_hand = ["ssh", "-F", str(client.ssh_config)]
        subprocess.run([*by_hand, "-M", "-N", "-f", "login"], check=True, stderr=subprocess.DEVNULL)
        server.authorized_keys.write_text("")
        transport = opened(client.connection("openssh"))
        assert transport.run("echo in").stdout == b"in\n"
        transport.close()
        assert subprocess.run([*by_hand, "-O", "check", "login"], capture_output=True, check=False).returncode == 0
        subprocess.run([*by_hand, "-O", "exit", "login"], capture_output=True, check=True)

    def test_own_master_ends_with_close(self, client: Client, server: PrivateSshd, opened: Open) -> None:
        """The master that was started here is gone after closing."""
        transport = opened(client.connection("openssh"))
        transport.run("true")
        assert len(server.connections()) == 1
        transport.close()
        wait_until(lambda: not server.connections(), "our master is gone")


def test_payload_after_a_dead_port(ssh: str, client: Client, server: PrivateSshd, opened: Open) -> None:
    """A payload is not touched when there is no connection: the caller may send it again."""

    class Untouched:
        def read(self, size: int = -1) -> bytes:
            raise AssertionError("the payload was read")

    connection = client.connection(ssh, port=free_port())
    with pytest.raises(TransientError):
        opened(connection).run("cat", payload=Untouched())  # type: ignore[arg-type]


def _fingerprint(key: Path) -> str:
    listed = subprocess.run(["ssh-keygen", "-l", "-f", f"{key}.pub"], capture_output=True, text=True, check=True)
    return listed.stdout.split()[1]
