"""Specs and files as people have them: labels, lists, files that are too large, names that are no text."""

from __future__ import annotations

from tests.e2e.harness import Project, documents, job


def test_labels_select_and_change_nothing(project: Project) -> None:
    """Labels stand in the JSON of every kind, ``-l`` picks by them, and a new label runs nothing again."""
    jobs = {
        "one": {"team": "a", "stage": "test"},
        "two": {"team": "a", "stage": "prod"},
        "three": {"team": "b"},
    }
    flow = {
        "kind": "Workflow",
        "name": "flow",
        "cluster": "here",
        "labels": {"team": "c"},
        "steps": {"s": {"command": "true"}},
    }
    here = project.here(labels={"site": "x"})
    specs = documents(here, flow, *(job(name, "true", labels=labels) for name, labels in jobs.items()))
    project.commit({"a.yaml": specs})
    project.settle()

    def picked(*selectors: str) -> list[str]:
        argv = [word for selector in selectors for word in ("-l", selector)]
        return [item["name"] for item in project.controller("status", "-o", "json", *argv, expect=0).json]

    assert {key: item["labels"] for key, item in project.resources().items()} == {
        **{f"Job/{name}": labels for name, labels in jobs.items()},
        "Workflow/flow": {"team": "c"},
        "Cluster/here": {"site": "x"},
    }
    assert picked("team=a") == ["one", "two"]
    assert picked("team=a,stage!=test") == picked("team=a", "stage!=test") == ["two"]
    assert picked("team in (b, c)") == ["three", "flow"]
    assert picked("stage,team notin (b)") == ["one", "two"]
    assert picked("!team") == ["here"]
    assert picked("team=z") == []
    assert "labels: stage=test,team=a" in project.controller("status", "one", expect=0).out
    assert "stage=test,team=a" in project.controller("status", "-o", "wide", expect=0).out
    assert "KEY notin (A,B)" in project.controller("status", "-l", "team in a", expect=2).err

    before = project.tasks()
    project.commit({"a.yaml": specs.replace("team: b", "team: z")})
    project.settle()
    assert project.tasks() == before
    assert picked("team=z") == ["three"]


def test_a_file_that_is_too_large_lists_nothing_that_is_not_there(project: Project) -> None:
    """The file is named with what to do; no resource is made up from its text, and what needs it says that it waits."""
    filler = "".join(
        f"---\nkind: Job\nname: big-{n}\ncluster: far\ncommand: echo\n# {'x' * 4000}\n" for n in range(300)
    )
    large = filler + "---\nkind: Cluster\nname: far\nscheduler: local\ncontainers: none\n"
    project.commit({"a.yaml": documents(project.here(), job("fine", "true")), "large.yaml": large})
    project.commit({"b.yaml": documents(job("user", "true", cluster="far"))})
    project.passes_until("the other runs", lambda: project.state("fine") == "Succeeded", expect=1)
    assert project.names() == ["Cluster/here", "Job/fine", "Job/user"]
    status, reason, message = project.condition("Job", "user", "Stalled")
    assert (status, reason) == ("True", "SpecInvalid")
    assert 'Cluster "far" may stand in large.yaml, which could not be read' in message
    said = project.controller("validate", str(project.clone), "-o", "json", expect=1).json
    assert [(each["line"], each["resource"]) for each in said["problems"]] == [(3, "Job/user"), (0, "")]
    assert "larger than 1 MiB" in said["problems"][1]["message"]


def test_one_error_does_not_hide_another(project: Project) -> None:
    """A misspelt field and a cluster that there is not, in one document, are told together; a list of specs as well."""
    bad = "kind: Job\nname: bad\ncluster: hree\ncomand: echo\ncommand: echo\nenv: {ACCOUNT: 012}\n"
    listed = "- kind: Job\n  name: one\n  cluster: here\n  command: echo\n"
    project.commit({"a.yaml": documents(project.here()), "bad.yaml": bad, "list.yaml": listed})
    out = project.controller("validate", ".", expect=1, where=project.clone).out
    assert 'bad.yaml:3:10: there is no Cluster named "hree"; did you mean "here"?' in out
    assert 'bad.yaml:4:1: unknown field "comand"; did you mean "command"?' in out
    assert 'bad.yaml:6:16: "env.ACCOUNT" must be a string, not an integer (012)' in out
    assert 'quote it: "012"' in out
    assert "list.yaml:1:3: a spec stands by itself, not in a list" in out
    assert "a line --- between two" in out
    assert "4 problems in 2 files, 1 spec valid" in out
