"""What is said of an environment that a SIF gives, by what its image's configuration asks for; any values."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "controller" / "containers" / "environment.sh"
PROGRAM = r"""#!/bin/bash
# What the real one says of a SIF, as far as it is asked.
case "$1 $2" in
  'sif list')
    printf 'ID   |GROUP   |LINK    |SIF POSITION (start-end)  |TYPE\n'
    printf '1    |1       |NONE    |32176-32216               |Def.FILE\n'
    printf '2    |1       |NONE    |32216-37487               |JSON.Generic\n'
    printf '3    |1       |NONE    |37487-38092               |JSON.Generic\n'
    ;;
  'sif info')
    if [ "$3" = 3 ]; then echo '  Name:         oci-config.json'; else echo '  Name:         inspect-metadata.json'; fi
    ;;
  'sif dump') cat config.json ;;
  exec*)
    case "$*" in
      *' env -0') if [ -e no-env ]; then exit 255; else cat environ; fi ;;
      *environ) cat environ ;;
    esac
    ;;
esac
"""
OWN = {"HOME": "/home/me", "LANG": "C", "PS1": "Apptainer> ", "APPTAINER_NAME": "x.sif", "PATH": "/bin"}
"""What the program puts there by itself."""


def go_json(value: object) -> str:
    """JSON as Go writes it: compact, with what is special in HTML and JavaScript escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return "".join(f"\\u{ord(sign):04x}" if sign in "&<>\u2028\u2029" else sign for sign in text)


def checked(place: Path, wanted: Mapping[str, str], seen: Mapping[str, str], **others: object) -> str:
    """Return what is said; "" when all is well."""
    program = place / "apptainer"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    config = {"Cmd": ["sh"], **others, "Env": [f"{name}={value}" for name, value in wanted.items()], "User": "x"}
    (place / "config.json").write_text(go_json(config))
    (place / "environ").write_bytes("".join(f"{name}={value}\0" for name, value in seen.items()).encode())
    text = f"container_program={program} sif=/x.sif\n. {SCRIPT}\ncheck_environment"
    done = subprocess.run(["bash", "-uc", text], cwd=place, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert done.returncode == (1 if done.stdout else 0)
    return done.stdout


def values(chance: random.Random) -> dict[str, str]:
    """Return an environment of any texts."""
    signs = "ab =\"'\\$`\n\r\t\b\f{}|;&<>*~#!%s\u00e9\u2192\u2028\U0001f600\x01\x1f\x7f,[]:"
    # \x01 stands for a line break on the way, so that these two cannot be told apart; that is no harm.
    texts = ("".join(chance.choices(signs.replace("\x01", ""), k=chance.randrange(12))) for _ in range(12))
    return {f"V{number}": text for number, text in enumerate(texts)} | {"EMPTY": ""}


@pytest.mark.parametrize("seed", range(8))
def test_any_environment_that_arrives_is_fine_and_any_that_does_not_is_named(tmp_path: Path, seed: int) -> None:
    """Quotes, dollars, line breaks, other alphabets, nothing at all: it is the bytes that are compared."""
    chance = random.Random(seed)
    wanted = values(chance)
    assert checked(tmp_path, wanted, OWN | wanted) == ""
    name = chance.choice(sorted(wanted))
    changed = checked(tmp_path, wanted, OWN | wanted | {name: wanted[name] + "\\"})
    assert f": changed are {name}" in changed
    gone = checked(tmp_path, wanted, OWN | {each: value for each, value in wanted.items() if each != name})
    assert f": gone are {name}" in gone
    assert "set such values in env: of the job" in gone


def test_what_the_program_sets_itself_is_not_the_image_s(tmp_path: Path) -> None:
    wanted = {"HOME": "/root", "LANG": "C.UTF-8", "PS1": "\\w$ ", "http_proxy": "x", "SINGULARITY_NAME": "y"}
    assert checked(tmp_path, wanted, OWN) == ""


def test_what_the_program_adds_to_paths_is_no_change(tmp_path: Path) -> None:
    wanted = {"PATH": "/opt/x:/bin", "LD_LIBRARY_PATH": "/opt/lib"}
    seen = {"PATH": "/opt/x:/bin:/usr/bin", "LD_LIBRARY_PATH": "/opt/lib:/.singularity.d/libs"}
    assert checked(tmp_path, wanted, seen) == ""
    assert "changed are PATH" in checked(tmp_path, wanted, seen | {"PATH": "/bin:/usr/bin"})


def test_what_cannot_be_known_is_not_refused(tmp_path: Path) -> None:
    """An image without a configuration or an environment, and one in which no program can tell it."""
    assert checked(tmp_path, {}, OWN) == ""
    assert checked(tmp_path, {"A": "1"}, {}) == ""
    (tmp_path / "no-env").touch()
    assert checked(tmp_path, {"A": "1"}, {"A": "1"}) == ""
    assert "changed are A" in checked(tmp_path, {"A": "1"}, {"A": "2"})


def test_the_causes_are_named_and_nothing_in_a_name_reaches_a_terminal(tmp_path: Path) -> None:
    """Of a hundred that are gone because of one, that one is what a person has to change."""
    wanted = {f"V{number}": "1" for number in range(100)} | {"BAD": "`id`", "a.b": "1", "x\x1b[2J": "1"}
    said = checked(tmp_path, wanted, OWN, Labels={"Env": '"Env":["A=1"]'})
    assert "gone are V0, V1, V2, V3, V4, V5, V6, V7, V8, V9 and 93 more" in said
    assert "what cannot be carried over is in BAD, a.b, x??2J" in said
    assert said.count("\n") == 1
