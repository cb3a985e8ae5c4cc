"""The ledger on the status branch: shards, parts, the index, and what becomes of damage."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.model.conditions import TaskState
from controller.model.digests import digest_of
from controller.model.errors import StalledError
from controller.model.ledger import End, line_of, merged, read_end, shard_of
from controller.model.runs import Run
from controller.repository.ledgerfiles import INDEX, LINES_IN_PART, LedgerFiles
from controller.repository.mirror import Mirror
from controller.repository.statusbranch import BRANCH, StatusBranch


def end(job: str, number: int = 0, state: TaskState = TaskState.SUCCEEDED, **facts: object) -> End:
    """Return how a run of a job ended."""
    run = Run(job=job, key=f"n={number}", digest=digest_of([job, number]), attempt=1, cluster="hpc", commit="c" * 40)
    made = End(run=run, instance="inst", state=state, reason=str(state), run_dir=f"/w/inst/runs/{run.id}", ended=5)
    return replace(made, **facts)  # type: ignore[arg-type]


@dataclass
class Site:
    """A repository, and controllers that write its status branch."""

    directory: Path

    def __post_init__(self) -> None:
        self.bare = self.directory / "specs.git"
        subprocess.run(["git", "init", "-q", "--bare", str(self.bare)], check=True)
        self.mirrors: dict[str, Mirror] = {}

    def mirror(self, who: str = "ada") -> Mirror:
        return self.mirrors.setdefault(who, Mirror(self.directory / f"{who}.git", str(self.bare)))

    def write(self, ends: Iterable[End], who: str = "ada", *, fetched: bool = True, accept: bool = False) -> set[str]:
        """Add entries; return the files that the commit changed."""
        mirror = self.mirror(who)
        if fetched:
            mirror.fetch(BRANCH)
        changed: dict[str, bytes] = {}

        def added(tip: str | None) -> Mapping[str, bytes]:
            changed.clear()
            changed.update(LedgerFiles(mirror, tip).with_ends(ends, {}, accept=accept))
            return changed

        branch = StatusBranch(mirror, sleep=lambda wait_s: None)
        branch.write({}, message="Ends", added=added)
        return set(changed)

    def put(self, files: Mapping[str, bytes | None]) -> None:
        """Change files by hand."""
        mirror = self.mirror("hand")
        mirror.fetch(BRANCH)
        gone = [path for path, data in files.items() if data is None]
        there = {path: data for path, data in files.items() if data is not None}
        StatusBranch(mirror).write(there, message="By hand", remove=gone)

    def files(self) -> dict[str, bytes]:
        mirror = self.mirror("reader")
        mirror.fetch(BRANCH)
        return dict(StatusBranch(mirror).read())

    def read(self) -> tuple[set[str], dict[str, str]]:
        """Return the lines that a new controller reads, and what is damaged."""
        mirror = self.mirror("reader")
        mirror.fetch(BRANCH)
        found = LedgerFiles(mirror, mirror.tip(BRANCH)).read({})
        return {line_of(each) for each in found.ends}, found.damaged


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def lines(ends: Iterable[End]) -> set[str]:
    return set(map(line_of, ends))


names = st.text(max_size=8).filter(lambda text: "\0" not in text)


@given(
    job=names,
    key=names,
    state=st.sampled_from([TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED]),
    message=names,
    run_dir=st.none() | st.just("/elsewhere/x"),
    results=st.dictionaries(names, names, max_size=2),
    exit_code=st.none() | st.integers(0, 255),
)
def test_an_entry_is_one_line_and_is_read_again(
    job: str, key: str, state: TaskState, message: str, run_dir: str | None, results: dict[str, str], exit_code: int
) -> None:
    """Whatever text is in it."""
    run = Run(job=job, key=key, digest="d" * 64, attempt=2, cluster="hpc", commit="c")
    made = End(
        run=run, instance="i", state=state, reason=str(state), message=message, run_dir=run_dir, results=results,
        exit_code=exit_code,
    )  # fmt: skip
    line = line_of(made)
    assert line.isascii()
    assert line.isprintable()
    assert read_end(line) == made


def test_of_two_entries_for_a_run_success_counts() -> None:
    """In either order."""
    good, bad = end("a"), end("a", state=TaskState.FAILED)
    for entries in ([good, bad], [bad, good]):
        assert list(merged(entries).values()) == [good]


def test_only_what_changes_is_written(site: Site) -> None:
    """One end is the last part of its shard and the index; no end is no commit."""
    ends = [end("big", number) for number in range(2 * LINES_IN_PART + 3)]
    site.write([*ends, end("other")])
    parts = [f"ledger/{shard_of('big')}/{number:04}.jsonl" for number in range(3)]
    assert set(site.files()) == {INDEX, *parts, f"ledger/{shard_of('other')}/0000.jsonl"}
    before = site.files()
    assert site.write([end("big", 9999)]) == {parts[2], INDEX}
    after = site.files()
    assert after[parts[2]].startswith(before[parts[2]])
    assert {path for path in after if after[path] != before[path]} == {parts[2], INDEX}
    assert site.write([end("big", 9999)]) == set()
    assert site.write([]) == set()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    writes=st.lists(
        st.tuples(
            st.sampled_from(["ada", "bob", "eve"]),
            st.booleans(),
            st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=6),
        ),
        max_size=8,
    )
)
def test_controllers_that_overtake_each_other_lose_no_entry(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[str, bool, list[tuple[str, int]]]]
) -> None:
    """Each may not have seen what the others wrote when it begins to write."""
    site = Site(tmp_path_factory.mktemp("site"))
    written: set[str] = set()
    for who, fetched, rows in writes:
        ends = [end(job, number) for job, number in rows]
        site.write(ends, who, fetched=fetched)
        written |= lines(ends)
    assert site.read() == (written, {})


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _first_line(data: bytes) -> bytes:
    return data.split(b"\n")[0] + b"\n"


def _conflict(data: bytes) -> bytes:
    return b"<<<<<<< HEAD\n" + data + b"=======\n>>>>>>> theirs\n"


DAMAGES: list[Callable[[bytes], bytes | None]] = [
    lambda data: None,
    lambda data: b"",
    lambda data: b"\xff\x00",
    _cut,
    _first_line,
    _conflict,
]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("index", [None, *DAMAGES])
def test_damage_is_made_good_from_history(
    site: Site, damage: Callable[[bytes], bytes | None], index: Callable[[bytes], bytes | None] | None
) -> None:
    """Of one shard, with or without the index; the other shard is read in any case."""
    ends = [*(end("a", number) for number in range(5)), end("b")]
    site.write(ends)
    before = site.files()
    part = f"ledger/{shard_of('a')}/0000.jsonl"
    site.put({part: damage(before[part]), **({INDEX: index(before[INDEX])} if index else {})})
    assert site.read() == (lines(ends), {})
    site.write([])
    assert site.files() == before


def test_what_is_added_after_damage_is_not_lost(site: Site) -> None:
    """By a version or a person that knows of no index."""
    site.write([end("a", 1)])
    part = f"ledger/{shard_of('a')}/0000.jsonl"
    site.put({part: f"{line_of(end('a', 2))}\n".encode()})
    both = lines([end("a", 1), end("a", 2)])
    assert site.read() == (both, {})
    site.write([end("a", 3)])
    assert site.read() == (both | lines([end("a", 3)]), {})


def test_damage_for_good_is_said_until_it_is_accepted(site: Site) -> None:
    """Nothing else is lost meanwhile, and new ends of that shard are kept."""
    site.write([end("a", 1), end("a", 2), end("b")])
    files = site.files()
    part = f"ledger/{shard_of('a')}/0000.jsonl"
    fresh = Site(site.directory / "fresh") if (site.directory / "fresh").mkdir() is None else site
    fresh.put({**files, part: _first_line(files[part])})
    kept = lines([end("a", 1), end("b")])
    assert fresh.read() == (kept, {shard_of("a"): part})
    fresh.write([end("a", 3)])
    assert fresh.read() == (kept | lines([end("a", 3)]), {shard_of("a"): part})
    fresh.write([], accept=True)
    assert fresh.read() == (kept | lines([end("a", 3)]), {})


def test_an_index_of_a_later_version_is_refused(site: Site) -> None:
    """What it means is not known here."""
    site.write([end("a")])
    site.put({INDEX: b'{"version": 2, "parts": {}}'})
    with pytest.raises(StalledError, match="upgrade"):
        site.read()


def test_a_hundred_thousand_entries_are_compact(site: Site) -> None:
    """Text of less than 400 bytes an entry, and every part within reach of a Git host's web pages."""
    ends = [end(f"sweep{number // 1000}", number, results={"loss": "0.5"}) for number in range(100_000)]
    site.write(ends)
    files = site.files()
    assert sum(map(len, files.values())) < 400 * len(ends)
    assert max(map(len, files.values())) < 400 * LINES_IN_PART
    assert len(site.read()[0]) == len(ends)
    assert len(site.write([end("sweep7", 999_999)])) == 2
