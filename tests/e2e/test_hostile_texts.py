"""A job and a commit that write what they like: every verb shows it, and no terminal obeys it."""

from __future__ import annotations

import json
import os
import pty
import subprocess

from tests.e2e.harness import COMMAND, Project, documents, job
from tests.hostile_texts import HOSTILE, SECRETS, unsafe

WRITES = """python3 -c "
import json, sys
texts = json.load(open('texts.json'))
json.dump(texts, open('out.json', 'w'))
for stream in (sys.stdout, sys.stderr):
    stream.buffer.write(chr(10).join(texts).encode('utf-8', 'surrogatepass') + bytes([10, 255, 254, 10]))
" """
VERBS = (
    ("status",), ("status", "-o", "wide"), ("status", "fails"), ("status", "writes", "-o", "wide"),
    ("status", "-o", "yaml"),
    ("history", "fails"), ("history", "writes"), ("trace", "writes"), ("trace", "fails"), ("plan",), ("validate",),
    ("validate", "-o", "github"), ("reconcile", "--once"), ("image", "list"), ("status", "\x1b[31mno"),
    ("logs", "\x9bno"), ("rerun", "\x1b]0;x\x07"), ("status", "--freshness"),
)  # fmt: skip
FOR_PROGRAMS = (("status", "-o", "json"), ("history", "writes", "-o", "json"), ("trace", "writes", "-o", "json"),
                ("plan", "-o", "json"), ("validate", "-o", "json"))  # fmt: skip


def on_a_terminal(project: Project, *argv: str) -> str:
    """Return what the command writes where its standard output is a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, *argv], cwd=project.directory, env=project.environment(), stdin=subprocess.DEVNULL, stdout=theirs,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(theirs)
    pieces = []
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other end is closed (pty(7))
            break
        if not piece:
            break
        pieces.append(piece)
    process.wait(60)
    os.close(ours)
    return b"".join(pieces).decode("utf-8", "surrogateescape")


def test_every_verb_over_hostile_texts(project: Project) -> None:
    # What a metric may not hold at all is refused elsewhere: half a pair, NUL, more than 1,000 characters.
    texts = [text for name, text in HOSTILE.items() if name not in ("half a pair", "NUL", "long")]
    metrics = {f"m{number}": {"json": "out.json", "path": str(number)} for number in range(len(texts))}
    writes = job("writes", WRITES, files=["texts.json"], results={"metrics": metrics})
    fails = job("fails", WRITES + "\nexit 3", files=["texts.json"], env={"A": HOSTILE["colours"]})
    wrong = job("wrong", "true", cluster=HOSTILE["title and link"], description=HOSTILE["turned round"])
    odd = documents(wrong) + f"{json.dumps(HOSTILE['lines'])}: 1\n"
    project.commit({"texts.json": json.dumps(texts), "specs.yaml": documents(project.here(), writes, fails)})
    project.settle()
    project.git("config", "user.name", "Eve \x1b[31m\u202e")
    project.commit({"odd.yaml": odd}, message="Say \x1b]0;owned\x07 \u202eand more\n\nTrailer: \x1b[2J")
    project.controller("reconcile", "--once")

    for argv in VERBS:
        ran = project.controller(*argv, where=project.clone if argv[0] == "validate" else None)
        assert unsafe(ran.out + ran.err) == [], argv
    for argv in FOR_PROGRAMS:
        ran = project.controller(*argv, where=project.clone if argv[0] == "validate" else None)
        assert unsafe(ran.out) == [], argv
        assert ran.json, argv
    assert project.task("writes")["results"] == {f"m{number}": text for number, text in enumerate(texts)}
    assert project.task("fails")["exit_code"] == 3
    published = json.dumps(project.task("fails")) + project.status_files()["README.md"]
    assert [secret for secret in SECRETS if secret in published] == []
    assert "https://***@host.example" in published

    for stream in ((), ("--stderr",)):
        shown = on_a_terminal(project, "logs", "writes", *stream).replace("\r\n", "\n")
        assert "owned" in shown
        assert unsafe(shown) == []
    piped = subprocess.run(
        [COMMAND, "logs", "writes"], cwd=project.directory, env=project.environment(), capture_output=True, check=True
    ).stdout
    assert HOSTILE["colours"].encode() in piped
    assert piped.endswith(b"\xff\xfe\n")
