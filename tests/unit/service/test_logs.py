"""What a line of the log looks like, and what never is in it."""

from __future__ import annotations

import contextvars
import io
import json
import logging
import os
import pty
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from controller.service.logs import LogFormat, configure_logging
from controller.service.redaction import MASK, is_telling, redact_text


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("controller").setLevel(logging.NOTSET)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def our_log() -> Any:
    return structlog.get_logger("controller.test")


def test_a_line_is_json_with_the_event_the_level_and_the_time_in_utc() -> None:
    stream = io.StringIO()
    configure_logging(stream=stream)
    our_log().info("pass_ended", result="completed", duration_s=1.5)
    [line] = lines(stream)
    moment = datetime.fromisoformat(line.pop("timestamp"))
    assert moment.utcoffset() == UTC.utcoffset(None)
    assert line == {"event": "pass_ended", "level": "info", "result": "completed", "duration_s": 1.5}


def test_a_terminal_gets_lines_for_people() -> None:
    controlling, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as stream:
        configure_logging(stream=stream)
        our_log().info("pass_ended", result="completed")
        text = os.read(controlling, 4096).decode()
    os.close(controlling)
    assert "pass_ended" in text
    assert not text.startswith("{")


def test_the_format_can_be_chosen() -> None:
    stream = io.StringIO()
    configure_logging(format=LogFormat.CONSOLE, stream=stream)
    our_log().info("pass_ended")
    assert "pass_ended" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_the_level_holds_for_our_events() -> None:
    stream = io.StringIO()
    configure_logging("warning", stream=stream)
    our_log().info("not_seen")
    our_log().warning("seen")
    assert [line["event"] for line in lines(stream)] == ["seen"]


def test_libraries_come_in_from_warning_upwards_in_the_same_form() -> None:
    stream = io.StringIO()
    configure_logging("debug", stream=stream)
    logging.getLogger("apscheduler.scheduler").info("Added job")
    logging.getLogger("urllib3.connectionpool").warning("Connection pool is full, discarding: %s", "gw")
    [line] = lines(stream)
    assert (line["event"], line["level"], line["library"]) == ("library_log", "warning", "urllib3.connectionpool")
    assert line["message"] == "Connection pool is full, discarding: gw"


def test_setting_it_up_again_replaces_it() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure_logging(stream=first)
    configure_logging(stream=second)
    our_log().info("once")
    assert first.getvalue() == ""
    assert len(lines(second)) == 1


def test_bound_values_are_merged_and_can_be_handed_to_a_pool() -> None:
    stream = io.StringIO()
    configure_logging(stream=stream)
    structlog.contextvars.bind_contextvars(pass_id="p7")
    with ThreadPoolExecutor(1) as pool:
        pool.submit(our_log().info, "without").result()
        pool.submit(contextvars.copy_context().run, our_log().info, "with").result()
    assert [line.get("pass_id") for line in lines(stream)] == [None, "p7"]


@pytest.mark.parametrize("of_library", [False, True])
@pytest.mark.parametrize("format", [LogFormat.JSON, LogFormat.CONSOLE])
def test_an_exception_is_shown_without_secrets_and_without_local_variables(of_library: bool, format: LogFormat) -> None:
    stream = io.StringIO()
    configure_logging(format=format, stream=stream)
    password = "hunter" + "2hunter2"
    try:
        raise ValueError(f"cannot fetch https://me:{password}@git.example.org/r.git")
    except ValueError:
        if of_library:
            logging.getLogger("uvicorn.error").exception("Exception in application")
        else:
            our_log().exception("pass_crashed")
    text = stream.getvalue()
    assert "ValueError: cannot fetch https://***@git.example.org/r.git" in text
    assert "hunter2hunter2" not in text
    assert text.count("Traceback") == 1


def test_values_of_telling_keys_are_masked_at_any_depth() -> None:
    stream = io.StringIO()
    configure_logging(stream=stream)
    our_log().info(
        "asked",
        token="t0p",
        webhook_secret="t0p",
        headers={"Authorization": "t0p", "accept": "any", "list": [{"db-password": "t0p"}]},
        apiKey="t0p",
        secret_file="here/it/is",
        error=ConnectionError("https://t0p@git.example.org refused"),
        argv=("git", "clone", "https://x:t0p@git.example.org/"),
        tokenizer="fast",
        empty_token="",
    )
    assert "t0p" not in stream.getvalue()
    [line] = lines(stream)
    assert line["headers"] == {"Authorization": MASK, "accept": "any", "list": [{"db-password": MASK}]}
    assert (line["secret_file"], line["tokenizer"], line["empty_token"]) == ("here/it/is", "fast", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://user:pw@host/x", "https://***@host/x"),
        ("https://token@host/x", "https://***@host/x"),
        ("https://user:p@ss@host/x", "https://***@host/x"),
        ("ssh://git@host/x", "ssh://git@host/x"),
        ("ssh://git:pw@host/x", "ssh://***@host/x"),
        ("git@host:x.git", "git@host:x.git"),
        ("https://host/x?mail=a@b", "https://host/x?mail=a@b"),
        ("from https://a:b@c/ to http://d:e@f/", "from https://***@c/ to http://***@f/"),
        ("Authorization: Bearer abcdefgh.ijkl", "Authorization: Bearer ***"),
        ("remote: ghp_" + "a1" * 18, "remote: ***"),
        ("remote: glpat-" + "a1" * 10, "remote: ***"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_log_ins_and_tokens_in_text_are_masked(text: str, expected: str) -> None:
    assert redact_text(text) == expected


@pytest.mark.parametrize("key", ["secret", "gitToken", "X-Gitlab-Token", "api_key", "PRIVATE_KEY", "db.password"])
def test_telling_keys(key: str) -> None:
    assert is_telling(key)


@pytest.mark.parametrize("key", ["key", "tokenize", "secretary", "token_file", "secret-path", "event", "", "_"])
def test_keys_that_tell_nothing(key: str) -> None:
    assert not is_telling(key)
