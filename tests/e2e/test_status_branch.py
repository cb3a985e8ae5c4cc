"""What becomes of the status branch loses nothing, and it loses nothing of others."""

from __future__ import annotations

from tests.e2e.harness import STATUS_BRANCH, Project, documents, job

SOMEONE_ELSE = f"""
[ "$1" = refs/heads/{STATUS_BRANCH} ] && [ ! -e raced ] || exit 0
: >raced
export GIT_INDEX_FILE=$PWD/raced-index
git read-tree "$2"
blob=$(echo 'do not restart the cluster today' | git hash-object -w --stdin)
git update-index --add --cacheinfo "100644,$blob,NOTES.md"
export GIT_AUTHOR_NAME=Eve GIT_AUTHOR_EMAIL=eve@example.org GIT_COMMITTER_NAME=Eve GIT_COMMITTER_EMAIL=eve@example.org
commit=$(git commit-tree "$(git write-tree)" -p "$2" -m 'Add a note')
git update-ref "$1" "$commit" "$2"
"""
"""Update hook of the remote: while the controller's push is under way, someone else's is faster, once."""


def test_a_deleted_branch_is_written_again(project: Project) -> None:
    """Deleted, the branch comes back with the same files in one orphan commit; no job runs again."""
    project.commit({"specs.yaml": documents(project.here(), job("one", "true"))})
    project.settle()
    before, task = project.status_files(), project.task("one")
    project.git("update-ref", "-d", f"refs/heads/{STATUS_BRANCH}", where=project.bare)
    again = project.one_pass()
    assert again["actions"] == []
    assert again["status_commit"] == project.status_tip()
    assert project.status_files() == before
    assert project.git("rev-list", "--count", STATUS_BRANCH, where=project.bare) == "1"
    assert project.task("one") == task


def test_a_branch_that_someone_moves_during_the_push_keeps_both(served: Project) -> None:
    """A push that loses a race is made again on top of the other's commit, which is kept."""
    served.commit({"specs.yaml": documents(served.here(), job("one", "true"))})
    served.settle()
    served.hook("update", SOMEONE_ELSE)
    served.commit({"specs.yaml": documents(served.here(), job("one", "true"), job("two", "true"))})
    first = served.one_pass()
    assert (served.bare / "raced").exists()
    assert first["status_commit"] == served.status_tip()
    served.settle()
    files = served.status_files()
    assert files["NOTES.md"] == "do not restart the cluster today"
    assert served.status_file("Job", "two")["tasks"][0]["state"] == "Succeeded"
    authors = served.git("log", "--format=%an", STATUS_BRANCH, where=served.bare).splitlines()
    assert authors.count("Eve") == 1
    assert served.git("rev-list", "--min-parents=2", STATUS_BRANCH, where=served.bare) == ""


def test_a_push_that_the_host_refuses_is_said(served: Project) -> None:
    """A hook that refuses the status is exit code 1 with its words; the jobs run all the same."""
    served.hook("update", f'[ "$1" != refs/heads/{STATUS_BRANCH} ] || {{ echo "only Ada may" >&2; exit 1; }}\n')
    served.commit({"specs.yaml": documents(served.here(), job("one", "true"))})
    ran = served.controller("reconcile", "--once", expect=1)
    assert "PushRefused" in ran.err
    assert served.status_tip() is None
    (served.bare / "hooks" / "update").unlink()
    served.settle()
    assert served.state("one") == "Succeeded"
    assert served.task("one")["attempt"] == 1
