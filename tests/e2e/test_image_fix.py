"""A session that mends an image, driven as a person drives it: through a terminal, on the real engine."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.e2e.harness import COMMAND, Project, documents, wait_for

pytestmark = pytest.mark.docker
PROMPT = "\n> "
Fix = Callable[..., "pexpect.spawn[str]"]


def containers(project: Project) -> list[str]:
    """Return the ids of the containers of the project's sessions and tests."""
    mine = ["--filter", "label=controller.trial", "--filter", f"label=controller.instance={project.instance}"]
    return subprocess.run(["docker", "ps", "-aq", *mine], capture_output=True, text=True, timeout=60).stdout.split()


@pytest.fixture
def editor(project: Project) -> Path:
    """What EDITOR does is what this script says; git knows who types."""
    (project.directory / "home" / ".gitconfig").write_text("[user]\n\tname = Grace\n\temail = grace@example.org\n")
    script = project.directory / "editor.sh"
    script.write_text("exit 3\n")
    return script


@pytest.fixture
def fix(project: Project, editor: Path) -> Iterator[Fix]:
    """Start ``controller image fix tiny`` on a terminal."""
    started: list[Any] = []

    def start() -> Any:
        env = project.environment({"EDITOR": f"sh {editor}", "TERM": "dumb"})
        argv = ["image", "fix", "tiny"]
        session = pexpect.spawn(
            str(COMMAND), argv, env=env, cwd=str(project.directory), timeout=120, encoding="utf-8", dimensions=(50, 160)
        )
        started.append(session)
        return session

    yield start
    for session in started:
        session.close(force=True)


def specs(**test: Any) -> str:
    image: dict[str, Any] = {"kind": "Image", "name": "tiny", "build": {"context": "image"}}
    return documents(image | ({"test": test} if test else {}))


def on_main(project: Project, path: str) -> str:
    return project.git("show", f"main:{path}", where=project.bare)


def ended(session: Any) -> int:
    """Wait for the end of a session; return its exit code."""
    session.expect(pexpect.EOF)
    session.close()
    return int(session.exitstatus)


def test_a_build_is_mended_and_committed(
    project: Project, fix: Fix, editor: Path, own_images: None, session_name: str
) -> None:
    """The failing step, a shell before it, edits that fail and one that does not, another try, the diff, a commit."""
    dockerfile = (
        "FROM debian:trixie-slim\nCOPY requirements.txt /\n"
        f"RUN echo layer-{session_name} >/word\nRUN grep good /requirements.txt\n"
    )
    project.commit({"specs.yaml": specs(), "image/Dockerfile": dockerfile, "image/requirements.txt": "bad\n"})
    session = fix()
    session.expect("Step 4/[0-9]+ : RUN grep good /requirements.txt.* failed")
    session.expect("shell in the last good layer")
    session.expect("edit image/requirements.txt")
    session.expect(PROMPT)
    session.sendline("nonsense")
    session.expect("there is no 'nonsense' here")
    session.sendline("\x03")
    session.expect("q leaves")
    session.expect(PROMPT)

    session.sendline("s")
    session.expect("comes back here")
    session.expect("[#$] ")
    session.sendline("cat /word /requirements.txt; exit 7")
    session.expect(f"layer-{session_name}\r\nbad")
    session.expect(PROMPT)
    assert containers(project) == []

    session.sendline("r")
    session.expect("ended with exit code 3")
    session.expect(PROMPT)
    session.sendline("d")
    session.expect("nothing has changed")
    session.expect(PROMPT)
    editor.write_text('sed -i s/bad/good/ "$1"\n')
    session.sendline("r")
    session.expect(PROMPT)
    session.sendline("l")
    session.expect("Step 4/")
    session.expect(PROMPT)
    session.sendline("t")
    session.expect("all passes")
    session.expect("-bad")
    session.expect(r"\+good")
    session.expect("Commit this to main")
    assert on_main(project, "image/requirements.txt") == "bad"
    session.sendline("n")
    session.expect("commit to main")
    session.expect(PROMPT)
    session.sendline("c")
    session.expect("Commit this to main")
    session.sendline("y")
    session.expect("commit [0-9a-f]{12} on main")
    assert ended(session) == 0
    assert on_main(project, "image/requirements.txt") == "good"
    assert project.git("log", "-1", "--format=%an %s", "main", where=project.bare) == "Grace Mend image tiny"
    assert project.planned() == []
    assert list((project.state_dir / "fix").iterdir()) == []


def test_a_test_is_mended(project: Project, fix: Fix, editor: Path, own_images: None, session_name: str) -> None:
    """Ctrl+C in a test leads to the menu; a shell has the clone's directory; the spec may be edited too."""
    project.commit(
        {
            "specs.yaml": specs(run_command="touch left; echo running; sleep 600", required=True),
            "image/Dockerfile": f"FROM debian:trixie-slim\nRUN echo {session_name} >/word\n",
        }
    )
    session = fix()
    session.expect("\r\nrunning")
    session.sendintr()
    session.expect("interrupted")
    session.expect(PROMPT)
    assert containers(project) == []
    editor.write_text('sed -i "s/sleep 600/cat missing/" "$1"\n')
    session.sendline("p")
    session.expect(PROMPT)
    session.sendline("t")
    session.expect("cat: missing: No such file")
    session.expect("ended with exit code 1")
    session.expect(PROMPT)
    session.sendline("s")
    session.expect("[#$] ")
    session.sendline("pwd; ls; exit")
    session.expect("/trial/repository\r\nleft")
    session.expect(PROMPT)
    editor.write_text('sed -i "s/cat missing/cat .word/; s/required: tru/required: yes please/" "$1"\n')
    session.sendline("p")
    session.expect(PROMPT)
    session.sendline("t")
    session.expect("the spec is not valid")
    session.expect("test.required")
    session.expect(PROMPT)
    editor.write_text('sed -i "s/cat .word/cat \\/word/; s/yes please.*/true/" "$1"\n')
    session.sendline("p")
    session.expect(PROMPT)
    session.sendline("t")
    session.expect("all passes")
    session.expect("Commit this to main")
    session.sendline("y")
    assert ended(session) == 0
    assert "cat /word" in on_main(project, "specs.yaml")
    assert project.planned() == []
    project.one_pass()
    assert project.resource("Image", "tiny")["details"]["test"] == "passed"


def test_what_was_edited_is_kept(project: Project, fix: Fix, editor: Path, own_images: None) -> None:
    """Left, or the terminal gone: the edits are where the session says; a commit by somebody else is not undone."""
    broken = "FROM debian:trixie-slim\nRUN exit 9\n"
    project.commit({"specs.yaml": specs(), "image/Dockerfile": broken})
    editor.write_text('sed -i "s/exit 9/true/" "$1"\n')
    session = fix()
    session.expect(PROMPT)
    session.sendline("e")
    session.expect(PROMPT)
    session.sendline("q")
    session.expect("what was edited is kept in ([^\r\n]+)")
    kept = Path(session.match[1])
    assert ended(session) == 1
    assert (kept / "image" / "Dockerfile").read_text().endswith("RUN true\n")

    session = fix()
    session.expect(PROMPT)
    session.sendline("e")
    session.expect(PROMPT)
    theirs = project.commit({"image/Dockerfile": broken.replace("9", "8")})
    session.sendline("t")
    session.expect("Commit this to main")
    session.sendline("y")
    session.expect("EditConflict")
    session.expect(PROMPT)
    assert project.git("rev-parse", "main", where=project.bare) == theirs
    session.kill(signal.SIGHUP)
    session.close(force=False)
    (other,) = set((project.state_dir / "fix").iterdir()) - {kept}
    assert (other / "image" / "Dockerfile").read_text().endswith("RUN true\n")
    wait_for("it has ended", lambda: not session.isalive())
    assert containers(project) == []


def test_it_needs_a_terminal(project: Project) -> None:
    project.commit({"specs.yaml": specs(), "image/Dockerfile": "FROM debian:trixie-slim\n"})
    assert "this is no terminal" in project.controller("image", "fix", "tiny", expect=2).err
