"""Plans: what a pass will do, and why, as values that a person can read and approve."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from controller.model.conditions import ResourceStatus
from controller.model.digests import digest_of, short
from controller.model.files import FileSet
from controller.model.images import Build, Image, ImageTest
from controller.model.resources import Cluster, Job, Resources, Task
from controller.model.runs import Run, RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildImage:
    """Build an image on the engine."""

    image: Image
    build: Build
    why: str

    @property
    def key(self) -> str:
        """Identity of the action, the same in every pass that plans it."""
        return f"build:{self.image.identity}"


class Carrier(StrEnum):
    """What a SIF is made from."""

    ARCHIVE = "archive"
    """An archive that the Docker Engine saves."""
    PUSHED = "pushed"
    """A registry that the image is pushed to first."""
    PULLED = "pulled"
    """A registry that has the image."""


class Place(StrEnum):
    """Where a SIF is made; the values are those of a cluster's ``convert_on``."""

    LOGIN = "login"
    JOB = "job"
    CONTROLLER = "controller"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The way of an image to a cluster."""

    carrier: Carrier
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class TestImage:
    """Run an image's test in a container on the engine."""

    __test__: ClassVar[bool] = False
    """Not a class of tests, whatever pytest makes of its name."""

    image: Image
    test: ImageTest
    why: str

    @property
    def key(self) -> str:
        """Identity of the action: another image or another test is another action."""
        return trial_key(self.image, self.test)


def trial_key(image: Image, test: ImageTest) -> str:
    """Return under what a trial of an image is remembered."""
    return f"test:{image.identity}:{short(test.digest)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishImage:
    """Bring an image to a cluster as a SIF file."""

    image: Image
    cluster: Cluster
    route: Route
    why: str
    over: str = ""
    """The job of an earlier conversion that is over without a SIF; "-" for a submit that became no job."""
    over_why: str = ""
    """How that job ended, in the scheduler's word."""

    @property
    def key(self) -> str:
        """Identity of the action; another once the spec names another way, so that a mended spec is tried."""
        way = [self.cluster.setup, self.cluster.containers, str(self.route.carrier), str(self.route.place)]
        if self.route.place is Place.JOB:
            # The job that converts asks for what the cluster's jobs ask for by default.
            way.append(digest_of(dataclasses.asdict(self.cluster.defaults)))
        return f"publish:{self.cluster.name}:{self.image.identity}:{short(digest_of([*way, self.image.registry]))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFiles:
    """Upload the files that jobs name, once for each content."""

    cluster: Cluster
    files: FileSet
    why: str

    @property
    def key(self) -> str:
        """Identity of the action."""
        return f"stage:{self.cluster.name}:{self.files.tree}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """A run about to be submitted, with its task: every look-up of the task's command and env is filled in."""

    run: Run
    task: Task
    tables: Mapping[str, str] = field(default_factory=dict)
    """Files to be made in the run directory before the command starts: path -> text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitBatch:
    """Submit runs of one job as one scheduler job (an array when there are several)."""

    cluster: Cluster
    job: Job
    image: Image | None
    runs: tuple[PlannedRun, ...]
    batch: str
    why: str
    resources: Resources
    """What each of the runs asks for: the job's own, grown after failures."""
    max_running: int | None = None
    """How many of the batch may run at once."""
    tries: int = 0
    """How many submits of this very batch are known not to have gone through."""
    unanswered_since: float | None = None
    """Since when it is not known whether one of them did."""

    @property
    def key(self) -> str:
        """Identity of the action; another once the spec asks for other resources, so that a mended spec is tried."""
        asked = [dataclasses.asdict(self.resources), self.cluster.setup, self.cluster.containers]
        return f"submit:{self.cluster.name}:{self.batch}:{short(digest_of(asked))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRun:
    """Cancel one active run."""

    cluster: Cluster
    record: RunRecord
    why: str
    reason: str

    @property
    def key(self) -> str:
        """Identity of the action."""
        return f"cancel:{self.record.run.cluster}:{self.record.id}"


SUBMIT_LIMIT = "SubmitLimit"
"""Reason of a submit that a limit of the scheduler has no room for now."""

IMAGE_GONE = "ImageGone"
"""Reason of a submit whose image was taken away since it was seen: nothing was written for it."""


def limit_key(cluster: Cluster, job: Job) -> str:
    """Return the key under which a job's wait for such a limit is remembered."""
    return f"limit:{cluster.name}:{job.name}"


Action = BuildImage | TestImage | PublishImage | StageFiles | SubmitBatch | CancelRun


def cluster_of(action: Action) -> str:
    """Return the cluster that an action changes, "" for none."""
    return "" if isinstance(action, BuildImage | TestImage) else action.cluster.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An action that failed lately: not tried again before ``next_try`` (seconds since the epoch)."""

    reason: str
    message: str
    count: int
    next_try: float
    stalled: bool = False
    waiting: bool = False
    """Not a failure of the resource: something else has to happen first."""


MOST_TRIALS = 3
"""How often a test that fails is tried before it counts as failed for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What became of an image's test the last time that it ran."""

    passed: bool
    reason: str = ""
    message: str = ""
    count: int = 1
    """How many times in a row it has failed, this one included."""
    commit: str = ""
    """Commit of the test's repository that it ran at."""
    log: str = ""
    """Where on the controller's machine its output is."""

    @property
    def settled(self) -> bool:
        """Whether it is not tried again by itself. What took too long once would do so again."""
        return self.passed or self.count >= MOST_TRIALS or self.reason == "TestTimeout"


@dataclass(frozen=True, slots=True, kw_only=True)
class RerunLimits:
    """How much of what has succeeded may run again without an approval: that many tasks, or that share of all."""

    tasks: int = 20
    share: float = 0.2

    def exceeded(self, count: int, total: int) -> bool:
        """Whether ``count`` of ``total`` tasks is more than both."""
        return count > self.tasks and count > self.share * total


RERUN_LIMITS = RerunLimits()
"""Those by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Something that the plan leaves undone until a person says so."""

    reason: str
    message: str
    subjects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Actions in the order in which they may run, the state of every resource, and what is held back."""

    commit: str
    actions: tuple[Action, ...] = ()
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Key of an action -> keys of the actions that have to succeed first."""
    statuses: tuple[ResourceStatus, ...] = ()
    holds: tuple[Hold, ...] = ()
    resume_at: float | None = None
    """When something that a limit keeps waiting may go on; None where nothing waits for that."""
    let_go: Mapping[str, str] = field(default_factory=dict)
    """Job -> its version of which an approval lets tasks run again that have succeeded."""
    unread: tuple[str, ...] = ()
    """Commits that have to be read to say why something is held."""
    hints: tuple[str, ...] = ()
    """What a person should know of the actions, such as that a job seems to have been renamed."""
    recalled: Mapping[str, RunRecord] = field(default_factory=dict)
    """Runs by id of which the status branch tells more than the journal and this look."""
