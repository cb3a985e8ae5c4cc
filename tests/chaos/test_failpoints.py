"""Every failpoint reached once: the process dies there, is started again, and in the end each task has run once.

The list is read from the sources, so that a new failpoint has its trial at once. Trials run side by side, since most of
their time is waiting; each test takes its own one's result.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

import controller.clusters
from controller.model.failpoints import NAMES
from tests.chaos.conftest import SESSION, MakeTrial
from tests.chaos.trial import Trial
from tests.e2e.harness import job, wait_for

SCRIPTS = Path(controller.clusters.__file__).parent / "remote"
EVENTS = ("started", "stopped", "exited")
SIDE_BY_SIDE = 6
IMAGE = re.compile(r"^(build|test|publish|upload|convert|conversion)\.")
"""Failpoints on the way of an image, which the local cluster of these trials has no use for."""
WITHOUT_SCHEDULER = re.compile(r"^(heartbeat|lease|look|own|report|specs|stage)\.")
"""Failpoints where no scheduler has a part: on SLURM they are visited in the long mode only."""
RECIPE = """
FROM debian:trixie-slim AS all
RUN mkdir -p /tiny/bin /tiny/dev /tiny/etc /tiny/proc /tiny/sys /tiny/tmp /tiny/var/tmp \\
 && cp /bin/bash /bin/sh /bin/true /tiny/bin/ \\
 && cp --parents -L $(ldd /bin/bash /bin/sh /bin/true | grep -o '/[^ ]*[^: ]' | sort -u) /tiny/
FROM scratch
COPY --from=all /tiny/ /
LABEL word={word}
"""
"""A shell and nothing else: two megabytes, converted in a second."""
BEFORE_COMMAND = {"job.mkdir.after", "job.claim.after", "job.started.after", "job.files.after", "job.phase.after"}
BESIDE_COMMAND = {"job.launch.after"}
"""The job script dies while its child begins: the command may have been reached."""


def in_scripts() -> list[str]:
    """Return every failpoint of the scripts that run on a cluster."""
    found = []
    for path in sorted(SCRIPTS.glob("*.sh")):
        if path.name == "prune.sh":
            # No part of a pass; tests/e2e/test_upkeep.py dies there.
            continue
        for name in re.findall(r"^\s*failpoint \"?([^\s\";]+)", path.read_text(), re.MULTILINE):
            found += [name.replace("$kind", kind) for kind in EVENTS] if "$kind" in name else [name]
    return found


EVERY = [name for name in [*NAMES, *in_scripts()] if not name.startswith("move.")]
"""``controller move`` is no part of a pass; tests/life/test_move.py dies there."""
ON_LOCAL = [pytest.param("local", name, id=f"local-{name}") for name in EVERY if not IMAGE.match(name)]
ON_SLURM = [
    pytest.param(
        "slurm",
        name,
        id=f"slurm-{name}",
        marks=[
            pytest.mark.sandbox,
            *([pytest.mark.docker] if IMAGE.match(name) else []),
            *([pytest.mark.long] if WITHOUT_SCHEDULER.match(name) else []),
        ],
    )
    for name in EVERY
]


@dataclass(frozen=True, slots=True)
class Armed:
    """A trial with one failpoint armed, in the controller or over there."""

    trial: Trial
    name: str

    def arm(self) -> None:
        """Arm it."""
        (self.trial if self.name in NAMES else self.trial.site).arm(self.name)

    def visited(self) -> bool:
        """Whether it was reached: then its directory is gone."""
        return not (self.trial if self.name in NAMES else self.trial.site).armed(self.name)


def play(armed: Armed) -> bool:
    """Let one trial run to its end and judge it; return whether the failpoint was reached."""
    name = armed.name
    if name.startswith("cancel.") or name == "job.stopped.after":
        _cancel(armed)
    elif name == "job.exited.after" or not name.startswith("job."):
        _submit(armed)
    else:
        _lose_a_job(armed)
    trial = armed.trial
    # A job that was cancelled may need some seconds to end.
    wait_for(f"{name} is reached", armed.visited, deadline_s=20)
    assert trial.killed == (name in NAMES), trial.said()
    return armed.visited()


def _submit(armed: Armed) -> None:
    trial, names = armed.trial, ["one", "two"]
    armed.arm()
    if IMAGE.match(armed.name):
        names = ["one"]
        image = {"kind": "Image", "name": f"tiny-{SESSION}", "build": {"context": "image"}}
        if armed.name.startswith("test."):
            image["test"] = {"run_command": "true", "required": True}
        # The counter is beside the work directory, which the container does not see: the run counts in its own place.
        spec = job("one", 'printf "%s\\n" "$CONTROLLER_RUN_DIR" >>../ran', cluster="there", image=f"tiny-{SESSION}")
        place = "job" if armed.name.startswith("conversion.") else "login"
        cluster = trial.site.cluster(containers="apptainer", convert_on=place)
        trial.commit(image, spec, cluster=cluster, image__Dockerfile=RECIPE.format(word=f"{SESSION}-{armed.name}"))
        trial.converge()
        assert trial.states() == {"one": "Succeeded"}, trial.said()
        ran = trial.site.shell(f"cat {trial.site.workdir}/{trial.project.instance}/runs/one/*/ran").split()
        assert len(ran) == 1, ran
        left = trial.site.shell(f"ls -A {trial.site.workdir}/images").split()
        kept = {name for name in left if not name.startswith(".lock")}
        assert kept == {f"{identity(trial)}.{end}" for end in ("sif", "sha256")}, left
    else:
        trial.commit(*[trial.counted(each, files=["src/"]) for each in names], src__data="data\n")
        trial.converge()
        trial.assert_once(names)
    assert_jobs(trial, dict.fromkeys(names, 1))
    trial.assert_nothing_cancelled()
    assert trial.project.one_pass()["actions"] == []


def identity(trial: Trial) -> str:
    """Return the identity of the trial's only image."""
    return str(trial.project.resource("Image", f"tiny-{SESSION}")["digest"])


def _lose_a_job(armed: Armed) -> None:
    """The job's own script dies: its attempt has failed, and was executed once at most."""
    trial = armed.trial
    trial.commit(trial.counted("one"), trial.counted("two"))
    armed.arm()
    trial.converge()
    states, ran = trial.states(), trial.executions()
    assert sorted(states.values()) == ["Failed", "Succeeded"], (states, trial.said())
    (hit,) = [name for name, state in states.items() if state == "Failed"]
    (other,) = set(states) - {hit}
    by_job = Counter(run.partition("/")[0] for run in ran.elements())
    executed = {0} if armed.name in BEFORE_COMMAND else {0, 1} if armed.name in BESIDE_COMMAND else {1}
    assert by_job.pop(hit, 0) in executed, by_job
    assert by_job == {other: 1}, by_job
    assert_jobs(trial, {"one": 1, "two": 1})
    trial.assert_nothing_cancelled()
    assert trial.project.one_pass()["actions"] == []


def _cancel(armed: Armed) -> None:
    """A job that has changed is cancelled and replaced; the one beside it goes on."""
    trial = armed.trial
    never, go = f"{trial.site.workdir}.never", f"{trial.site.workdir}.go"
    steady = trial.counted("steady", wait_for_file(go))
    trial.commit(trial.counted("changed", wait_for_file(never)), steady)
    trial.passes_until(
        "both run", lambda: trial.executions().total() == 2 and set(trial.states().values()) == {"Running"}
    )
    armed.arm()
    trial.commit(trial.counted("changed", f"touch {go}"), steady)
    trial.converge()
    assert trial.states() == {"changed": "Succeeded", "steady": "Succeeded"}, trial.said()
    executions = trial.executions()
    assert set(executions.values()) == {1}, executions
    assert Counter(run.partition("/")[0] for run in executions) == Counter(changed=2, steady=1)
    assert_jobs(trial, {"changed": 2, "steady": 1})
    cancelled = {job.name for job in trial.site.jobs(trial.project.instance) if job.state == "CANCELLED"}
    assert len(cancelled) <= 1, cancelled


def wait_for_file(path: str) -> str:
    """Return a command that ends when there is such a file."""
    return f"while [ ! -e {path} ]; do sleep 0.2; done"


def assert_jobs(trial: Trial, wanted: dict[str, int]) -> None:
    """The scheduler has had just so many jobs of this controller, and they have ended."""
    total = sum(wanted.values())
    instance = trial.project.instance

    def ended() -> bool:
        every = trial.site.jobs(instance)
        # A conversion whose job dies is begun anew.
        converts = [job for job in every if f"{instance}-sif" in job.name]
        assert len(converts) <= 2, converts
        jobs = [job for job in every if job not in converts]
        assert len(jobs) <= total, f"{jobs}\n{trial.said()}"
        return len(jobs) == total and not {job.state for job in jobs} & {"RUNNING", "PENDING", "COMPLETING"}

    wait_for(f"{total} jobs in the scheduler's record", ended, deadline_s=30)


def test_a_job_that_died_before_its_command_is_tried_again(trial: Trial) -> None:
    """With ``retries`` the next attempt runs, in a directory of its own; the first one never executes."""
    trial.commit(trial.counted("one", retries={"max": 1, "on": ["ExitCode"], "backoff": "1s"}))
    trial.site.arm("job.claim.after")
    trial.converge()
    task = trial.tasks()["one"]
    assert (task["state"], task["attempt"]) == ("Succeeded", 2), trial.said()
    (run,) = trial.executions().elements()
    assert run.endswith("/2")
    assert_jobs(trial, {"one": 2})


TRIALS = "test_death_at_a_failpoint"


@pytest.fixture(scope="module")
def plays(request: pytest.FixtureRequest, make_trial: MakeTrial) -> Iterator[Callable[[str, str], bool]]:
    """Start every trial that this session asks for; return a way to wait for one."""
    asked = []
    for item in request.session.items:
        if isinstance(item, pytest.Function) and item.originalname == TRIALS:
            asked.append((str(item.callspec.params["site"]), str(item.callspec.params["name"])))
    if any(site == "slurm" for site, _ in asked):
        request.getfixturevalue("stranger")
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        futures: dict[tuple[str, str], Future[bool]] = {}
        # Those that wait for a minute go first.
        for site, name in sorted(asked, key=lambda place: not place[1].startswith("cancel.")):
            futures[site, name] = pool.submit(play, Armed(make_trial(site), name))
        yield lambda site, name: futures[site, name].result()
        for future in futures.values():
            future.cancel()


visits: dict[tuple[str, str], bool] = {}


@pytest.mark.parametrize(("site", "name"), [*ON_LOCAL, *ON_SLURM])
def test_death_at_a_failpoint(plays: Callable[[str, str], bool], site: str, name: str) -> None:
    """The process dies at this place; in the end every task has run once and the status tells so."""
    visits[site, name] = plays(site, name)
    assert visits[site, name], f"nothing ever reached {name}"


def test_every_failpoint_was_visited(request: pytest.FixtureRequest) -> None:
    """Those visited are those that the sources name: none is without a trial."""
    assert len(EVERY) == len(set(EVERY))
    asked = {
        (item.callspec.params["site"], item.callspec.params["name"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.originalname == TRIALS
    }
    sites = {site for site, _ in asked}
    expected = {("local", name) for name in EVERY if not IMAGE.match(name)} if "local" in sites else set()
    if "slurm" in sites:
        long = any(WITHOUT_SCHEDULER.match(name) for site, name in asked if site == "slurm")
        expected |= {("slurm", name) for name in EVERY if long or not WITHOUT_SCHEDULER.match(name)}
    if asked != expected:
        pytest.skip("only some failpoints were asked for")
    assert {place for place, reached in visits.items() if reached} == expected
