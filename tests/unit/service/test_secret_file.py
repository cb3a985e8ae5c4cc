"""The secret's file."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from controller.model.errors import ConfigurationError
from controller.service.secret import SecretFile


@pytest.mark.parametrize("content", [b"s3cret", b"s3cret\n", b"s3cret\r\n", b"  s3cret \n\n"])
def test_white_space_around_it_does_not_count(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    assert SecretFile(path).read() == b"s3cret"


@pytest.mark.parametrize("content", [None, b"", b"\n", b"a\nb", b"a\0b", b"a" * 5000])
def test_a_file_without_one_line_of_text_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    secret = SecretFile(path)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="openssl rand") as caught:
            secret.read()
        assert caught.value.reason == "SecretUnreadable"
        assert str(path) in caught.value.message


def test_a_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        SecretFile(tmp_path).read()


@pytest.mark.parametrize(("mode", "warned"), [(0o600, 0), (0o640, 0), (0o644, 1), (0o602, 1)])
def test_a_file_that_all_can_read_is_warned_of_once(tmp_path: Path, mode: int, warned: int) -> None:
    path = tmp_path / "secret"
    path.write_text("s3cret")
    path.chmod(mode)
    secret = SecretFile(path)
    with capture_logs() as logs:
        secret.read()
        secret.read()
    assert [log["event"] for log in logs] == ["webhook_secret_open_to_all"] * warned
    assert "s3cret" not in repr(logs) + repr(secret)
