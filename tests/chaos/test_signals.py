"""Every signal, to a command and to a container, before, during and after the command: each end is the true one.

The jobs of one moment are submitted in one pass and signalled side by side; each test takes its own one's result. Their
batch scripts are signalled alone, as ``#SBATCH --signal=B:`` does: by ``scancel --batch`` while the command runs, else
by kill(1), which has delivered it when it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.chaos.conftest import MakeTrial
from tests.chaos.sites import There
from tests.chaos.trial import Trial
from tests.e2e.harness import job, wait_for

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(900)]

SIGNALS = {"TERM": 15, "INT": 2, "HUP": 1, "USR1": 10, "USR2": 12, "CONT": 18}
ASKS_FOR_THE_END = ("TERM", "INT")
KINDS = ("command", "container")
MOMENTS = ("before", "during", "after")
HELD = {"before": "job.files.after", "after": "job.command.after"}
"""Where a job script stays for its signal: its child is not there yet, or not any more."""
TINY = """
set -e
mkdir -p {root}.tiny && cd {root}.tiny
mkdir -p bin dev etc proc sys tmp var/tmp
for program in sh bash sleep touch; do cp /bin/$program bin/; done
cp --parents -L $(ldd bin/* | grep -o '/[^ ]*[^: ]' | grep /lib | sort -u) .
apptainer --silent build {root}.sif .
"""
"""Make a SIF with two shells and nothing else, at once and without an engine."""
LASTS = (
    "touch begun; i=0; while [ $i -lt {tenths} ]{unless}; do sleep 0.1; i=$((i + 1)); done; sleep 1; echo over >over"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """What became of one job: what the controller says, and what its command left."""

    state: str
    exit_code: int | None
    message: str
    got: tuple[str, ...]
    begun: bool
    over: bool


def name(kind: str, signal: str, trap: bool) -> str:
    return f"{kind}-{signal}-{'trap' if trap else 'plain'}".lower()


@dataclass(frozen=True, slots=True)
class Moment:
    """The jobs of one moment, all in one trial."""

    trial: Trial
    site: There
    when: str

    @property
    def traps(self) -> tuple[bool, ...]:
        """A trap makes a difference only while the command runs."""
        return (True, False) if self.when == "during" else (True,)

    def play(self) -> dict[str, End]:
        """Submit all jobs in one pass, signal each where it is meant to be, and return how they ended by name."""
        root = self.site.workdir
        self.site.shell(TINY.format(root=root))
        image = {"kind": "Image", "name": "tiny", "sif": f"{root}.sif"}
        specs = []
        for kind in KINDS:
            more = {"image": "tiny"} if kind == "container" else {}
            for signal in SIGNALS:
                specs += [self.spec(name(kind, signal, trap), signal, trap, **more) for trap in self.traps]
        if self.when in HELD:
            self.site.shell(f"mkdir -p {root}/.failpoints/{HELD[self.when]}.hold")
        self.trial.commit(image, *specs, cluster=self.site.cluster(containers="apptainer"))
        self.trial.project.one_pass()
        jobs = {task: str(known["job_id"]) for task, known in self.trial.tasks().items()}
        assert len(jobs) == len(specs), self.trial.said()
        waiting = dict(jobs)

        def signalled() -> bool:
            for task in self.ready(waiting):
                signal = task.split("-")[1].upper()
                self.site.shell(self.sending(signal, waiting.pop(task)))
            return not waiting

        wait_for(f"each is at its place {self.when} the command", signalled, deadline_s=300)
        if self.when in HELD:
            self.site.shell(f"rmdir {root}/.failpoints/{HELD[self.when]}.hold")
        self.trial.converge(patience_s=300)
        return {task: self.end(task) for task in jobs}

    def sending(self, signal: str, number: str) -> str:
        """Return the command that sends a signal to a job's batch script."""
        if self.when == "during":
            return f"scancel --batch --signal={signal} {number}"
        return f"kill -s {signal} $(pgrep -o -f 'job0*{number}/slurm_script')"

    def spec(self, task: str, signal: str, trap: bool, **more: object) -> dict[str, object]:
        """Return a job that counts a signal where it traps it."""
        lasts = "touch begun; echo over >over"
        if self.when == "during":
            # Not for ever where CONT ends nothing; with a trap long enough to be reached, and to count a second signal.
            lasts = LASTS.format(tenths=1200 if trap else 300, unless=" && [ ! -e got ]" if trap else "")
        command = f"trap 'echo {signal} >>got' {signal}; {lasts}" if trap else lasts
        return job(task, command, cluster="there", resources={"memory": "32M"}, **more)

    def ready(self, jobs: dict[str, str]) -> list[str]:
        """Return the jobs that have come to where their signal is to meet them."""
        base = f"{self.site.workdir}/{self.trial.project.instance}"
        mark = {"before": "control/*/*/*/launch.sh", "during": "runs/*/*/*/begun", "after": "control/*/*/*/held"}[
            self.when
        ]
        found = {path.split("/")[1] for path in self.site.shell(f"cd {base}; ls {mark} 2>/dev/null || :").split()}
        return sorted(found & set(jobs))

    def end(self, task: str) -> End:
        """Return what became of a job."""
        known = self.trial.tasks()[task]
        run = f"{self.site.workdir}/{self.trial.project.instance}/runs/{task}/*/1"
        left = self.site.shell(f"cd {run} && ls && cat got 2>/dev/null || :").split()
        return End(
            state=known["state"],
            exit_code=known["exit_code"],
            message=known["message"],
            got=tuple(word for word in left if word in SIGNALS),
            begun="begun" in left,
            over="over" in left,
        )


@pytest.fixture(scope="module")
def ends(make_trial: MakeTrial, wrappers: There, stranger: str) -> Iterator[Callable[[str, str], End]]:
    """How a job ended: ``ends("during", "command-usr1-trap")``.

    Two moments are played side by side: all jobs of one that is held have to be there at once.
    """
    played: dict[str, Future[dict[str, End]]] = {}
    with ThreadPoolExecutor(2) as pool:
        for when in MOMENTS:
            trial = make_trial("slurm")
            assert isinstance(trial.site, There)
            played[when] = pool.submit(Moment(trial, trial.site, when).play)
        yield lambda when, task: played[when].result()[task]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("signal", SIGNALS)
def test_during_the_command_a_trap_runs_once(ends: Callable[[str, str], End], signal: str, kind: str) -> None:
    """The program goes on after its trap: its own exit counts, unless it was asked to end; that is no success."""
    end = ends("during", name(kind, signal, trap=True))
    assert end.got == (signal,), end
    assert end.over, end
    expected = "Failed" if signal in ASKS_FOR_THE_END else "Succeeded"
    assert end.state == expected, end


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("signal", SIGNALS)
def test_during_the_command_without_a_trap(ends: Callable[[str, str], End], signal: str, kind: str) -> None:
    """A signal that ends the program makes the run Failed, and says so by name; CONT ends nothing."""
    end = ends("during", name(kind, signal, trap=False))
    if signal == "CONT":
        assert (end.state, end.over) == ("Succeeded", True), end
        return
    # bash goes on after an INT that the program it waits for has not died of: the same under a plain sbatch.
    assert (end.state, end.over and signal != "INT") == ("Failed", False), end
    if signal not in ASKS_FOR_THE_END:
        assert end.exit_code == 128 + SIGNALS[signal], end
        assert f"SIG{signal}" in end.message, end


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("signal", SIGNALS)
def test_before_the_command(ends: Callable[[str, str], End], signal: str, kind: str) -> None:
    """A signal that came before there was a child is that child's: no success without the command, and no lost one."""
    end = ends("before", name(kind, signal, trap=True))
    if signal == "CONT":
        assert (end.state, end.over) == ("Succeeded", True), end
        return
    assert (end.state, end.begun, end.got) == ("Failed", False, ()), end


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("signal", SIGNALS)
def test_after_the_command(ends: Callable[[str, str], End], signal: str, kind: str) -> None:
    """The command has ended well and its end is not written yet: no signal changes it any more."""
    end = ends("after", name(kind, signal, trap=True))
    assert (end.state, end.over, end.got) == ("Succeeded", True, ()), end
