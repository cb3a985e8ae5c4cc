"""What the scripts make of the shell that they are started in: a profile's habits, its umask, its work directory."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from controller.clusters.cluster import ClusterClient, Look
from controller.clusters.framing import frame
from controller.clusters.local import LocalTransport
from controller.clusters.scripts import remote_file
from controller.containers import sif
from controller.schedulers import scheduler_named
from tests.contract.schedulers.places import Prefixed
from tests.profiles import PROFILES
from tests.unit.planning import values


def in_login_shell(script: str, home: Path, profile: str) -> tuple[int, str]:
    """Run a script as a transport does, with a profile; return its exit code and what it printed."""
    (home / ".bash_profile").write_text(f"{profile}\n")
    framed = frame(script, login=True)
    environment = {"HOME": str(home), "PATH": os.environ["PATH"]}
    done = subprocess.run(framed.argv, input=framed.head, capture_output=True, env=environment, timeout=60)
    completed = framed.read(done.stdout, done.stderr).completed()
    assert completed is not None, done
    assert completed.stderr == b""
    return completed.exit_code, completed.stdout.decode()


SCRIPT = r"""
echo "$-" "$BASHOPTS" "$(trap)" "$(alias)" "$(declare -F)" "$#"
printf '%q\n' "$IFS" "${CDPATH:+$(cd /; cd tmp)}"
printf 'a\n' | { read -r x; cat; printf '%s' "$x"; echo 'b\tc'; }
cd "$HOME" && echo *.none [ab]
false
echo again >new; echo again >new; ls; echo "$none"
"""


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_nothing_of_a_profile_reaches_a_script(tmp_path: Path, profile: str) -> None:
    """Whatever a profile does to its shell, a script has the options, traps, aliases and functions of a new one."""
    plain, home = tmp_path / "plain", tmp_path / "home"
    plain.mkdir()
    home.mkdir()
    expected = in_login_shell(SCRIPT, plain, "")
    assert in_login_shell(SCRIPT, home, profile) == expected
    assert {file.name for file in home.iterdir()} - {".noise"} == {file.name for file in plain.iterdir()}


def test_what_a_profile_exports_reaches_a_script(tmp_path: Path) -> None:
    """Environment and umask are what a site sets up there; exported functions are there for other shells."""
    profile = 'export SITE="a b"; umask 027; module() { echo "loaded $1"; }; export -f module'
    code, out = in_login_shell('echo "$SITE"; umask; type -t module; bash -c "module x"', tmp_path, profile)
    assert (code, out) == (0, "a b\n0027\nloaded x\n")


def look(workdir: str, site: str = ":") -> tuple[bool, str, str]:
    """Look at a cluster whose work directory is that; return whether it was seen, and why not."""
    cluster = values.cluster("here", scheduler="local", workdir=workdir, connection=None)
    client = ClusterClient(cluster, Prefixed(LocalTransport(), site), scheduler_named("local"), instance="inst")
    seen = client.observe(Look())
    return seen.reachable, seen.error_reason, seen.error


@pytest.mark.parametrize("value", ["relative", "/a:b", "/a,b", "/a\nb", "/a\n"])
def test_a_work_directory_that_cannot_be_used_is_refused_by_name(value: str) -> None:
    """A variable may hold what no spec could: containers would end with 255, or files would lie anywhere."""
    reachable, reason, message = look("$SITE_SCRATCH", f"SITE_SCRATCH={shlex.quote(value)}")
    assert (reachable, reason) == (False, "WorkdirInvalid")
    assert value.split("\n")[0] in message
    assert "set workdir" in message


def test_a_work_directory_that_is_not_set_is_refused_by_name() -> None:
    """The variable is named, and what is to be done."""
    reachable, reason, message = look("$SITE_SCRATCH/x")
    assert (reachable, reason) == (False, "WorkdirUnset")
    assert "SITE_SCRATCH: is not set there" in message


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o777, 0o277])
def test_a_umask_leaves_the_owner_in(tmp_path: Path, umask: int) -> None:
    """Files are as open to others as the account's umask says; the account itself can always use them."""
    before = os.umask(umask)
    try:
        reachable, _, error = look(str(tmp_path / "work"))
    finally:
        os.umask(before)
    assert reachable, error
    made = tmp_path / "work" / "bin"
    assert made.stat().st_mode & 0o777 == 0o777 & ~umask | 0o700


PRELUDE = remote_file("prelude.sh")
SETUP_MODULE = 'module() { export LOADED="$1"; PATH=$HOME/programs:$PATH; }'


@pytest.mark.parametrize(
    "setup", ["module load", "set -u; IFS=,; cd /; module load", "container_program=no\nmodule load"]
)
def test_a_setup_has_the_functions_of_the_profile(tmp_path: Path, setup: str) -> None:
    """``module`` is a function of the profile; what it leaves in the environment is there for what comes after."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "apptainer").write_text('#!/bin/sh\necho "apptainer version of $LOADED"\n')
    (programs / "apptainer").chmod(0o755)
    script = (
        f"root_expression=/w instance=i nonce=n login_option=-l\n{PRELUDE}\n{sif.facts_command(setup, 'apptainer')}"
    )
    assert in_login_shell(script, tmp_path, SETUP_MODULE) == (0, "container_version apptainer version of load\n")


def test_modules_are_listed_by_the_profile(tmp_path: Path) -> None:
    """Where there is no program the modules that may bring one are named; they come on standard error."""
    profile = "PATH=/usr/bin:/bin\nmodule() { printf 'noise here\\napptainer/1.3\\ngcc/12\\n' >&2; }"
    setup = "PATH=/nowhere"
    script = (
        f"root_expression=/w instance=i nonce=n login_option=-l\n{PRELUDE}\n{sif.facts_command(setup, 'apptainer')}"
    )
    assert in_login_shell(script, tmp_path, profile) == (0, "container_modules apptainer/1.3 \n")
