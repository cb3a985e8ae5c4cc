"""known_hosts by the rules of sshd(8); the comparison of keys is shown against a real server in tests/contract."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from controller.repository.knownhosts import keys_of


def key(kind: str = "ssh-ed25519", seed: str = "a") -> str:
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in (kind.encode(), seed.encode() * 32))
    return f"{kind} {base64.b64encode(blob).decode()}"


A, B = key(seed="a"), key(seed="b")


def found(tmp_path: Path, text: str, host: str = "git.example.org", port: int = 22) -> list[str]:
    path = tmp_path / "known_hosts"
    path.write_text(text)
    return [" ".join(pair) for pair in keys_of(host, port, [path, tmp_path / "missing"]).keys]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"git.example.org {A}", [A]),
        (f"GIT.example.org {A}", [A]),
        (f"git.example.org,10.0.0.1 {A} comment", [A]),
        (f"*.example.org {A}\ngit.* {B}", [A, B]),
        (f"*.example.org,!git.example.org {A}", []),
        (f"git?example.org {A}", [A]),
        (f"# git.example.org {A}", []),
        (f"git.example.org {A}\n@revoked git.example.org {A}", []),
        (f"git.example.org {A}\n@revoked * {B}", [A]),
        (f"@cert-authority *.example.org {A}", []),
        ("git.example.org ssh-ed25519", []),
        ("git.example.org ssh-ed25519 !!!", []),
        (f"git.example.org {A.replace('ssh-ed25519', 'ssh-rsa')}", []),
        (f"|1|bad|worse {A}\n|1|x {A}\ngit.example.org {B}", [B]),
        (f"git.example.org {A}\ngit.example.org {A}", [A]),
        ("", []),
    ],
)
def test_entries(tmp_path: Path, text: str, expected: list[str]) -> None:
    """What each form of line says of a host."""
    assert found(tmp_path, text + "\n") == expected


def test_ports(tmp_path: Path) -> None:
    """An entry with the port comes first; one without speaks for ports that have none."""
    both = f"git.example.org {A}\n[git.example.org]:2222 {B}\n"
    assert found(tmp_path, both, port=2222) == [B]
    assert found(tmp_path, both, port=22) == [A]
    assert found(tmp_path, both, port=2223) == [A]


def test_text_for_libgit2(tmp_path: Path) -> None:
    """Only the one host, plain, with its port."""
    path = tmp_path / "known_hosts"
    path.write_text(f"*.example.org {A}\nelsewhere {B}\n")
    assert keys_of("git.example.org", 22, [path]).file_text() == f"[git.example.org]:22 {A}\n"
