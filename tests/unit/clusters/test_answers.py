"""What scripts say, past banners, cut-offs and garbage, and the observation that is made of it."""

from __future__ import annotations

import json
import random
import subprocess
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.clusters.observation import read_observation
from controller.clusters.scripts import (
    Answer,
    Part,
    compose,
    read_answer,
    remote_file,
    require_complete,
    root_expression,
)
from controller.model.errors import AmbiguousError, StalledError
from controller.model.observed import EventKind
from controller.schedulers import NAMES, scheduler_named
from tests.unit.planning import values
from tests.unit.schedulers import printed

NONCE = "0123456789abcdef"
SLURM = scheduler_named("slurm")
RUN = "train/abc/1"


def said(*lines: str) -> bytes:
    return "".join(f"\n@@{NONCE} {line}\n" for line in lines).encode()


def test_an_answer_is_found_between_everything_else() -> None:
    """Banners around it, output without a final newline, lines that look like ours but are not."""
    text = b"Welcome! Your quota is 99 %" + said("begin queue") + b"17|RUNNING\n@@other complete\nno newline"
    text += said("end queue 3 it went wrong, twice") + b"\xff\x00" + said("submitted b 17", "complete") + b"bye"
    answer = read_answer(text, NONCE)
    part = answer.parts["queue"]
    assert part.text.strip().splitlines() == ["17|RUNNING", "@@other complete", "no newline"]
    assert (part.exit_code, part.fault) == (3, "it went wrong, twice")
    assert answer.words == (("submitted", "b", "17"),)
    assert answer.complete


def test_an_answer_that_breaks_off_is_not_complete() -> None:
    """Wherever the connection is lost before the last line, nobody knows how far the script came."""
    whole = said("begin queue") + b"17\n" + said("end queue 0 ", "submitted b 17", "complete")
    for end in range(len(whole) - 1):
        answer = read_answer(whole[:end], NONCE)
        with pytest.raises(AmbiguousError) as caught:
            require_complete(answer, "hpc", b"Connection reset")
        assert "hpc" in caught.value.message
        assert "Connection reset" in caught.value.message
    assert read_answer(whole[:-1], NONCE).complete


def test_a_part_without_its_end_is_not_there() -> None:
    """Half a queue is no queue."""
    assert read_answer(said("begin queue") + b"17|RUNNING\n", NONCE).parts == {}


def test_a_script_that_gives_up_says_why() -> None:
    """``fatal`` is an error with the reason that the script gave."""
    with pytest.raises(StalledError) as caught:
        read_answer(said("fatal WorkdirUnwritable cannot write below /scratch"), NONCE)
    assert (caught.value.reason, caught.value.message) == ("WorkdirUnwritable", "cannot write below /scratch")


def part(text: str, exit_code: int = 0, fault: str = "") -> Part:
    return Part(text=text, exit_code=exit_code, fault=fault)


def event_text(kind: str = "exited", **changes: object) -> str:
    fields: dict[str, object] = {"run": RUN, "kind": kind, "owner": "17_0@0123456789ab.1", "at": 5.5}
    return json.dumps(fields | changes)


def parts(**changes: Part) -> Answer:
    fields = {
        "place": part("root /scratch/c\nuser ada\nhost login\nnow 1700000000.5\nmarker 1"),
        "queue": part(printed.queue()),
        "spool": part(""),
        "runs": part(""),
        "batches": part(""),
        "images": part(""),
        "files": part(""),
    }
    return Answer(parts=fields | changes, complete=True, nonce=NONCE)


def test_a_whole_look_becomes_values() -> None:
    """Place, queue, events of spool and runs, batches, images and files."""
    tail = b64encode("d\u00e9j\u00e0\nvu".encode()).decode()
    manifest = json.dumps({"job": "train", "commit": "c", "runs": [RUN], "digests": ["d"], "keys": [""]})
    seen = read_observation(
        "hpc",
        parts(
            queue=part(printed.queue("17|RUNNING|1700000000|None|inst-0123456789ab")),
            spool=part(f"a.json {event_text(exit_code=3, phase='command', stderr=tail)}"),
            runs=part(f"claim {RUN} 17_0@0123456789ab.1\nstarted {RUN} {event_text('started')}\nnone other/x/1"),
            batches=part(f"batch b1 2 17 {manifest}\nbatch b2 1 - {{}}\nnone b3"),
            images=part("abc.sif 1234\n"),
            files=part("f00\nba2\n"),
        ),
        SLURM,
    )
    assert not seen.faults
    assert seen.facts is not None
    assert (seen.facts.root, seen.facts.initialised, seen.now) == ("/scratch/c", True, 1700000000.5)
    assert seen.queue is not None
    assert [job.job_id for job in seen.queue] == ["17"]
    events = {event.kind: event for event in seen.events or ()}
    assert set(events) == {EventKind.EXITED, EventKind.CLAIMED, EventKind.STARTED}
    exited = events[EventKind.EXITED]
    assert (exited.exit_code, exited.stderr_tail, exited.spool_file) == (3, "d\u00e9j\u00e0\nvu", "a.json")
    assert seen.batches is not None
    assert (seen.batches["b1"].job_id, seen.batches["b1"].tries, seen.batches["b1"].runs) == ("17", 2, (RUN,))
    assert (seen.batches["b2"].job_id, seen.batches["b2"].present) == (None, True)
    assert not seen.batches["b3"].present
    assert seen.images == {"abc": 1234}
    assert seen.files == {"f00", "ba2"}


@pytest.mark.parametrize("name", ["queue", "spool", "runs", "batches", "images"])
def test_a_part_that_failed_is_unknown_and_says_why(name: str) -> None:
    """A command that failed, or is garbled, leaves its part None with the reason, never empty."""
    for broken in (part("", 1, "Input/output error"), part("\x00 not | what { was asked for")):
        seen = read_observation("hpc", parts(**{name: broken}), SLURM)
        field = "events" if name in ("spool", "runs") else name
        if broken.exit_code == 0 and name in ("spool", "runs", "batches"):
            continue  # lines that nobody of ours wrote are passed over there
        assert getattr(seen, field) is None
        assert seen.faults[name]
        if broken.exit_code:
            assert seen.faults[name] == "Input/output error"


@pytest.mark.parametrize(
    "line",
    [
        "a.json {",
        "a.json []",
        "a.json null",
        "a.json 7",
        'a.json {"run": "x"}',
        f"a.json {event_text(kind='exploded')}",
        f"a.json {event_text(at='soon')}",
        f"a.json {event_text(exit_code='many')}",
        "a.json",
        "",
    ],
)
def test_a_spool_file_that_no_run_of_ours_wrote_is_passed_over(line: str) -> None:
    """Garbage in the spool hides nothing that stands beside it."""
    good = f"b.json {event_text(exit_code=0)}"
    seen = read_observation("hpc", parts(spool=part(f"{line}\n{good}")), SLURM)
    assert [event.spool_file for event in seen.events or ()] == ["b.json"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("batches", "batch b1 x 17 {}"),
        ("batches", "batch b1"),
        ("batches", "none"),
        ("images", "abc.sif"),
        ("images", "abc.sif many"),
        ("everything", "batch b1 x 17 {}"),
        ("place", "root /x\nnow 1700000000.N"),
    ],
)
def test_an_odd_line_of_a_part_makes_that_part_unknown(name: str, text: str) -> None:
    """Files that somebody has damaged cost what they tell of, not the look."""
    seen = read_observation("hpc", parts(**{name: part(text)}), SLURM)
    assert name in seen.faults
    assert seen.queue == ()


MANIFEST = {"runs": [RUN], "digests": ["abc"], "keys": [""], "job": "train", "commit": "c"}
DAMAGED_MANIFESTS = [
    "[]",
    "{",
    "7",
    json.dumps(MANIFEST | {"runs": 7}),
    json.dumps(MANIFEST | {"runs": ["../../x/1"]}),
    json.dumps(MANIFEST | {"digests": []}),
    json.dumps(MANIFEST | {"commit": None}),
]


@pytest.mark.parametrize("manifest", DAMAGED_MANIFESTS)
def test_a_damaged_manifest_costs_what_it_tells_of(manifest: str) -> None:
    """The submission is there all the same, with its job, and the others are read."""
    text = f"batch b1 2 17 {manifest}\nbatch b2 1 - {json.dumps(MANIFEST)}"
    seen = read_observation("hpc", parts(batches=part(text)), SLURM)
    batches = seen.batches or {}
    assert (batches["b1"].job_id, batches["b1"].tries, batches["b1"].runs) == ("17", 2, ())
    assert batches["b2"].runs == (RUN,)
    assert list(seen.unfit) == ["submissions/b1/manifest.json"]
    assert seen.faults == {}


@given(
    st.dictionaries(
        st.sampled_from(["run", "kind", "owner", "at", "exit_code", "host", "phase", "reason", "stderr", "outputs"]),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.text()
            | st.sampled_from([RUN, "exited", "17_0@abc.1", 1e300, 2**64, "\ud800", "AAAA"]),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
            max_leaves=6,
        ),
    )
)
def test_an_event_fits_or_is_named(value: dict[str, object]) -> None:
    """Whatever JSON a file holds: an event with values in range, or its path and what is wrong; nothing else."""
    text = f"a.json {json.dumps(value)}\ngood.json {event_text(exit_code=0)}"
    seen = read_observation("hpc", parts(spool=part(text)), SLURM)
    *mine, good = seen.events or ()
    assert good.exit_code == 0
    assert seen.unfit.keys() == (set() if mine else {"spool/a.json"})
    for event in mine:
        assert 0 <= event.at < 253_402_300_800
        assert event.exit_code is None or 0 <= event.exit_code <= 255
        (event.host + event.phase + event.reason + event.stderr_tail + event.owner).encode()
        assert len(event.stderr_tail) <= 8192


ENDLESS = ["[" * 200_000, '{"a":' * 100_000, '{"run": "' + "x" * 5_000_000 + '"}', "- it is empty"]


@pytest.mark.parametrize("text", ENDLESS, ids=["lists", "objects", "a text", "told by the cluster"])
def test_what_is_deep_or_large_costs_nothing(text: str) -> None:
    """Neither recursion nor memory in proportion: it is named and left."""
    seen = read_observation("hpc", parts(spool=part(f"a.json {text}")), SLURM)
    assert list(seen.unfit) == ["spool/a.json"]


def test_a_damaged_lock_is_passed_over() -> None:
    """One run's lock that cannot be read hides none of the others."""
    good = {"run": RUN, "job": "t", "key": "", "digest": "abc", "attempt": 1, "batch": "b", "index": 0, "commit": "c"}
    text = f"lock x/y/1 []\nlock x/y/2 {{}}\nlock x/y/3 {{\nlock {RUN} {json.dumps(good)}"
    seen = read_observation("hpc", parts(everything=part(text)), SLURM)
    assert [lock.run for lock in seen.scanned or ()] == [RUN]


def test_a_look_without_a_place_has_no_facts() -> None:
    """Nothing is known of a work directory that did not answer."""
    seen = read_observation("hpc", parts(place=part("", 1, "no such directory")), SLURM)
    assert seen.facts is None


def test_random_garbage_never_passes_for_an_answer() -> None:
    """Whatever bytes come back: an answer, Unknown parts, or an error of ours; never another exception."""
    chance = random.Random(7)
    whole = said("begin place") + b"root /x\n" + said("end place 0 ", "begin spool")
    whole += f"a.json {event_text(exit_code=0)}\n".encode() + said("end spool 0 ", "complete")
    for _ in range(2000):
        text = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            text[chance.randrange(len(text))] = chance.randrange(256)
        try:
            read_observation("hpc", read_answer(bytes(text), NONCE), SLURM)
        except StalledError:
            continue


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("verb", ["observe", "submit", "cancel", "stage", "read", "convert"])
def test_values_are_data_to_a_script(name: str, verb: str) -> None:
    """Whatever a value holds, the script that carries it is one that bash can read, and it stays a value."""
    nasty = "a'b\"c $(touch owned) `id`\n; rm -rf / #"
    script = compose(verb, scheduler_named(name), cluster=values.cluster(), instance="inst", variables={"value": nasty})
    checked = subprocess.run(["bash", "-n"], input=script.text, text=True, capture_output=True)
    assert checked.returncode == 0, checked.stderr
    assignment = next(line for line in script.text.splitlines() if line.startswith("value="))
    start = script.text.index(assignment)
    shown = subprocess.run(
        ["bash", "-c", script.text[start : script.text.index(remote_file(f"{verb}.sh"))] + 'printf %s "$value"'],
        text=True,
        capture_output=True,
        check=True,
    )
    assert shown.stdout == nasty


@pytest.mark.parametrize(
    ("workdir", "expected"),
    [
        ("auto", "/scratch/ada/controller"),
        ("~/work", "/home/ada/work"),
        ("$SCRATCH/x y", "/scratch/ada/x y"),
        ("${SCRATCH}/x", "/scratch/ada/x"),
        ("/plain", "/plain"),
    ],
)
def test_a_work_directory_is_resolved_on_the_cluster(workdir: str, expected: str) -> None:
    """auto, ~ and $NAME mean what they mean there."""
    environment = {"HOME": "/home/ada", "SCRATCH": "/scratch/ada", "PATH": "/usr/bin:/bin"}
    command = f"printf %s {root_expression(workdir)}"
    assert subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True).stdout == expected


def test_a_variable_that_is_not_set_there_is_an_error() -> None:
    """A work directory at the root of the file system is never meant."""
    command = f"printf %s {root_expression('$SCRATCH/x')}"
    done = subprocess.run(["bash", "-c", command], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
    assert done.returncode != 0
    assert "SCRATCH" in done.stderr
