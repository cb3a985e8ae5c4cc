"""What may happen in the life of a lab, as events to be drawn in any order, and what must hold after each.

The lab has two clusters and two people. Its jobs say themselves when they begin and end, in a file that no controller
touches. Of the three places where ends are remembered (journal, status branch, control directories) one is kept, by the
draw; the others are lost again and again: more than that no controller survives (docs/guarantees.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.e2e.harness import Ran, job, wait_for
from tests.life.lab import Lab, Person

KEPT = ("cluster", "branch", "journal")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One job of the specs, as a person sees it."""

    key: str
    names: tuple[str, ...]
    """The present name first, then those that it had."""
    version: int = 0
    rerun: int = 0
    cluster: str = "there"

    @property
    def label(self) -> str:
        """What one execution at most is asked for by."""
        return f"{self.key}:{self.version}:{self.rerun}"


class Life:
    """A lab in which anything may happen."""

    def __init__(self, lab: Lab, kept: str, later: Path) -> None:
        self.lab, self.kept, self.later = lab, kept, later
        self.sites = {"there": lab.site, "beyond": lab.another_site("beyond")}
        self.branch, self.count, self.turn = "main", 0, False
        self.may_run: Counter[str] = Counter()
        self.may_end = 0
        self.succeeded: set[str] = set()
        self.wanted = {key: Wanted(key, (key,)) for key in ("quick", "other", "long")}
        self.earlier = [self.wanted]
        self.ada, self.bob = lab.person("ada"), lab.person("bob")
        self.empty = lab.commit({"README.md": "Nothing yet\n"})
        self.commit(self.wanted)
        for person in (self.ada, self.bob):
            self.look(person)
            person.back_up()

    # ---- what people write ----

    def commit(self, wanted: dict[str, Wanted]) -> None:
        """Ask for these jobs; what is left unended may be cancelled, and run again once it is asked for again."""
        labels = {each.label for each in wanted.values()}
        ended = self.said("ended")
        for each in self.wanted.values():
            if each.label not in labels and not ended[each.label]:
                self.may_end += 1
                self.may_run[each.label] += 1
        for label in labels:
            self.may_run[label] = max(1, self.may_run[label])
        self.wanted = dict(wanted)
        self.earlier.append(self.wanted)
        clusters = [site.cluster() | {"name": name} for name, site in self.sites.items()]
        files = self.lab.specs(*map(self.spec, wanted.values()), clusters=clusters)
        self.lab.commit(files, branch=self.branch)

    def spec(self, wanted: Wanted) -> dict[str, Any]:
        """Return the spec of a job: it says that it begins, has a result, and says that it ends."""
        counter = self.lab.site.counter
        gate = f"while [ ! -e {self.lab.gate} ]; do sleep 0.1; done\n" if wanted.key == "long" else ""
        command = (
            f"echo begun {wanted.label} >>{counter}\n{gate}"
            f"""printf '{{"n": {wanted.version}}}' >out.json\necho ended {wanted.label} >>{counter}"""
        )
        more: dict[str, Any] = {"was": list(wanted.names[1:])} if wanted.names[1:] else {}
        metric = {"metrics": {"n": {"json": "out.json", "path": "n"}}}
        return job(wanted.names[0], command, cluster=wanted.cluster, results=metric, rerun=wanted.rerun, **more)

    def change(self, key: str) -> None:
        """Change what a job does."""
        self._edit(key, version=self._next())

    def again(self, key: str) -> None:
        """Ask for a job again."""
        self._edit(key, rerun=self._next())

    def rename(self, key: str) -> None:
        """Give a job another name, saying what it was."""
        if key in self.wanted:
            self._edit(key, names=(f"{key}{self._next()}", *self.wanted[key].names))

    def to_the_other_cluster(self, key: str) -> None:
        """Have a job run on the other cluster from now on."""
        if key in self.wanted:
            self._edit(key, cluster="beyond" if self.wanted[key].cluster == "there" else "there")

    def remove(self, key: str) -> None:
        """Remove a spec."""
        self.commit({name: each for name, each in self.wanted.items() if name != key})

    def revert(self) -> None:
        """Ask for what was asked for two commits ago."""
        self.commit(self.earlier[-3:][0])

    def rewrite(self) -> None:
        """Force another history with the same files."""
        self.lab.git("checkout", "-q", "--orphan", f"anew{self._next()}")
        self.lab.git("commit", "-q", "--allow-empty", "-m", "Anew")
        self.lab.git("push", "-q", "-f", str(self.lab.repo), f"HEAD:{self.branch}")

    def approve(self) -> None:
        """Approve what is held, if anything is."""
        self.lab.git("commit", "-q", "--allow-empty", "-m", "Go on\n\nController-Approve: yes")
        self.lab.git("push", "-q", str(self.lab.repo), f"HEAD:{self.branch}")

    def look_at_another_branch(self) -> None:
        """A colleague has a pass follow a branch without any job: refused."""
        self.lab.git("push", "-q", "-f", str(self.lab.repo), f"{self.empty}:refs/heads/feature")
        assert "BranchLeased" in self.bob.refused("--branch", "feature")

    # ---- what moves ----

    def upgrade(self) -> None:
        """Both get a version in which every task has another digest."""
        for person in (self.ada, self.bob):
            person.version = self.later

    def move_repository(self) -> None:
        """The repository gets another address, which both put into their configuration."""
        moved = str(self.lab.move(f"moved{self._next()}.git"))
        for person in (self.ada, self.bob):
            person.configure(repo=moved)

    def rename_branch(self) -> None:
        """The branch gets another name."""
        before, self.branch = self.branch, f"branch{self._next()}"
        self.lab.git("branch", "-m", before, self.branch, where=self.lab.repo)
        self.lab.git("symbolic-ref", "HEAD", f"refs/heads/{self.branch}", where=self.lab.repo)

    def move_work(self) -> None:
        """A cluster gets another work directory; the old one stays."""
        self.sites["there"] = self.lab.another_site(f"work{self._next()}")
        self.commit(self.wanted)

    # ---- what is lost ----

    def lose_journals(self) -> None:
        """Both lose their state, or the one whose journal is not the place that is kept."""
        self._publish()
        for person in self._losing():
            person.lose_state()

    def back_up(self) -> None:
        """Copy the state of both, in the place of an older copy."""
        for person in (self.ada, self.bob):
            person.back_up()

    def restore(self) -> None:
        """Put the copy in the place of what is newer by now."""
        self._publish()
        for person in self._losing():
            person.restore()

    def delete_branch(self) -> None:
        """Delete the status branch."""
        self._publish()
        if self.kept != "branch":
            self.lab.delete_status()

    def purge(self) -> None:
        """Delete what both clusters have of runs that have ended."""
        self._publish()
        if self.kept != "cluster":
            names = [name for key, each in self.wanted.items() if key != "long" for name in each.names]
            for site in self.lab.sites:
                places = " ".join(f"*/{kind}/{name}" for kind in ("runs", "control") for name in names)
                site.shell(f"mkdir -p {site.workdir} && cd {site.workdir} && rm -rf {places}")

    def release(self) -> None:
        """Let the long job end."""
        self.lab.release()

    # ---- what must hold ----

    def live(self, event: str, *about: str) -> None:
        """Have something happen; the two have a pass after it in turns, and all is as it must be."""
        do: Callable[..., None] = getattr(self, event)
        do(*about)
        self.turn = not self.turn
        self.look(self.ada if self.turn else self.bob)

    def look(self, person: Person) -> dict[str, Any]:
        """Run a pass, which goes well, and check what must hold at all times."""
        ran = person.controller("reconcile", "--once", "-o", "json", expect=None)
        if ran.code == 3 and "--adopt" in ran.err:
            # What is left of the records does not tell that it moved, or was renamed: the message says what to do.
            self._check_counts()
            ran = person.controller("reconcile", "--once", "--adopt", "-o", "json", expect=None)
        self._check(person, ran)
        document: dict[str, Any] = ran.json
        return document

    def _check(self, person: Person, ran: Ran) -> None:
        assert ran.code == 0, f"a pass of {person.name} ended with {ran.code}:\n{ran.out}\n{ran.err}"
        assert "InternalError" not in ran.out + ran.err, ran.out + ran.err
        document = ran.json
        assert {each["reason"] for each in document["held"]} <= {"NotADescendant"}, document["held"]
        assert (document["problems"], document["unseen"]) == ([], []), ran.out
        self._check_counts()
        for key, task in self.tasks(document).items():
            label = self.wanted[key].label
            if task["state"] == "Succeeded":
                self.succeeded.add(label)
            assert label not in self.succeeded or task["state"] == "Succeeded", f"{label} had succeeded: {task}"

    def _check_counts(self) -> None:
        too_often = self.said("begun") - self.may_run
        assert not too_often, f"executed more often than asked for: {too_often}"
        cancelled = self.lab.cancelled()
        assert len(cancelled) <= self.may_end, f"cancelled unasked: {cancelled}"

    def settle(self) -> None:
        """Let all end: everything that is asked for has run, its results are there, and nothing is left to do."""
        self.lab.release()
        for person in (self.ada, self.bob):
            wait_for("all has succeeded", lambda who=person: self._over(who), deadline_s=120)
            last = self.look(person)
            assert (last["actions"], last["held"]) == ([], [])
            for key, task in self.tasks(last).items():
                assert task["results"] == {"n": str(self.wanted[key].version)}
        begun = self.said("begun")
        assert all(begun[each.label] for each in self.wanted.values()), begun
        assert self.lab.running() == 0

    def _over(self, person: Person) -> bool:
        found = self.look(person)
        if found["held"]:
            self.approve()
        states = {key: task["state"] for key, task in self.tasks(found).items()}
        return states == dict.fromkeys(self.wanted, "Succeeded")

    def tasks(self, document: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Return the only task of each job that is wanted and told of."""
        found = {each["name"]: each["tasks"][0] for each in document["resources"] if each["tasks"]}
        return {key: found[each.names[0]] for key, each in self.wanted.items() if each.names[0] in found}

    def said(self, what: str) -> Counter[str]:
        """Return how often each label was said to have ``begun`` or ``ended``."""
        path = Path(self.lab.site.counter)
        lines = path.read_text().splitlines() if path.exists() else []
        return Counter(line.split()[1] for line in lines if line.startswith(f"{what} "))

    def _publish(self) -> None:
        """Have every end that can be known be known in all three places."""
        ends = [key for key in self.wanted if key != "long"]

        def known(person: Person) -> bool:
            tasks = self.tasks(self.look(person))
            if Path(self.lab.gate).exists():
                ends.append("long")
            return all(tasks[key]["state"] == "Succeeded" for key in ends if key in self.wanted)

        for person in (self.ada, self.bob):
            wait_for("the ends are known", lambda who=person: known(who), deadline_s=120)

    def _losing(self) -> list[Person]:
        return [self.bob] if self.kept == "journal" else [self.ada, self.bob]

    def _edit(self, key: str, **fields: Any) -> None:
        if key in self.wanted:
            self.commit({**self.wanted, key: replace(self.wanted[key], **fields)})

    def _next(self) -> int:
        self.count += 1
        return self.count
