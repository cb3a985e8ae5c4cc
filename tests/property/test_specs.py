"""What holds for every commit, whatever is in it."""

from __future__ import annotations

import json
import string
import subprocess

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.model.resources import Desired
from controller.specs import lookups
from controller.specs.filesets import EscapeError, Files
from controller.specs.parse import parse_blob
from controller.specs.quantities import duration_s, memory_mib, walltime_s
from controller.specs.verdicts import from_bytes, to_bytes
from controller.specs.yaml_loader import load as load_yaml
from tests.effort import examples
from tests.unit.specs.bad_inputs import INPUTS
from tests.unit.specs.trees import GOOD, Link, MemoryTree, desired

CLUSTER = "kind: Cluster\nname: here\nscheduler: local\n"
calm = settings(max_examples=examples(100))
names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)
without_lookups = texts.filter(lambda text: "${{" not in text)
commands = without_lookups.filter(str.strip)
environments = st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True), without_lookups, max_size=3)
file_names = st.text(string.ascii_lowercase + "/", min_size=1, max_size=8).map(lambda t: "src/" + t.replace("/", "_"))
contents = st.dictionaries(file_names, st.binary(max_size=20), min_size=1, max_size=4)


def dump(value: object) -> str:
    """Return JSON as YAML has it: libyaml refuses the surrogate pairs with which JSON writes astral characters."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(
        c if " " <= c <= "~" else f"\\u{ord(c):04x}" if c < "\U00010000" else f"\\U{ord(c):08x}" for c in text
    )


def job(name: str, command: str, env: dict[str, str], **more: object) -> str:
    return dump({"kind": "Job", "name": name, "cluster": "here", "command": command, "env": env, **more})


def digests(result: Desired) -> dict[str, str]:
    assert result.problems == ()
    return {name: each.tasks[0].digest for name, each in result.jobs.items()}


@calm
@given(
    st.dictionaries(names, st.tuples(commands, environments), min_size=1, max_size=5), st.randoms(use_true_random=False)
)
def test_neither_order_nor_place_of_files_matters(jobs: dict[str, tuple[str, dict[str, str]]], random: object) -> None:
    documents = [CLUSTER, *(job(name, *rest) for name, rest in jobs.items())]
    in_one = {"all.yaml": "\n---\n".join(documents)}
    random.shuffle(documents)  # type: ignore[attr-defined]
    in_many = {f"d{number % 2}/f{number}.yml": text for number, text in enumerate(documents)}
    assert digests(desired(in_one)) == digests(desired(in_many))
    assert set(digests(desired(in_one))) == set(jobs)


@calm
@given(commands, environments, contents, st.integers(1, 64), st.integers(-9, 9), without_lookups)
def test_what_does_not_change_a_digest(
    command: str, env: dict[str, str], files: dict[str, bytes], cpus: int, priority: int, description: str
) -> None:
    plain = {"c.yaml": CLUSTER, "j.yaml": job("j", command, env, files=["src"]), **files}
    more = job("j", command, env, files=["src"], resources={"cpus": cpus}, priority=priority, labels={"a": "b"})
    described = f"# a comment\n{more[:-1]}, description: {dump(description)}}}\n"
    assert digests(desired(plain)) == digests(desired({**plain, "j.yaml": described, "other.txt": b"x"}))


@calm
@given(st.tuples(commands, environments, contents), st.tuples(commands, environments, contents))
def test_what_changes_a_digest(
    one: tuple[str, dict[str, str], dict[str, bytes]], two: tuple[str, dict[str, str], dict[str, bytes]]
) -> None:
    def digest(command: str, env: dict[str, str], files: dict[str, bytes]) -> str:
        return digests(desired({"c.yaml": CLUSTER, "j.yaml": job("j", command, env, files=["src"]), **files}))["j"]

    same = (one[0].rstrip("\n"), *one[1:]) == (two[0].rstrip("\n"), *two[1:])
    assert (digest(*one) == digest(*two)) == same


@settings(max_examples=examples(60))
@given(st.lists(texts, min_size=1, max_size=3))
def test_a_quoted_value_reaches_the_program_as_it_is(values: list[str]) -> None:
    known = {f"v.n{number}": value for number, value in enumerate(values)}
    command = "printf '%s\\0' " + " ".join(f"${{{{ {name} }}}}" for name in known)
    done = subprocess.run(["sh", "-c", lookups.fill(command, known)], capture_output=True, check=True)
    assert done.stdout.decode().split("\0")[:-1] == values


@calm
@given(st.binary(max_size=300))
def test_bytes_never_crash_and_never_spoil_another_file(data: bytes) -> None:
    result = desired({"a.yaml": GOOD, "b.yaml": data})
    assert "good" in result.jobs or "Job/good" in result.broken


PUNCTUATION = [":", "-", "?", "[", "]", "{", "}", ",", "#", "&a ", "*a", "!!str ", "|", ">", "'", '"', "%", "@", "`"]
WORDS = ["kind", "name", "Job", "Cluster", "Image", "null", "1", "\\", "é", "${{", "}}", "<<", "~", "---", "..."]
FIELDS = [
    "cluster: ",
    "command: ",
    "env: ",
    "build: ",
    "resources: ",
    "files: ",
    "apiVersion: ",
    "kind: Job\nname: x\n",
]
SPACE = ["\n", "\n---\n", "\t", "\r", "  ", " ", "\x00", "\ufeff", "\u2028"]
YAML_PIECES = st.sampled_from(PUNCTUATION + WORDS + FIELDS + SPACE)
SOME_FIELDS = [
    "kind",
    "name",
    "cluster",
    "image",
    "command",
    "env",
    "files",
    "resources",
    "labels",
    "build",
    "workdir",
    "x",
]


@calm
@given(st.lists(YAML_PIECES, max_size=40).map("".join))
def test_text_that_is_almost_yaml_never_crashes(text: str) -> None:
    result = desired({"a.yaml": GOOD, "b.yaml": text})
    assert "good" in result.jobs or "Job/good" in result.broken
    for problem in result.problems:
        assert problem.line <= text.count("\n") + len(text) + 2
        assert problem.message.isprintable()


def scalars() -> st.SearchStrategy[object]:
    return st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10)


@calm
@given(
    st.dictionaries(
        st.sampled_from(SOME_FIELDS),
        st.recursive(
            scalars() | names,
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["cpus", "gpus", "count", "context", "A", "1", "extra"]), inner, max_size=3
                )
            ),
            max_leaves=6,
        ),
    ),
    st.sampled_from(["Job", "Image", "Cluster"]),
)
def test_any_value_in_any_field_is_valid_or_told(value: dict[str, object], kind: str) -> None:
    text = json.dumps({**value, "kind": kind, "name": "some"}).replace("NaN", ".nan").replace("Infinity", ".inf")
    result = desired({"a.yaml": text, "src/x": "1"})
    held = {"Job": result.jobs, "Image": result.images, "Cluster": result.clusters}
    loaded = {f"{each}/some" for each, resources in held.items() if resources}
    assert f"{kind}/some" in loaded | result.broken
    assert bool(result.problems) == bool(result.broken)


@calm
@given(st.sampled_from(sorted(INPUTS)) | st.binary(max_size=50))
def test_a_kept_verdict_is_the_same_verdict(case: str | bytes) -> None:
    data = INPUTS[case][0] if isinstance(case, str) else case
    verdict = parse_blob(data.encode() if isinstance(data, str) else data[:2000])
    assert from_bytes(to_bytes(verdict)) == verdict


@calm
@given(st.binary(max_size=40))
def test_whatever_stands_in_a_kept_verdict_is_refused_or_read(data: bytes) -> None:
    from_bytes(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(st.characters(exclude_categories=["Cs"])),
    # A key may have 1,024 characters as it is written (YAML 1.2.2, 7.4.2), and up to ten stand for one of these.
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=100), inner)
    ),
    max_leaves=12,
)


@calm
@given(json_values)
def test_json_reads_as_yaml(value: object) -> None:
    """YAML 1.2 takes JSON as it is, but for the merge key, which is refused wherever it is plain."""
    (document,) = load_yaml(dump(value).encode()).documents or [None]
    assert document is not None
    assert document.value == value


@calm
@given(st.integers(1, 3650 * 86400))
def test_durations_round_trip(seconds: int) -> None:
    days, rest = divmod(seconds, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, left = divmod(rest, 60)
    assert duration_s(f"{seconds}s") == seconds
    assert duration_s(f"{days}d{hours}h{minutes}m{left}s") == seconds
    assert walltime_s(f"{days}-{hours:02}:{minutes:02}:{left:02}") == seconds
    assert walltime_s(f"{days * 24 + hours}:{minutes}:{left}") == seconds
    assert walltime_s(f"{seconds // 60}:{left}") == seconds


@calm
@given(st.integers(1, 1 << 19))
def test_memory_round_trips(gib: int) -> None:
    assert memory_mib(f"{gib}G") == memory_mib(gib * 1024) == memory_mib(f"{gib << 20}K") == gib * 1024


@calm
@given(
    st.dictionaries(
        st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map("/".join),
        st.lists(st.sampled_from(["..", "a", "b", "c", ".", ""]), min_size=1, max_size=5).map("/".join),
        max_size=6,
    )
)
def test_a_link_is_refused_exactly_if_following_it_leaves_the_tree(links: dict[str, str]) -> None:
    """Against a second way of following links: a path of parts not yet walked, as the kernel keeps it."""
    files = {path: target for path, target in links.items() if not any(o.startswith(path + "/") for o in links)}
    tree = MemoryTree({"top/" + path: Link(target.encode()) for path, target in files.items()})
    every = {"top/" + path: target for path, target in files.items()}
    for path in every:
        refused = False
        try:
            Files(tree).select([path])
        except EscapeError:
            refused = True
        assert refused == Walk(every).leaves(path)


class Walk:
    """Follows links by recursion: each target is walked from where its link stands."""

    def __init__(self, links: dict[str, str]) -> None:
        self.links = links
        self.hops = 0

    def leaves(self, path: str) -> bool:
        try:
            self.go([], path)
        except PermissionError:
            return True
        except RecursionError:
            return False
        return False

    def go(self, here: list[str], path: str) -> list[str]:
        for part in path.split("/"):
            if part == "..":
                if not here:
                    raise PermissionError
                here = here[:-1]
            elif part not in ("", "."):
                target = self.links.get("/".join([*here, part]))
                if target is None:
                    here = [*here, part]
                    continue
                self.hops += 1
                if self.hops > 41:
                    raise RecursionError
                if target.startswith("/"):
                    raise PermissionError
                here = self.go(here, target)
        return here
