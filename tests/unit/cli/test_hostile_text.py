"""Whatever stands in a status, a screen shows it and obeys none of it; programs get it as it is."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.cli.history import Row, _cells
from controller.cli.output import print_json, print_table, print_yaml, say
from controller.cli.status import _print_one, print_statuses
from controller.model.conditions import Condition, ResourceStatus, TaskState, TaskStatus, Truth
from controller.model.documents import from_document, to_document
from controller.model.errors import StalledError
from controller.model.texts import MOST_KEPT, head, table_cell, tail, visible
from controller.repository.report import parse, render
from controller.service.logs import LogFormat, configure_logging
from tests.hostile_texts import HOSTILE, SECRETS, unsafe

ROOT = Path(__file__).resolve().parents[3]
hostile = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
_OUR_CODES = re.compile(r"\x1b\[[0-9;]*m")


def filled(form: type, text: str, **given: Any) -> Any:
    """Return a status, task or condition with a text in every field that may hold one."""
    values = dict(given)
    for field in fields(form):
        if field.name in values:
            continue
        if field.type in ("str", "str | None"):
            values[field.name] = text
        elif "Mapping[str, str]" in str(field.type):
            values[field.name] = {text: text}
    return form(**values)


def status_of(text: str, state: TaskState = TaskState.FAILED) -> ResourceStatus:
    condition = filled(Condition, text, status=Truth.FALSE, type="Ready")
    task = filled(TaskStatus, text, state=state, attempt=1, exit_code=1)
    return filled(
        ResourceStatus, text, kind="Job", conditions=(condition,), tasks=(task, replace(task, id=f"{text}/2"))
    )


@hostile
@pytest.mark.parametrize("wide", [False, True])
def test_a_status_on_a_screen(text: str, wide: bool, capsys: pytest.CaptureFixture[str]) -> None:
    status = status_of(text)
    print_statuses([status, status], wide=wide)
    _print_one(status, wide=wide)
    assert unsafe(capsys.readouterr().out) == []


@hostile
def test_a_narrow_terminal(text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("controller.cli.output._PIPE_WIDTH", 40)
    print_table(["NAME", text or "X", "WHY"], [[text, text, text], ["a", "b", text]], stretch="WHY", spare=())
    assert unsafe(capsys.readouterr().out) == []


@hostile
def test_other_output(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(text)
    say(StalledError("Reason", text), err=True)
    row = filled(Row, text, attempt=1, exit_code=0)
    print_table(["TIME", "SPEC COMMIT", "TASK", "STATE", "REASON", "JOB", "TRY", "EXIT"], [_cells(row)])
    said = capsys.readouterr()
    assert unsafe(said.out + said.err) == []


@hostile
def test_programs_get_what_was_written(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    if any("\ud800" <= character <= "\udfff" for character in text):
        text = text.encode("utf-8", "replace").decode()
    print_json({"text": text})
    assert json.loads(capsys.readouterr().out) == {"text": text}
    print_yaml({"text": text})
    said = capsys.readouterr().out
    assert yaml.safe_load(said) == {"text": text}
    assert unsafe(said) == []


@hostile
def test_the_page_and_the_files(text: str) -> None:
    """Published once, they stay as they are: what was read back is written the same."""
    status = replace(status_of(text), name=text[:200])
    files = render([status], spec_commit=text, url="https://host/x", problems=[text], heartbeat=("b", text))
    page = re.sub(r"\]\([^)]*\.json\)", "](file)", files["README.md"].decode())
    assert unsafe(page) == []
    lowered = page.lower()
    assert "<script" not in lowered
    assert "<img" not in lowered
    assert "http://evil" not in page.replace("&#47;", "")
    assert not re.search(r"(?<!\\)!\[|(?<!\\)\]\(javascript", page)
    assert not re.search(r"www\.|[a-z]@[a-z]", page)
    assert len(page) < 20_000
    again = from_document(json.loads(json.dumps(to_document(status))))
    assert to_document(again) == to_document(status)
    assert all(len(task.stderr_tail) <= MOST_KEPT and len(task.message) <= MOST_KEPT for task in again.tasks)
    assert parse(files) == [] or to_document(parse(files)[0]) == to_document(status)


def test_secrets_in_what_a_job_printed_are_not_published() -> None:
    status = replace(
        status_of("x"), name="job", kind="Job", path="a", commit="c", cluster="here", digest="d", labels={}
    )
    task = replace(status.tasks[0], stderr_tail=HOSTILE["secrets"], message=HOSTILE["secrets"], result_faults={
        "loss": HOSTILE["secrets"]})  # fmt: skip
    condition = replace(status.conditions[0], message=HOSTILE["secrets"])
    told = replace(status, tasks=(task,), conditions=(condition,), details={"a": HOSTILE["secrets"]})
    files = render([told], spec_commit="c", url="u", problems=[HOSTILE["secrets"]])
    everything = b"".join(files.values()).decode()
    assert [secret for secret in SECRETS if secret in everything] == []
    assert "https://***@host.example" in everything
    assert [secret for secret in SECRETS if secret in str(StalledError("R", HOSTILE["secrets"]))] == []


@hostile
@pytest.mark.parametrize("format", [LogFormat.JSON, LogFormat.CONSOLE])
def test_the_log(text: str, format: LogFormat) -> None:
    import structlog

    stream = io.StringIO()
    configure_logging("info", format, stream)
    structlog.get_logger("controller.test").info("an_event", said=text, many=[text, {"a": text}])
    said = stream.getvalue()
    assert unsafe(_OUR_CODES.sub("", said) if format is LogFormat.CONSOLE else said) == []
    if format is LogFormat.JSON:
        assert json.loads(said)["event"] == "an_event"


@hostile
def test_what_is_cut_is_said_and_cut_once(text: str) -> None:
    for cut in (head, tail):
        once = cut(text * 50)
        assert len(once) <= MOST_KEPT
        assert cut(once) == once
        assert "cut]" in once or len(text) * 50 <= 2 * MOST_KEPT
    assert head("short") == tail("short") == "short"
    assert tail("a" * 60_000_000).startswith("[59996064 characters before this are cut]\n")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=1+1", "'=1+1"), ("@SUM(A1)", "'@SUM(A1)"), ("\t=1", "'\t=1"), ("\r=1", "'\r=1"), ("+1+cmd|x", "'+1+cmd|x"),
        ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"), ("-0.5", "-0.5"), ("+1e-3", "+1e-3"), ("-O2", "-O2"),
        ("--fast=1", "--fast=1"), ("0.1", "0.1"), ("", ""), ("a=b", "a=b"),
    ],
)  # fmt: skip
def test_a_value_in_a_table_is_no_formula(text: str, written: str) -> None:
    assert table_cell(text) == written
    stream = io.StringIO()
    csv.writer(stream).writerow([table_cell(text)])
    assert next(csv.reader(io.StringIO(stream.getvalue(), newline="")))[0:1] in ([written], [])


def test_text_of_all_scripts_stays_as_it_is() -> None:
    for text in ("Ünïcödé", "实验", "тест", "مرحبا", "🙂", "a\tb\nc"):
        assert visible(text) == text


def test_no_verb_prints_around_it() -> None:
    """One place prints what people read, and makes it visible."""
    around = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "controller" / "cli").rglob("*.py")
        if path.name != "output.py" and re.search(r"click\.(?:echo|secho)|(?<![.\w])print\(", path.read_text("utf-8"))
    ]
    assert around == []
