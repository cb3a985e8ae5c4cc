"""The status branch's files."""

from __future__ import annotations

import json
import time
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from controller.model.conditions import Condition, ResourceStatus, TaskState, TaskStatus, Truth
from controller.model.documents import to_document
from controller.repository.report import README, name_in, obsolete, parse, part_of, path_of, render

TEXT = st.text(max_size=30)
OPTIONAL = st.none() | TEXT
TASKS = st.builds(
    TaskStatus,
    id=TEXT,
    state=st.sampled_from(TaskState),
    reason=TEXT,
    message=TEXT,
    job_id=OPTIONAL,
    account=TEXT,
    partition=TEXT,
    qos=TEXT,
    attempt=st.integers(0, 99),
    started=OPTIONAL,
    ended=OPTIONAL,
    exit_code=st.none() | st.integers(-64, 255),
    run_dir=OPTIONAL,
    digest=TEXT,
    stderr_tail=st.text(st.characters(blacklist_categories=()), max_size=30),
)
CONDITIONS = st.builds(
    Condition,
    type=st.sampled_from(["Ready", "Reconciling", "Stalled"]),
    status=st.sampled_from(Truth),
    reason=TEXT,
    message=TEXT,
    changed=TEXT,
)
STATUSES = st.builds(
    ResourceStatus,
    kind=st.sampled_from(["Cluster", "Image", "Job"]),
    name=st.text(min_size=1, max_size=20),
    digest=TEXT,
    commit=TEXT,
    path=TEXT,
    cluster=TEXT,
    conditions=st.lists(CONDITIONS, max_size=3).map(tuple),
    tasks=st.lists(TASKS, max_size=3).map(tuple),
    labels=st.dictionaries(TEXT, TEXT, max_size=3),
    details=st.dictionaries(TEXT, TEXT, max_size=3),
)
SETS = st.lists(STATUSES, max_size=5, unique_by=lambda status: status.key)


def job(name: str, state: TaskState = TaskState.SUCCEEDED, **fields: object) -> ResourceStatus:
    task = TaskStatus(id=name, state=state, reason="Because", message=f"why {name}")
    ready = Condition(type="Ready", status=Truth.FALSE, reason="Wait", message="later", changed="2024-05-01T00:00:00Z")
    values: dict[str, object] = {"kind": "Job", "name": name, "digest": "d", "commit": "c1"}
    return ResourceStatus(**(values | {"conditions": (ready,), "tasks": (task,)} | fields))  # type: ignore[arg-type]


def rendered(*statuses: ResourceStatus, commit: str = "c0ffee", **options: object) -> dict[str, bytes]:
    return render(statuses, spec_commit=commit, url="https://host/specs.git", **options)  # type: ignore[arg-type]


def readme(*statuses: ResourceStatus, **options: object) -> str:
    return rendered(*statuses, **options)[README].decode()  # type: ignore[arg-type]


@given(SETS)
def test_parse_is_the_inverse_of_render(statuses: list[ResourceStatus]) -> None:
    """Whatever a status holds comes back as it was published, and is published the same again."""
    back = parse(rendered(*statuses))
    ordered = sorted(statuses, key=lambda status: (status.kind, status.name))
    assert list(map(to_document, back)) == list(map(to_document, ordered))
    assert rendered(*back) == rendered(*statuses)


@given(SETS, st.randoms())
def test_order_and_repetition_do_not_matter(statuses: list[ResourceStatus], random: object) -> None:
    """The same statuses are the same bytes; what was written before changes nothing."""
    first = rendered(*statuses)
    assert rendered(*reversed(statuses)) == first
    assert rendered(*statuses, previous=first) == first


@given(SETS)
def test_paths_stay_in_their_directory(statuses: list[ResourceStatus]) -> None:
    """No name leads anywhere else, and each resource has a file of its own."""
    files = rendered(*statuses)
    assert len(files) == len(statuses) + 1
    for path in set(files) - {README}:
        assert path.count("/") == 2
        assert not {"", ".", ".."} & set(path.split("/"))
        assert name_in(path) is not None


def test_a_file_has_the_keys_of_the_json_output() -> None:
    """Scripts read these names: they are part of the product."""
    document = json.loads(rendered(job("train"))[path_of("Job", "train")])
    assert list(document) == [
        "kind", "name", "digest", "commit", "path", "cluster", "labels", "conditions", "tasks", "details",
    ]  # fmt: skip
    assert list(document["conditions"][0]) == ["type", "status", "reason", "message", "changed"]
    assert list(document["tasks"][0]) == [
        "id", "state", "reason", "message", "job_id", "attempt", "started", "ended", "exit_code", "run_dir",
        "digest", "stderr_tail", "results",
    ]  # fmt: skip


def test_a_file_without_labels_is_read() -> None:
    """Versions before labels were told of wrote none."""
    path = path_of("Job", "train")
    document = json.loads(rendered(job("train"))[path])
    del document["labels"]
    (status,) = parse({path: json.dumps(document).encode()})
    assert status.labels == {}
    assert status.name == "train"


def test_shards() -> None:
    """The directory is that of the name's hash."""
    assert path_of("Job", "train") == "jobs/11/train.json"
    assert path_of("Job", "../../x") == f"jobs/{path_of('Job', '../../x').split('/')[1]}/%2E.%2F..%2Fx.json"


def sweep(count: int, running: int = 0) -> ResourceStatus:
    """A job of ``count`` tasks, the first ``running`` of which run."""
    states = [TaskState.RUNNING] * running + [TaskState.WAITING] * (count - running)
    return job("s", tasks=tuple(TaskStatus(id=f"s/n={n}", state=state) for n, state in enumerate(states)))


def test_very_many_tasks_are_in_parts_and_come_back_whole() -> None:
    """What is read is what was written, whether it is one file or many."""
    for count in (1000, 1001, 2500):
        files = rendered(sweep(count))
        assert parse(files) == [sweep(count)]
        assert len(files) == 2 + (0 if count == 1000 else -(-count // 1000))


def test_one_changed_task_of_very_many_rewrites_its_part_only() -> None:
    """A pass over 100,000 tasks must not commit megabytes because one of them has started."""
    before = rendered(sweep(2500))
    after = rendered(sweep(2500, running=3), previous=before)
    file = path_of("Job", "s")
    assert {path for path in after if after[path] != before[path]} == {README, file, part_of(file, 0)}
    assert len(after[file]) < 2000


def test_parts_go_when_the_tasks_are_fewer() -> None:
    files = rendered(sweep(2500))
    fewer = rendered(sweep(1200), previous=files)
    file = path_of("Job", "s")
    assert obsolete(files, fewer) == [part_of(file, 2)]
    assert obsolete(files, rendered(sweep(7))) == [part_of(file, n) for n in range(3)]


def test_a_part_that_somebody_changed_or_removed_breaks_its_resource_only() -> None:
    """As any broken file: it says nothing, and the next pass writes it anew."""
    files = rendered(sweep(2500), job("other"))
    part = part_of(path_of("Job", "s"), 1)
    for broken in ({**files, part: b"[]\n"}, {path: data for path, data in files.items() if path != part}):
        assert [status.name for status in parse(broken)] == ["other"]


def test_another_commit_rewrites_only_what_it_changes() -> None:
    """A status that says the same of a newer commit keeps its file; README.md names the new commit."""
    before = rendered(job("a"), job("b"))
    after = rendered(job("a", commit="c2"), job("b", TaskState.RUNNING, commit="c2"), commit="c2", previous=before)
    changed = {path for path in after if after[path] != before[path]}
    assert changed == {README, path_of("Job", "b")}


def test_broken_files_are_passed_over() -> None:
    """What someone did to a file by hand does not stop the reader, and is written anew."""
    files = rendered(job("a"), job("b"), job("c"))
    good = files[path_of("Job", "c")]
    files[path_of("Job", "a")] = b"{"
    files[path_of("Job", "b")] = b'{"kind": "Job", "name": "b"}'
    files["jobs/00/x.json"] = good
    files["NOTE.md"] = b"mine"
    assert [status.name for status in parse(files)] == ["c"]
    again = rendered(job("a"), previous=files)
    assert again == rendered(job("a"))
    assert obsolete(files, again) == sorted({"jobs/00/x.json", path_of("Job", "b"), path_of("Job", "c")})


def test_readme_counts_first_and_then_what_needs_attention() -> None:
    """A person who looks for trouble finds it before anything else."""
    text = readme(job("good"), job("bad", TaskState.FAILED), job("lost", TaskState.UNKNOWN))
    order = [text.index(mark) for mark in ("| Failed | 1 | 1 |", "## Needs attention", "[bad]", "[lost]", "[good]")]
    assert order == sorted(order)
    assert "| Total | 3 | 3 |" in text
    assert "| Failed | Job | [bad](" + path_of("Job", "bad") + ") |  | Because | why bad | 1 Failed |" in text


def test_readme_of_a_stalled_resource_gives_the_reason() -> None:
    """Stalled comes before the states of tasks."""
    stalled = Condition(type="Stalled", status=Truth.TRUE, reason="BadAccount", message="no account", changed="")
    text = readme(job("x", TaskState.RUNNING, conditions=(stalled,)))
    assert "| Stalled | Job | [x]" in text
    assert "| BadAccount | no account | 1 Running |" in text


def test_readme_is_bounded() -> None:
    """Ten thousand resources give a page that a Git host still shows, trouble included, in little time."""
    statuses = [job(f"j{i:05}") for i in range(10_000)] + [job("bad", TaskState.FAILED)]
    start = time.perf_counter()
    text = readme(*statuses)
    assert time.perf_counter() - start < 5
    assert "[bad]" in text
    assert "And 9501 more" in text
    assert len(text) < 100_000


def test_readme_escapes_what_others_wrote() -> None:
    """Table cells, HTML, links and headings of a program's output are text."""
    task = TaskStatus(id="t", state=TaskState.FAILED, reason="a|b", message="<b>&\n# x [l](http://e) `c` ![i](x)")
    text = readme(job("x", tasks=(task,)), problems=["specs/a.yaml:1:2: <script>"])
    assert "a\\|b" in text
    assert "&lt;b&gt;&amp; \\# x \\[l\\](http:&#47;&#47;e) \\`c\\` \\!\\[i\\](x)" in text
    assert "- specs/a.yaml:1:2: &lt;script&gt;" in text


def test_readme_has_the_labels() -> None:
    """Behind the name, as the spec's own words: escaped like all that others wrote."""
    status = replace(job("train"), labels={"team": "vision", "note": "a|b<c>"})
    assert "/train.json) (note=a\\|b&lt;c&gt;, team=vision) |" in readme(status)


def test_readme_of_nothing() -> None:
    """An empty commit is told apart from a missing page."""
    assert "There are no resources in this commit." in readme()
    assert "c0ffee" in readme()


def test_same_commit_and_status_is_the_same_readme() -> None:
    """Nothing of the pass itself is in it: no time, no counter."""
    one = job("x")
    assert readme(one) == readme(replace(one))
