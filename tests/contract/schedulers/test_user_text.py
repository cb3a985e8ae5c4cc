"""User text cannot touch the protocol: setup lines, login profiles, and files of the repository.

Whatever they hold, a run is as without.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from controller.model.conditions import TaskState
from tests.contract.schedulers.places import Place, until
from tests.unit.planning.values import task

SETUPS = (
    "cd /tmp",
    "place=siteA",
    "run=fast control=x base=/nowhere code=7 child=1 owner=me",
    "export run=fast root=/nowhere BASH=/bin/false launch=x",
    "set -u",
    "set -e",
    "set -x",
    "set -f",
    "set -a",
    "set -o noclobber",
    "set -- a b c",
    "shift 2>/dev/null || :",
    "shopt -s nullglob failglob",
    "IFS=,",
    "trap 'echo bye' EXIT",
    "trap '' TERM USR1 HUP",
    "trap 'echo bye >&2' ERR DEBUG",
    "exec 2>/dev/null",
    "exec >/dev/null",
    "exec </etc/passwd",
    "cat() { :; }",
    "exit_() { :; }; cd() { echo no >&2; return 1; }; test() { return 1; }",
    "alias sh=false cat=false; shopt -s expand_aliases",
    "PATH=/nowhere",
    "unset PATH HOME",
    "export CDPATH=/ GLOBIGNORE='*' ENV=/nowhere SHELLOPTS",
    "umask 077",
    "ulimit -c 0",
    "export LC_ALL=tr_TR.UTF-8",
    "sleep 300 &",
    "cd /",
    "false || true",
    "exec() { echo no; }; builtin() { :; }; trap() { :; }; export() { :; }",
    "shopt -s expand_aliases\nalias exec='echo no' trap=: exit=:",
)
PLAIN = 'echo x > out.txt; cd . && for f in *.txt; do echo "$f"; done; echo "$#"'
"""A command that shows where it runs, how globs expand, and that no option or argument has come to it."""


@pytest.mark.parametrize("setup", SETUPS)
def test_whatever_the_setup_says_the_run_is_as_without(local: Place, setup: str) -> None:
    """Succeeded, with its output in the run's directory and nothing else there."""
    local.cluster = replace(local.cluster, setup=setup)
    [mine] = local.submit(task(command=PLAIN))
    done = local.ends(mine)
    assert done.state is TaskState.SUCCEEDED, (done, local.client().read_output(mine.id, "stderr", offset=0, limit=999))
    assert local.shell(f"cd {local.run_directory(mine)} && head -n 9 *") == "x\n"
    assert local.stdout(mine).replace("bye\n", "") == "out.txt\n0\n"


@pytest.mark.parametrize(
    ("setup", "code"),
    [
        ("false", 1),
        ("exit 9", 9),
        ("exit 0", 1),
        ("exec true", 1),
        ("set -e\nfalse\ntrue", 1),
        ("echo 'unfinished", 2),
        ("kill -9 $$", 137),
        ("return 5", 5),
    ],
)
def test_a_setup_that_fails_is_named_and_the_command_never_runs(local: Place, setup: str, code: int) -> None:
    """The last line fails, or the setup ends its shell, even with 0: SetupFailed, never the command's success."""
    local.cluster = replace(local.cluster, setup=setup)
    [mine] = local.submit(task(command=PLAIN))
    done = local.ends(mine)
    assert (done.state, done.reason, done.exit_code) == (TaskState.FAILED, "SetupFailed", code), done
    assert local.shell(f"ls {local.run_directory(mine)}") == ""


def test_from_the_setup_come_environment_umask_and_limits(place: Place) -> None:
    """They are what a setup is for."""
    place.cluster = replace(place.cluster, setup="export MODULE=loaded run=mine\numask 027\nulimit -n 99")
    [mine] = place.submit(task(command='echo "$MODULE $run $(umask) $(ulimit -n)"'))
    assert place.ends(mine).state is TaskState.SUCCEEDED
    assert place.stdout(mine) == "loaded mine 0027 99\n"


PROFILES = (
    "set -e",
    "set -x",
    "set -u",
    "set -f",
    "set -o noclobber",
    "IFS=:",
    "trap 'echo bye' EXIT ERR DEBUG",
    "trap '' TERM HUP USR1",
    "alias ls='ls -F' cat=false; shopt -s expand_aliases",
    "export CDPATH=..",
    "umask 077",
    "unset PATH; PATH=/usr/local/bin:/usr/bin:/bin",
    "export LC_ALL=tr_TR.UTF-8",
    "export BASH_ENV=noise.sh",
    "export ENV=noise.sh POSIXLY_CORRECT=1",
    "run=fast place=x control=y; export run place control owner=z code=3",
    'cd() { echo moved; builtin cd "$@"; }; ls() { :; }',
    "cd /tmp",
    "echo welcome; echo warning >&2",
    "exec 2>&1",
    "shopt -s nullglob failglob",
    "set -- one two",
    "false",
)
"""Lines of a login profile that people have, or might."""
TWICE = f"echo begun; if [ -e first ]; then {PLAIN.replace('*.txt', 'out*')}; exit 0; fi; echo >first; sleep 600"


@pytest.fixture
def profile(slurm: Place) -> Iterator[Place]:
    """The sandbox, whose user's login profile is what the file ``~/.profile-of/<job>`` holds, for that job alone."""
    # The profile finds its job by the name that SLURM gives it: runs with different profiles go side by side.
    slurm.shell(
        "mkdir -p ~/.profile-of; rm -f ~/.profile-of/*\n"
        "cat >~/.bash_profile <<'END'\n"
        'if [ -n "${SLURM_JOB_NAME:-}" ] && [ -e ~/.profile-of/"$SLURM_JOB_NAME" ]; then\n'
        '  . ~/.profile-of/"$SLURM_JOB_NAME"\nfi\nEND'
    )
    yield slurm
    slurm.shell("rm -rf ~/.bash_profile ~/.profile-of")


@pytest.mark.sandbox
def test_a_requeued_run_is_the_same_attempt_whatever_the_profile_says(profile: Place) -> None:
    """Each of them in a job of its own: requeued when half-way, it runs again, and all is as without."""
    for number, line in enumerate(PROFILES):
        batch = profile.batch(task(f"job-{number}", command=TWICE))
        tag = f"{profile.instance}-{batch.batch[:12]}"
        profile.shell(f"cat >~/.profile-of/{tag} <<'END'\n{line}\nEND")
        profile.send(batch)
    runs = dict(zip(PROFILES, list(profile.records.values()), strict=True))
    waiting = set(runs)

    def requeued() -> bool:
        for line in sorted(waiting):
            job_id = runs[line].job_id
            if profile.shell(f"[ -e {profile.run_directory(runs[line])}/first ] && echo yes || :"):
                profile.shell(f"scontrol requeue {job_id}; scontrol update JobId={job_id} StartTime=now+3seconds")
                waiting.discard(line)
        return not waiting

    until("every one is half-way", requeued, deadline_s=240)
    for line, record in runs.items():
        done = profile.ends(record, deadline_s=300)
        assert (done.state, done.job_id, done.run.attempt) == (TaskState.SUCCEEDED, record.job_id, 1), (line, done)
        assert profile.stdout(record) == "begun\nbegun\nout.txt\n0\n", line
        left = profile.shell(f"ls {profile.run_directory(record)} ; ls -d ~/+* ~/out.txt 2>/dev/null || :")
        assert left.split() == ["first", "out.txt"], line


@pytest.mark.sandbox
def test_a_profile_that_ends_the_shell_is_named(profile: Place) -> None:
    """A login profile that exits, even with 0: the run has failed for that, and its command never ran."""
    batches = {line: profile.batch(task(f"ends-{n}")) for n, line in enumerate(("exit 0", "echo no >&2; exit 3"))}
    for line, batch in batches.items():
        profile.shell(f"cat >~/.profile-of/{profile.instance}-{batch.batch[:12]} <<'END'\n{line}\nEND")
        profile.send(batch)
    for (line, batch), code in zip(batches.items(), (1, 3), strict=True):
        done = profile.ends(profile.records[batch.runs[0].run.id])
        assert (done.state, done.reason, done.exit_code) == (TaskState.FAILED, "SetupFailed", code), (line, done)
        assert "start-up files" in done.message
        assert done.stderr_tail.startswith("no\n") == (code == 3)


def committed(place: Place, **contents: str) -> dict[str, object]:
    """Stage files as the repository's; return what a job that names them has. A double underscore is a slash."""
    return place.stage({name.replace("__", "/").replace("DOT", "."): body for name, body in contents.items()})


COMMITTED = {
    "DOTcontroller__exit.json": '{"run":"x/y/1","kind":"exited","owner":"1_0@x.1","at":1,"exit_code":0}',
    "DOTcontroller__claim": "cancelled\n",
    "DOTcontroller__stopped.json": "{}",
    "stdout__a": "a",
    "stderr__b": "b",
    "command.sh": "exit 9",
    "claim": "me",
    "exit.json": "{}",
}


def test_committed_control_files_are_just_files(place: Place) -> None:
    """Files of the names that the protocol has, or had: the run goes on as if they were called anything else."""
    [mine] = place.submit(
        task(command="cat .controller/claim stdout/a stderr/b claim"), **committed(place, **COMMITTED)
    )
    done = place.ends(mine)
    assert done.state is TaskState.SUCCEEDED, done
    assert place.stdout(mine) == "cancelled\nabme"
    assert place.client().has_ended(mine.id)


@pytest.mark.sandbox
def test_a_requeued_run_does_not_believe_committed_control_files(slurm: Place) -> None:
    """A committed end was taken for the run's own once the job was started again: it runs again, to its own end."""
    command = "echo started; if [ -e first ]; then echo finished; exit 0; fi; echo >first; sleep 600"
    [mine] = slurm.submit(task(command=command), **committed(slurm, **COMMITTED))
    until("it is half-way", lambda: slurm.shell(f"cat {slurm.run_directory(mine)}/first || true") != "")
    slurm.shell(f"scontrol requeue {mine.job_id}; scontrol update JobId={mine.job_id} StartTime=now+3seconds")
    assert slurm.ends(mine, deadline_s=180).state is TaskState.SUCCEEDED
    assert slurm.stdout(mine) == "started\nstarted\nfinished\n"
