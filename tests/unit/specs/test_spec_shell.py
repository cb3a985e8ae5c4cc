"""``shell``: which there are, who inherits whose, and that what names none has the digest that it always had."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

import pytest

from controller.model.resources import DEFAULT_SHELL, Desired
from controller.specs.json_schema import json_schema
from controller.specs.shells import LETTERS, LONG, NAMES, ShellError, words_of
from tests.unit.specs.trees import desired, headlines

SPECS = f"""\
kind: Cluster
name: node
scheduler: local
containers: none
defaults: {{time: 1h}}
---
kind: Cluster
name: box
scheduler: local
---
kind: Image
name: torch
from: r.example.org/i@sha256:{"0" * 64}
test: {{run_command: python -c 1, dataset_command: "curl x | tar x"}}
---
kind: Job
name: plain
cluster: node
command: pw.x -in a | tee out
env: {{A: "1"}}
---
kind: Job
name: boxed
cluster: box
image: torch
binds: [/data]
command: python train.py
rerun: again
needs: [plain]
---
kind: Job
name: sweep
cluster: node
command: echo ${{{{ matrix.lr }}}}
matrix: {{lr: [0.1, 1e-3]}}
---
kind: Workflow
name: bands
cluster: node
steps:
  relax: {{command: pw.x -in relax.in}}
  scf: {{command: pw.x -in scf.in, needs: [relax], matrix: {{k: [1, 2]}}}}
"""
BEFORE = {
    "plain": "718f2cd88e9c811ee51f7c4496820a03d46bdeb4acad05a08f529660ab1c283b",
    "boxed": "ff135d8f6f58dbf691357b229c6d515df632281659416932a709e3dc2275ab7c",
    "sweep/lr=0.1": "3809c17b922786c0ec15cb87f1d30e01786af12e46a3920d4e98354840cc1361",
    "sweep/lr=1e-3": "1c9758a4e80372fe4c1f6c4f05558cb2124f6efcc16b6cc0e07168b40d42ee6f",
    "bands/relax": "e8554cef8ee9f31f472e1e5a26b12e65464fa65deae302e912f36dd0cdfe65fc",
    "bands/scf/k=1": "dfe564cd93d271036949f2396909e641ea82d4047e380dc5f304a7b07da63809",
    "bands/scf/k=2": "524b2b17b8ea261184ab75dfb757645d2e40eefabc198f74202a75887f8b51d3",
}
"""Task to its digest, as versions computed it in which every command was run by ``/bin/sh -e``."""
TEST_BEFORE = "dbebb8322348856056b52d18a0daf2860eae437fd8e217bdfd5f48e5c83fcf12"
IMAGE_BEFORE = "737b1236603ff6fc65a377271b8472083066b8bdf16ee837ba42d68851060081"


def load(text: str) -> Desired:
    result = desired({"a.yaml": text})
    assert headlines(result) == []
    return result


def digests(text: str) -> dict[str, str]:
    return {task.id: task.digest for job in load(text).jobs.values() for task in job.tasks}


def shells(text: str) -> dict[str, tuple[str, ...]]:
    return {name: job.shell for name, job in load(text).jobs.items()}


def test_what_names_no_shell_has_the_digest_that_it_always_had() -> None:
    """Nothing that has run runs again because commands are now run by another shell."""
    assert digests(SPECS) == BEFORE
    image = load(SPECS).images["torch"]
    assert image.test is not None
    assert (image.identity, image.test.digest) == (IMAGE_BEFORE, TEST_BEFORE)
    assert set(shells(SPECS).values()) == {DEFAULT_SHELL}


def test_a_cluster_s_default_reaches_its_jobs_and_no_digest() -> None:
    """An administrator who changes it does not run a lab's whole history again."""
    changed = SPECS.replace("defaults: {time: 1h}", "defaults: {time: 1h, shell: sh -e}")
    assert digests(changed) == BEFORE
    assert shells(changed) == {
        "plain": ("sh", "-e"),
        "boxed": DEFAULT_SHELL,
        "sweep": ("sh", "-e"),
        "bands.relax": ("sh", "-e"),
        "bands.scf": ("sh", "-e"),
    }
    assert load(changed).jobs["plain"].resources == load(SPECS).jobs["plain"].resources


def test_a_shell_of_its_own_is_part_of_a_digest() -> None:
    """With a matrix and without, in a step too; what needs the job is new with it, and nothing else is."""
    own = SPECS.replace("command: pw.x -in a", "shell: sh -e\ncommand: pw.x -in a")
    own = own.replace("command: echo", "shell: sh  '-e'\ncommand: echo")
    own = own.replace("relax.in}", "relax.in, shell: bash -l}")
    changed = digests(own)
    assert {task for task in BEFORE if changed[task] == BEFORE[task]} == set()
    assert shells(own)["sweep"] == ("sh", "-e")
    assert digests(own.replace("sh  '-e'", "sh -e")) == changed, "blanks and quotes between the words change nothing"
    only = digests(SPECS.replace("scf.in,", "scf.in, shell: bash -eu,"))
    assert {task for task in BEFORE if only[task] != BEFORE[task]} == {"bands/scf/k=1", "bands/scf/k=2"}


def test_a_step_takes_the_workflow_s_and_that_the_cluster_s() -> None:
    text = SPECS.replace("defaults: {time: 1h}", "defaults: {shell: dash -e}")
    text = text.replace("steps:", "shell: bash -eu\nsteps:").replace("relax.in}", "relax.in, shell: sh}")
    assert shells(text) == {
        "plain": ("dash", "-e"),
        "boxed": DEFAULT_SHELL,
        "sweep": ("dash", "-e"),
        "bands.relax": ("sh",),
        "bands.scf": ("bash", "-eu"),
    }


def test_a_test_s_own_shell_is_another_test() -> None:
    changed = load(SPECS.replace("{run_command", "{shell: sh -e, run_command")).images["torch"]
    assert changed.test is not None
    assert (changed.test.shell, changed.identity) == (("sh", "-e"), IMAGE_BEFORE)
    assert changed.test.digest != TEST_BEFORE


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sh", ("sh",)),
        ("bash -eo pipefail", DEFAULT_SHELL),
        ("/usr/local/bin/bash -l", ("/usr/local/bin/bash", "-l")),
        ("bash --noprofile --norc -euo pipefail", ("bash", "--noprofile", "--norc", "-euo", "pipefail")),
        ("bash -O inherit_errexit +e", ("bash", "-O", "inherit_errexit", "+e")),
        ("'/opt/my shells/ksh' -e", ("/opt/my shells/ksh", "-e")),
    ],
)
def test_words(text: str, words: tuple[str, ...]) -> None:
    assert words_of(text) == words


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("''", '"shell" must not be empty; leave it out for bash -eo pipefail'),
        ("python3", 'such as bash -eo pipefail or sh -e, not "python3"; this version knows bash, sh'),
        ("env bash -e", 'must be a shell and its options, such as bash -eo pipefail or sh -e, not "env bash -e"'),
        ("bin/bash", "in PATH, or with an absolute path; write bash"),
        ("bash -e {0}", "remove {0}: the path of the script is added by itself"),
        ("$SHELL -e", "remove $ from it: nothing in it is expanded"),
        ("bash -e; rm -rf x", "remove ; from it: nothing in it is expanded"),
        ('"bash\\n-e"', "remove U+000A from it: nothing in it is expanded"),
        ("bash -ec", 'must not have the option "-c"'),
        ("bash -s", 'must not have the option "-s"'),
        ("bash -en", 'must not have the option "-n"'),
        ("bash --version", 'remove "--version": the path'),
        ("bash -e other.sh", 'remove "other.sh": the path of the script is added by itself'),
        ("bash -eo", 'must name an option after "-o"; such as -o pipefail'),
        ("bash -eo pipefial", 'must not have "-o pipefial"; did you mean -o pipefail?'),
        ("bash -o noexec", 'must not have "-o noexec"'),
        ('bash "-e', "must not have a quote that is not closed"),
        ("[bash, -e]", '"shell" must be a string, not a list'),
    ],
)
def test_what_is_no_shell(text: str, said: str) -> None:
    """An error at the field, with what to write instead."""
    quoted = text if text.startswith(("[", '"bash\\n', "''")) else f"'{text}'"
    [problem] = desired({"a.yaml": SPECS.replace("command: echo", f"shell: {quoted}\ncommand: echo")}).problems
    assert said in f"{problem.message}; {problem.remedy}"
    assert problem.line == 34


def ran_or_failed(words: tuple[str, ...], script: Path) -> bool:
    """Whether a shell ran a script that leaves a file, or ended with another code than 0. No profile takes part."""
    left, place = script.parent / "ran", script.parent
    env = {"PATH": "/usr/bin:/bin", "HOME": str(place)}
    none = subprocess.DEVNULL
    done = subprocess.run([*words, script], cwd=place, env=env, stdin=none, stdout=none, stderr=none, timeout=60)
    there = left.exists()
    left.unlink(missing_ok=True)
    return there or done.returncode != 0


@pytest.mark.parametrize("program", ["bash", "dash"])
def test_no_shell_that_is_taken_ends_with_0_without_having_run_the_script(program: str, tmp_path: Path) -> None:
    """Every single option that there may be, and every letter: what is taken runs the script or says why not."""
    script = tmp_path / "script"
    script.write_text("touch ran\nexit 0\n")
    letters = [f"{sign}{chr(code)}" for sign in "-+" for code in range(33, 127)]
    names = [f"{sign}o {name}" for sign in "-+" for name in (*NAMES, "noexec", "onecmd", "stdin", "interactive", "x")]
    options = [*letters, *names, *LONG, "--help", "--version", "--dump-strings", "-", "--", "-eo pipefail"]
    taken = []
    for option in options:
        try:
            words = words_of(f"{program} {option}")
        except ShellError:
            continue
        taken.append(option)
        assert ran_or_failed(words, script), option
    assert set(taken) >= {f"-{letter}" for letter in LETTERS} | set(LONG)


@pytest.mark.parametrize("program", ["bash", "dash"])
def test_two_letters_in_one_word_are_two_options(program: str, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("touch ran\n")
    for pair in map("".join, itertools.product("eosncxD", repeat=2)):
        try:
            words = words_of(f"{program} -{pair} errexit nounset"[: -8 * (pair.count("o") < 2)])
        except ShellError:
            continue
        assert ran_or_failed(words, script), words


def test_an_editor_knows_the_field() -> None:
    for kind, fields in (
        ("Job", json_schema("Job")["properties"]),
        ("Workflow", json_schema("Workflow")["properties"]),
        ("step", json_schema("Workflow")["properties"]["steps"]["additionalProperties"]["properties"]),
        ("defaults", json_schema("Cluster")["properties"]["defaults"]["properties"]),
        ("test", json_schema("Image")["properties"]["test"]["properties"]),
    ):
        assert fields["shell"]["type"] == "string", kind
        assert fields["shell"]["default"] == "bash -eo pipefail", kind
    assert "cpus" in json_schema("Cluster")["properties"]["defaults"]["properties"]


@pytest.mark.parametrize("text", ["echo $'it\\'s ${{ matrix.lr }}'", "echo $'${{ matrix.lr }}'"])
def test_a_value_that_needs_quotes_may_not_stand_in_quotes_of_bash(text: str) -> None:
    """In ``$'...'`` a backslash hides a quote, so that what follows is still inside."""
    spec = SPECS.replace("command: echo ${{ matrix.lr }}", f"command: {text}").replace("[0.1, 1e-3]", "['a b']")
    [problem] = desired({"a.yaml": spec}).problems
    assert "stands inside quotes" in problem.message
