"""What images are made from, and what their identity covers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

from controller.model.images import Build, Image, RegistryImage, SifFile
from controller.specs.compile import load
from controller.specs.outside import (
    Answer,
    GitSource,
    PinnedDigest,
    PinnedTree,
    RegistrySource,
    Source,
    Unresolved,
)
from controller.specs.references import NotAReferenceError, reference_of
from controller.specs.templates import BUILTIN
from tests.unit.specs.trees import GOOD, MemoryTree, headlines

URL = "https://example.org/lab/images.git"
FILES = {"img/Dockerfile": "FROM scratch\n", "img/a": "1"}
TEMPLATE = {
    "templates/mine/template.yaml": "description: Mine\nvalues:\n"
    "  base: {description: Base, type: string, default: scratch}\n"
    "  words: {description: Words, type: list, default: []}\n"
    "  count: {description: Count, type: integer}\n",
    "templates/mine/Dockerfile.j2": "FROM {{ base }}\n",
}


class Outside:
    """Answers as given, and what was asked."""

    def __init__(self, answers: Mapping[Source, Answer]) -> None:
        self.answers = answers
        self.asked: list[Source] = []

    def __call__(self, sources: Iterable[Source]) -> Mapping[Source, Answer]:
        asked = list(sources)
        self.asked += asked
        return {source: self.answers[source] for source in asked}


def image(fields: str, files: Mapping[str, str] = FILES, outside: Outside | None = None) -> Image:
    tree = MemoryTree({**files, "a.yaml": f"kind: Image\nname: i\n{fields}\n"})
    result = load(tree, resolve=outside) if outside else load(tree)
    assert headlines(result) == []
    return result.images["i"]


def pinned(files: Mapping[str, str] = FILES, commit: str = "e" * 40) -> PinnedTree:
    return PinnedTree(tree=MemoryTree(files, commit=commit))


def test_identity_is_the_content_wherever_it_is_kept() -> None:
    """The same files in another repository, at another commit, below another directory, are the same image."""
    here = image("build: {context: img}")
    outside = Outside({GitSource(url=URL, ref="v1"): pinned({"x/Dockerfile": "FROM scratch\n", "x/a": "1"})})
    there = image(f"build: {{repo: '{URL}', ref: v1, context: x}}", {}, outside)
    assert there.identity == here.identity
    assert isinstance(there.origin, Build)
    assert (there.origin.context.repository, there.origin.context.commit) == (URL, "e" * 40)


def test_a_moved_ref_is_a_change() -> None:
    source = GitSource(url=URL)
    before = image(f"build: {{repo: '{URL}'}}", {}, Outside({source: pinned({"Dockerfile": "FROM a\n"})}))
    after = image(f"build: {{repo: '{URL}'}}", {}, Outside({source: pinned({"Dockerfile": "FROM b\n"})}))
    assert before.identity != after.identity


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12345678\n"


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_what_is_not_fetched_is_said(where: str) -> None:
    """Submodules below the context and Git LFS: the build is not refused, its status says what is missing."""
    files = {"ctx/Dockerfile": "FROM scratch\n", "ctx/big.bin": POINTER, "other.bin": POINTER}
    modules = ["b", "ctx/libs/a"]
    said = (
        "submodules are not fetched and arrive empty: ctx/libs/a; "
        "files in Git LFS are not fetched and arrive as pointers: ctx/big.bin"
    )
    if where == "here":
        spec = "kind: Image\nname: x\nbuild: {context: ctx}\n"
        desired = load(MemoryTree({**files, "x.yaml": spec}, submodules=modules))
        assert desired.images["x"].notice == said
        (warning,) = desired.warnings
        assert (warning.path, warning.line, warning.message, warning.resource) == ("x.yaml", 3, said, "Image/x")
        assert "git lfs" in warning.remedy
        assert "git subtree" in warning.remedy
    else:
        pin = PinnedTree(tree=MemoryTree(files, commit="e" * 40, submodules=modules))
        outside = Outside({GitSource(url=URL): pin})
        assert image(f"build: {{repo: '{URL}', context: ctx}}", {}, outside).notice == said


def test_a_context_that_is_not_there_says_why() -> None:
    """A context that is a submodule, or a Dockerfile that is a pointer, cannot be built: the error says what to do."""
    spec = "kind: Image\nname: x\nbuild: {context: libs/a}\n---\nkind: Image\nname: y\nbuild: {context: y}\n"
    desired = load(MemoryTree({"x.yaml": spec, "y/Dockerfile": POINTER}, submodules=["libs/a"]))
    first, second = desired.problems
    assert first.message == 'the build context "libs/a" is a submodule, whose files are not in this commit'
    assert "git subtree" in first.remedy
    assert second.message.startswith('"Dockerfile" in the build context "y" is kept in Git LFS')


def test_all_that_is_outside_is_asked_for_in_one_call() -> None:
    answers: dict[Source, Answer] = {
        GitSource(url=URL): pinned({"Dockerfile": ""}),
        RegistrySource(reference="docker.io/library/debian:trixie"): PinnedDigest(digest="sha256:" + "a" * 64),
    }
    outside = Outside(answers)
    load(
        MemoryTree(
            {
                "a.yaml": f"kind: Image\nname: a\nbuild: {{repo: '{URL}'}}\n---\n"
                "kind: Image\nname: b\nfrom: debian:trixie\n---\n"
                f"kind: Image\nname: c\nfrom: debian@sha256:{'b' * 64}\n"
            }
        ),
        resolve=outside,
    )
    assert sorted(map(str, outside.asked)) == sorted(map(str, answers))


def test_what_cannot_be_resolved_stops_only_itself() -> None:
    source = GitSource(url=URL, ref="gone")
    tree = MemoryTree({"a.yaml": GOOD + f"---\nkind: Image\nname: i\nbuild: {{repo: '{URL}', ref: gone}}\n"})
    answers = Outside({source: Unresolved(message=f"{URL}: there is no gone", remedy="name another")})
    result = load(tree, resolve=answers)
    assert headlines(result) == [f"a.yaml:13:15: {URL}: there is no gone"]
    assert "good" in result.jobs
    assert result.broken == {"Image/i"}


def test_what_cannot_be_resolved_may_pass_and_so_may_what_needs_it() -> None:
    """Unlike an image that is wrong as it is written."""
    source = RegistrySource(reference="docker.io/library/debian:trixie")
    specs = "kind: Image\nname: i\nfrom: debian:trixie\n---\n" + in_image("one", "i", after="two")
    specs += "---\n" + in_image("two", "i") + "---\nkind: Image\nname: wrong\n---\n" + in_image("three", "wrong")
    result = load(
        MemoryTree({"a.yaml": GOOD + "---\n" + specs}), resolve=Outside({source: Unresolved(message="no answer")})
    )
    assert {problem.resource: problem.passing for problem in result.problems} == {
        "Image/i": True,
        "Job/one": True,
        "Job/two": True,
        "Image/wrong": False,
        "Job/three": False,
    }
    said = {problem.resource: (problem.message, problem.remedy) for problem in result.problems}
    assert said["Job/two"] == ("needs Image/i, whose source cannot be had now", "it is asked for again by itself")
    assert said["Job/one"][0].startswith("needs Job/two, whose source")


def in_image(name: str, image: str, after: str = "") -> str:
    needs = f"needs: [{after}]\n" if after else ""
    return f"kind: Job\nname: {name}\ncluster: hpc\nimage: {image}\ncommand: x\n{needs}"


def test_offline_what_lies_outside_counts_as_valid() -> None:
    files = f"kind: Image\nname: a\nbuild: {{repo: '{URL}', dockerfile: x}}\n---\nkind: Image\nname: b\nfrom: debian\n"
    job = "---\nkind: Job\nname: in-a\ncluster: hpc\nimage: a\ncommand: x\n---\nkind: Cluster\nname: hpc\n"
    result = load(MemoryTree({"a.yaml": files + "\n" + job}))
    assert headlines(result) == []
    assert set(result.images) == {"a", "b"}
    assert "in-a" in result.jobs


def test_an_image_of_a_registry_is_its_digest() -> None:
    digest = "sha256:" + "a" * 64
    by_digest = image(f"from: docker://ghcr.io/lab/x@{digest}")
    assert by_digest.origin == RegistryImage(reference=f"ghcr.io/lab/x@{digest}", digest=digest)
    source = RegistrySource(reference="docker.io/lab/x:latest")
    by_tag = image("from: lab/x", outside=Outside({source: PinnedDigest(digest=digest)}))
    assert by_tag.origin == RegistryImage(reference="docker.io/lab/x:latest", digest=digest)
    assert by_tag.identity == by_digest.identity
    engine = PinnedDigest(digest="sha256:" + "e" * 64, on_engine=True, known_as=digest)
    assert image("from: lab/x", outside=Outside({source: engine})).identity == by_digest.identity
    other = PinnedDigest(digest="sha256:" + "e" * 64, on_engine=True)
    assert image("from: lab/x", outside=Outside({source: other})).identity != by_digest.identity


def test_a_sif_is_its_path_and_hash() -> None:
    plain = image("sif: $SCRATCH/images/torch.sif")
    assert plain.origin == SifFile(path="$SCRATCH/images/torch.sif")
    assert image("sif: {path: $SCRATCH/images/torch.sif}").identity == plain.identity
    hashed = image(f"sif: {{path: $SCRATCH/images/torch.sif, sha256: {'a' * 64}}}")
    assert hashed.identity != plain.identity
    assert image("sif: ~/torch.sif").identity != plain.identity


def test_rebuild_is_another_identity_and_without_it_nothing_changes() -> None:
    plain = image("build: {context: img}")
    one, two = (image(f"build: {{context: img}}\nrebuild: {text}") for text in ("2025-03-01", "2"))
    assert len({plain.identity, one.identity, two.identity}) == 3
    assert image('build: {context: img}\nrebuild: "2"').identity == two.identity


def test_a_template_of_the_repository() -> None:
    """Its files and its values are the identity; a value that is its default changes nothing."""
    plain = image("build: {template: templates/mine, values: {count: 3}}", TEMPLATE)
    assert isinstance(plain.origin, Build)
    assert plain.origin.values == {"base": "scratch", "count": 3, "words": ()}
    assert {entry.path for entry in plain.origin.context.entries} == {"template.yaml", "Dockerfile.j2"}
    said = image("build: {template: ./templates/mine/, values: {count: 3, base: scratch}}", TEMPLATE)
    assert said.identity == plain.identity
    assert image("build: {template: templates/mine, values: {count: 4}}", TEMPLATE).identity != plain.identity
    changed = {**TEMPLATE, "templates/mine/Dockerfile.j2": "FROM {{ base }}\n# other\n"}
    assert image("build: {template: templates/mine, values: {count: 3}}", changed).identity != plain.identity


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("{template: templates/mine}", 'the template needs the value "count": Count'),
        ("{template: templates/mine, values: {count: [a]}}", "build.values.count must be an integer, not a list"),
        ("{template: templates/mine, values: {count: 1, words: x}}", "build.values.words must be a list of strings"),
        ("{template: templates/mine, values: {count: 1}, dockerfile: Other}", 'there is no "Other" in the template'),
    ],
)
def test_values_that_do_not_fit(fields: str, message: str) -> None:
    (line,) = headlines(load(MemoryTree({**TEMPLATE, "a.yaml": f"kind: Image\nname: i\nbuild: {fields}\n"})))
    assert message in line


def test_a_template_that_says_nothing_usable() -> None:
    files = {**TEMPLATE, "templates/mine/template.yaml": "description: x\nvalues: {a: {type: text, description: y}}\n"}
    files["a.yaml"] = "kind: Image\nname: i\nbuild: {template: templates/mine}\n"
    (line,) = headlines(load(MemoryTree(files)))
    assert "templates/mine/template.yaml:2:20" in line
    assert '"text"' in line


def test_a_built_in_template_needs_nothing_of_the_repository() -> None:
    made = image("build: {template: python, values: {requirements: [numpy==2.1]}}", {})
    assert isinstance(made.origin, Build)
    assert made.origin.context.repository == f"{BUILTIN}python"
    assert made.origin.values["requirements"] == ("numpy==2.1",)


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("debian", "docker.io/library/debian:latest"),
        ("docker://debian:trixie-slim", "docker.io/library/debian:trixie-slim"),
        ("lab/x:1.0", "docker.io/lab/x:1.0"),
        ("index.docker.io/lab/x", "docker.io/lab/x:latest"),
        ("localhost:5000/a/b/c:d", "localhost:5000/a/b/c:d"),
        ("localhost/x", "localhost/x:latest"),
        ("ghcr.io/lab/x:1@sha256:" + "a" * 64, "ghcr.io/lab/x@sha256:" + "a" * 64),
        ("[::1]:5000/x", "[::1]:5000/x:latest"),
    ],
)
def test_names_of_images_are_read_as_docker_reads_them(text: str, full: str) -> None:
    assert str(reference_of(text)) == full


@pytest.mark.parametrize("text", ["", "docker://", "Debian", "x:", "x@sha256:abc", "a b", "x//y", "https://x/y", "-x"])
def test_what_names_no_image(text: str) -> None:
    with pytest.raises(NotAReferenceError):
        reference_of(text)
