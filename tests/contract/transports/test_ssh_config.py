"""What people's SSH configuration says holds for both transports, or the option is named that needs the other one."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controller.clusters.transport import Transport
from controller.model.errors import ConfigurationError, StalledError
from tests.contract.transports.conftest import Client
from tests.contract.transports.private_sshd import PrivateSshd, make_key, public

pytestmark = pytest.mark.timeout(120)

Open = Callable[..., Transport]
StartSshd = Callable[..., PrivateSshd]


class Agent:
    """An agent of ssh-agent(1), at a path of its own."""

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "agent.sock"
        self._process = subprocess.Popen(["ssh-agent", "-D", "-a", str(self.socket)], stdout=subprocess.DEVNULL)

    def add(self, *keys: Path) -> None:
        while not self.socket.exists():
            assert self._process.poll() is None
        for key in keys:
            env = {"SSH_AUTH_SOCK": str(self.socket), "PATH": "/usr/bin:/bin"}
            subprocess.run(["ssh-add", "-q", str(key)], check=True, env=env)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def agent(directory: Path, need_sshd: None) -> Iterator[Agent]:
    started = Agent(directory)
    yield started
    started.stop()


def configure(client: Client, server: PrivateSshd, *lines: str, identity: bool = False) -> None:
    """Name the server as ``login`` with these lines, and with the client's key as a file only if that is asked for."""
    client.write_config(("login", server), extra="".join(f"  {line}\n" for line in lines))
    if not identity:
        text = client.ssh_config.read_text()
        client.ssh_config.write_text(re.sub(r"  IdentityFile .*\n", "", text, count=1))


def says_in(transport: Transport) -> None:
    assert transport.run("cat; echo in", payload=b"payload ").stdout == b"payload in\n"


def refused(transport: Transport, kind: type[StalledError] = StalledError) -> StalledError:
    with pytest.raises(kind) as caught:
        transport.run("true")
    return caught.value


class TestAgents:
    """Keys that only an agent holds; the private halves are on no disk."""

    @pytest.fixture
    def eight(self, agent: Agent, client: Client, directory: Path) -> Path:
        """Eight keys in the agent, the right one last; return its public half, all that is left of it."""
        others = [make_key(directory / f"other-{number}") for number in range(7)]
        agent.add(*others, client.key)
        only = directory / "only.pub"
        client.key.with_suffix(".pub").rename(only)
        client.key.unlink()
        return only

    @pytest.mark.parametrize("suffix", ["", ".pub"])
    def test_one_of_eight_by_its_public_half(
        self, ssh: str, client: Client, server: PrivateSshd, opened: Open, agent: Agent, eight: Path, suffix: str
    ) -> None:
        """``IdentityFile only.pub``, or ``only`` whose public half is there, with IdentitiesOnly: that key alone."""
        named = str(eight).removesuffix(".pub") + suffix
        configure(client, server, f"IdentityAgent {agent.socket}", f"IdentityFile {named}", "IdentitiesOnly yes")
        says_in(opened(client.connection(ssh)))
        assert "Failed publickey" not in server.log.read_text()

    def test_too_many_keys(
        self, ssh: str, client: Client, server: PrivateSshd, opened: Open, agent: Agent, eight: Path
    ) -> None:
        """All eight offered: the server closes the connection, which is no matter of the network."""
        configure(client, server, f"IdentityAgent {agent.socket}", f"IdentityFile {client.directory}/no-such-file")
        error = refused(opened(client.connection(ssh)))
        assert error.reason == "AuthenticationFailed"
        assert "identity_file" in error.message

    def test_only_the_named_one_though_another_would_do(
        self, ssh: str, client: Client, server: PrivateSshd, opened: Open, agent: Agent, directory: Path
    ) -> None:
        """IdentitiesOnly keeps the agent's other keys back."""
        agent.add(client.key)
        other = make_key(directory / "other")
        configure(client, server, f"IdentityAgent {agent.socket}", f"IdentityFile {other}", "IdentitiesOnly yes")
        assert refused(opened(client.connection(ssh))).reason == "AuthenticationFailed"

    def test_no_agent(
        self,
        ssh: str,
        client: Client,
        server: PrivateSshd,
        opened: Open,
        agent: Agent,
        directory: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """``IdentityAgent none`` is none, whatever SSH_AUTH_SOCK says; without it that one counts."""
        agent.add(client.key)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(agent.socket))
        other = make_key(directory / "other")
        configure(client, server, "IdentityAgent none", f"IdentityFile {other}")
        assert refused(opened(client.connection(ssh))).reason == "AuthenticationFailed"
        configure(client, server, f"IdentityFile {other}")
        says_in(opened(client.connection(ssh)))

    def test_a_key_with_a_passphrase(self, client: Client, server: PrivateSshd, opened: Open, agent: Agent) -> None:
        """Out of the agent it works; without one the error says that it has a passphrase and what to do."""
        agent.add(client.key)
        subprocess.run(
            ["ssh-keygen", "-q", "-p", "-N", "secret", "-f", str(client.key)], check=True, capture_output=True
        )
        configure(client, server, f"IdentityAgent {agent.socket}", identity=True)
        says_in(opened(client.connection("fabric")))
        configure(client, server, "IdentityAgent none", identity=True)
        assert f"ssh-add {client.key}" in refused(opened(client.connection("fabric"))).message


def sign(authority: Path, key: Path, *options: str) -> Path:
    """Sign a public key; return the certificate."""
    argv = ["ssh-keygen", "-q", "-s", str(authority), "-I", "it", *options, f"{key}.pub"]
    subprocess.run(argv, check=True, capture_output=True)
    return key.with_name(f"{key.name}-cert.pub")


KINDS = ["ed25519", "rsa", "ecdsa"]


class TestHostCertificates:
    """A host that an authority of known_hosts has signed is known."""

    def certified(self, start_sshd: StartSshd, directory: Path, authority: Path, *options: str) -> PrivateSshd:
        server = start_sshd(extra=f"HostCertificate {directory}/login/host_key-cert.pub")
        sign(authority, server.host_key, *options)
        server.stop()
        server.start()
        return server

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("pattern", ["[127.0.0.1]:{port}", "127.0.0.*", "*"])
    def test_known_by_its_authority(
        self, ssh: str, client: Client, start_sshd: StartSshd, opened: Open, directory: Path, kind: str, pattern: str
    ) -> None:
        """An ``@cert-authority`` line only, with the port or without."""
        authority = make_key(directory / "authority", kind)
        server = self.certified(start_sshd, directory, authority, "-h", "-n", "other,127.0.0.1")
        configure(client, server, identity=True)
        client.known_hosts.write_text(f"@cert-authority {pattern.format(port=server.port)} {public(authority)}\n")
        says_in(opened(client.connection(ssh)))

    @pytest.mark.parametrize(
        ("options", "line"),
        [
            (["-h", "-n", "elsewhere"], "@cert-authority * {authority}"),
            (["-h", "-n", "127.0.0.1", "-V", "20200101:20210101"], "@cert-authority * {authority}"),
            (["-h", "-n", "127.0.0.1", "-V", "20900101:20910101"], "@cert-authority * {authority}"),
            (["-n", "127.0.0.1"], "@cert-authority * {authority}"),
            (["-h", "-n", "127.0.0.1"], "@cert-authority * {other}"),
            (["-h", "-n", "127.0.0.1"], "@cert-authority 10.* {authority}"),
            (["-h", "-n", "127.0.0.1"], "* {authority}"),
            (["-h", "-n", "127.0.0.1"], "@revoked * {authority}\n@cert-authority * {authority}"),
            (["-h", "-n", "127.0.0.1"], "@revoked * {host}\n@cert-authority * {authority}"),
        ],
    )
    def test_a_certificate_that_does_not_do(
        self,
        ssh: str,
        client: Client,
        start_sshd: StartSshd,
        opened: Open,
        directory: Path,
        options: list[str],
        line: str,
    ) -> None:
        """For another host, for nobody, not valid now, of a user, of a stranger, of an authority that was revoked."""
        authority, other = make_key(directory / "authority"), make_key(directory / "other")
        server = self.certified(start_sshd, directory, authority, *options)
        configure(client, server, identity=True)
        keys = {"authority": public(authority), "other": public(other), "host": public(server.host_key)}
        client.known_hosts.write_text(f"{line.format(**keys)}\n")
        assert refused(opened(client.connection(ssh))).reason == "HostKeyRejected"

    def test_for_no_host_by_name(self, client: Client, start_sshd: StartSshd, opened: Open, directory: Path) -> None:
        """A certificate without names: OpenSSH up to 10.0 takes it for one of every host; here it is one of none."""
        authority = make_key(directory / "authority")
        configure(client, self.certified(start_sshd, directory, authority, "-h"), identity=True)
        client.known_hosts.write_text(f"@cert-authority * {public(authority)}\n")
        assert "no host" in refused(opened(client.connection("fabric"))).message


class TestUserCertificates:
    """A server that trusts an authority, and a key that it has signed."""

    @pytest.fixture
    def trusting(self, start_sshd: StartSshd, directory: Path, client: Client) -> Callable[[str], PrivateSshd]:
        def start(kind: str) -> PrivateSshd:
            authority = make_key(directory / "authority")
            client.key.unlink()
            client.key.with_suffix(".pub").unlink()
            make_key(client.key, kind)
            user = subprocess.run(["id", "-un"], check=True, capture_output=True, text=True).stdout.strip()
            server = start_sshd(extra=f"TrustedUserCAKeys {authority}.pub")
            server.authorized_keys.write_text("")
            sign(authority, client.key, "-n", user)
            return server

        return start

    @pytest.mark.parametrize("kind", KINDS)
    def test_beside_the_key(
        self, ssh: str, client: Client, trusting: Callable[[str], PrivateSshd], opened: Open, kind: str
    ) -> None:
        """``id-cert.pub`` beside ``id`` is found by itself."""
        configure(client, trusting(kind), identity=True)
        says_in(opened(client.connection(ssh)))

    @pytest.mark.parametrize("kind", KINDS)
    def test_named(
        self, ssh: str, client: Client, trusting: Callable[[str], PrivateSshd], opened: Open, directory: Path, kind: str
    ) -> None:
        """CertificateFile, anywhere."""
        server = trusting(kind)
        elsewhere = directory / "my certificate"
        client.key.with_name("id-cert.pub").rename(elsewhere)
        configure(client, server, f'CertificateFile "{elsewhere}"', identity=True)
        says_in(opened(client.connection(ssh)))

    @pytest.mark.parametrize("kind", KINDS)
    def test_in_the_agent(
        self, ssh: str, client: Client, trusting: Callable[[str], PrivateSshd], opened: Open, agent: Agent, kind: str
    ) -> None:
        """The agent has key and certificate, and no file is left."""
        server = trusting(kind)
        agent.add(client.key)
        for file in client.directory.glob("id*"):
            file.unlink()
        configure(client, server, f"IdentityAgent {agent.socket}")
        says_in(opened(client.connection(ssh)))


HARMLESS = (
    "StdinNull yes",
    "SessionType none",
    "RequestTTY force",
    "RemoteCommand echo no",
    "ForkAfterAuthentication yes",
    "ControlMaster auto",
    "Compression yes",
    "ForwardAgent yes",
    "SendEnv LANG LC_*",
    "EscapeChar !",
    "GSSAPIAuthentication yes",
    "ServerAliveInterval 1",
    "AddressFamily inet",
    "NumberOfPasswordPrompts 1",
    "PreferredAuthentications gssapi-with-mic,publickey,password",
    "BatchMode no",
)


@pytest.mark.parametrize("line", HARMLESS)
def test_what_changes_nothing(ssh: str, client: Client, server: PrivateSshd, opened: Open, line: str) -> None:
    """Options for sessions on a terminal, and others that are not for us: script and payload arrive."""
    configure(client, server, line, identity=True)
    says_in(opened(client.connection(ssh)))


@pytest.mark.parametrize(
    "line",
    [
        "BindAddress 127.0.0.1",
        "BindInterface lo",
        "ProxyUseFdpass yes",
        "PubkeyAuthentication no",
        "PreferredAuthentications gssapi-with-mic,password",
        "RevokedHostKeys /etc/ssh/revoked",
    ],
)
def test_what_needs_the_program_says_so(client: Client, server: PrivateSshd, opened: Open, line: str) -> None:
    """An option that paramiko would pass over is named, with the transport that has it."""
    configure(client, server, line, identity=True)
    error = refused(opened(client.connection("fabric")), ConfigurationError)
    assert line in error.message
    assert "`transport: openssh`" in error.message


@pytest.mark.parametrize(
    "criteria", ["tagged cluster", "localnetwork 127.0.0.0/8", "!tagged cluster", "final version x"]
)
def test_a_criterion_that_is_not_known_is_not_met(
    client: Client, server: PrivateSshd, opened: Open, criteria: str
) -> None:
    """paramiko would take it for met, and go to another host than ssh does."""
    configure(client, server, identity=True)
    client.ssh_config.write_text(f"Match {criteria}\n  Port 1\n{client.ssh_config.read_text()}")
    error = refused(opened(client.connection("fabric")), ConfigurationError)
    assert f"{client.ssh_config}:1: Match" in error.message
    assert "`transport: openssh`" in error.message


@pytest.mark.parametrize(
    "criteria", ['exec "true"', 'exec "[ %p = 22 ]" !exec false', "originalhost login", "host 127.0.0.1,x", "all"]
)
def test_criteria_that_are_met(ssh: str, client: Client, server: PrivateSshd, opened: Open, criteria: str) -> None:
    """``Match`` with what both know, a command among it."""
    configure(client, server, identity=True)
    text = client.ssh_config.read_text().replace(f"  Port {server.port}\n", "")
    client.ssh_config.write_text(f"{text}Match {criteria}\n  Port {server.port}\n")
    says_in(opened(client.connection(ssh)))


def test_a_proxy_command_is_for_a_shell(ssh: str, client: Client, start_sshd: StartSshd, opened: Open) -> None:
    """With redirections and quotes, as ssh has a shell run it; ``none`` is none."""
    login, gateway = start_sshd("login"), start_sshd("gateway")
    client.write_config(("login", login), ("gateway", gateway))
    plain = client.ssh_config.read_text()
    command = f"ssh -F {client.ssh_config} -W '%h':\"%p\" gateway 2>/dev/null"
    client.ssh_config.write_text(f"Host gateway\n  ProxyCommand none\nHost login\n  ProxyCommand {command}\n{plain}")
    says_in(opened(client.connection(ssh)))
    assert "Accepted publickey" in gateway.log.read_text()


@pytest.mark.parametrize("place", ["connection", "configuration"])
def test_accounts_with_a_domain(ssh: str, client: Client, server: PrivateSshd, opened: Open, place: str) -> None:
    """``ada@example.org`` at a host is one name, which the server is asked for as it is."""
    lines = ["User ada@example.org"] if place == "configuration" else []
    configure(client, server, *lines, identity=True)
    fields = {"user": "ada@example.org"} if place == "connection" else {}
    error = refused(opened(client.connection(ssh, **fields)))
    assert error.reason == "AuthenticationFailed"
    assert "ada@example.org@" in error.message
    assert "nvalid user ada@example.org from" in server.log.read_text()
