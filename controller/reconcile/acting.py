"""Each kind of action carried out: the intent written down, the effect, the outcome written down.

A crash between any two lines leaves the journal saying what was about to happen, and the cluster saying whether it
did; the next look puts the two together.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from controller.clusters.cluster import ClusterClient, SubmitEnd, Submitted
from controller.clusters.scripts import LAST_MEMBER
from controller.containers.engine import Engine
from controller.model.conditions import TaskState
from controller.model.digests import short
from controller.model.errors import AmbiguousError, ControllerError
from controller.model.failpoints import failpoint
from controller.model.observed import ClusterFacts
from controller.model.plans import BuildImage, CancelRun, PublishImage, StageFiles, SubmitBatch
from controller.model.runs import RunRecord
from controller.planning.settle import CANCELLED_OWNER
from controller.reconcile.archives import write_tar
from controller.specs.tree import Tree
from controller.store.journal import Journal

Say = Callable[[str, str], None]
"""Called with an action's key and a line on how far it is."""

Outcomes = dict[str, ControllerError | None]
"""Key of an action -> what went wrong; None when it was done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """What actions are carried out with."""

    journal: Journal
    engine: Engine
    client_of: Callable[[str], ClusterClient]
    tree_at: Callable[[str], Tree]
    instance: str
    state_dir: Path
    clock: Callable[[], float]
    say: Say


def build(hands: Hands, action: BuildImage) -> Outcomes:
    """Build an image from its context as it stands in the commit; its log is kept by identity."""
    image = action.image
    log_path = build_log(hands.state_dir, image.name, image.identity)
    log_path.parent.mkdir(parents=True, exist_ok=True)
    tree = hands.tree_at(image.context.commit)
    failpoint("build.before")
    with tempfile.TemporaryFile() as context, log_path.open("w", encoding="utf-8") as log:
        write_tar(context, [("", tree, image.context.entries)])
        context.seek(0)
        hands.engine.build(
            image, context, instance=hands.instance, log=log, say=lambda line: hands.say(action.key, line)
        )
    failpoint("build.after")
    return {action.key: None}


def build_log(state_dir: Path, name: str, identity: str) -> Path:
    """Return where the log of an image's last build is."""
    return state_dir / "builds" / f"{name}-{short(identity)}.log"


def publish(hands: Hands, action: PublishImage) -> Outcomes:
    """Take the image from the engine to the cluster, and convert it there."""
    hands.engine.tag(action.image)
    client = hands.client_of(action.cluster.name)
    with tempfile.TemporaryFile(dir=hands.state_dir) as archive:
        hands.say(action.key, "saving the image")
        size = hands.engine.archive(action.image, archive)
        archive.seek(0)
        shown = -1

        def progress(sent: int) -> None:
            nonlocal shown
            percent = 100 * sent // size if size else 100
            if percent // 10 > shown // 10 or shown < 0:
                shown = percent
                hands.say(action.key, f"uploading: {percent} % of {size / 1e6:.0f} MB")
                if percent == 100:
                    hands.say(action.key, "converting to SIF")

        failpoint("publish.before")
        client.publish(action.image.identity, archive, size, progress=progress)
        failpoint("publish.after")
    return {action.key: None}


def stage(hands: Hands, actions: Sequence[StageFiles]) -> Outcomes:
    """Upload what jobs name, all that one cluster lacks in one go."""
    client = hands.client_of(actions[0].cluster.name)
    with tempfile.TemporaryFile(dir=hands.state_dir) as archive:
        parts = [(a.files.tree, hands.tree_at(a.files.commit), a.files.entries) for a in actions]
        write_tar(archive, parts, last=LAST_MEMBER)
        archive.seek(0)
        failpoint("stage.before")
        client.stage([action.files.tree for action in actions], archive)
        failpoint("stage.after")
    return {action.key: None for action in actions}


def submit(hands: Hands, actions: Sequence[SubmitBatch], facts: ClusterFacts) -> Outcomes:
    """Submit batches to one cluster in one round trip; see the protocol in ``docs/architecture.md``."""
    journal, now = hands.journal, hands.clock()
    intents = {action.batch: _intents(action, facts, hands.instance, now) for action in actions}
    failpoint("submit.intent.before")
    journal.save_runs(record for records in intents.values() for record in records)
    failpoint("submit.intent.after")
    client = hands.client_of(actions[0].cluster.name)
    outcomes: Outcomes = {}
    try:
        ends: Mapping[str, Submitted] = client.submit([(action, action.tries) for action in actions], facts)
    except AmbiguousError as error:
        return {action.key: error for action in actions}
    except ControllerError as error:
        # Nothing was begun.
        journal.save_runs(_lapsed(record, record.tries) for records in intents.values() for record in records)
        return {action.key: error for action in actions}
    failpoint("submit.sent")
    for action in actions:
        end = ends.get(action.batch, Submitted(end=SubmitEnd.BUSY))
        journal.save_runs(_after(record, end, hands.clock()) for record in intents[action.batch])
        outcomes[action.key] = end.error
        if end.end is SubmitEnd.BUSY:
            message = (
                f"batch {short(action.batch)} is being submitted, or was, by someone who has not said how it ended"
            )
            outcomes[action.key] = AmbiguousError("SubmitUnanswered", message)
    failpoint("submit.recorded")
    return outcomes


def cancel(hands: Hands, actions: Sequence[CancelRun]) -> Outcomes:
    """Cancel runs of one cluster in one round trip."""
    journal, now = hands.journal, hands.clock()
    asked = {a.record.id: replace(a.record, cancel_requested_at=now, cancel_reason=a.reason) for a in actions}
    failpoint("cancel.intent.before")
    journal.save_runs(asked.values())
    failpoint("cancel.intent.after")
    sizes: dict[str, int] = {}
    for record in journal.runs().values():
        sizes[record.batch] = sizes.get(record.batch, 0) + 1
    client = hands.client_of(actions[0].record.run.cluster)
    owners = client.cancel([(replace(a, record=asked[a.record.id]), sizes[a.record.batch]) for a in actions])
    failpoint("cancel.sent")
    never = [asked[run] for run, owner in owners.items() if owner == CANCELLED_OWNER and run in asked]
    journal.save_runs(
        replace(record, state=TaskState.CANCELLED, reason=record.cancel_reason, message="", ended=now)
        for record in never
    )
    failpoint("cancel.recorded")
    return {action.key: None for action in actions}


def _intents(action: SubmitBatch, facts: ClusterFacts, instance: str, now: float) -> list[RunRecord]:
    return [
        RunRecord(
            run=planned.run,
            batch=action.batch,
            index=index,
            state=TaskState.SUBMITTING,
            reason="Submitting",
            intended_at=now,
            tries=action.tries,
            on_remove=action.job.on_remove,
            run_dir=f"{facts.root}/{instance}/runs/{planned.run.id}",
        )
        for index, planned in enumerate(action.runs)
    ]


def _after(record: RunRecord, end: Submitted, now: float) -> RunRecord:
    if end.job_id is not None:
        return replace(
            record, state=TaskState.QUEUED, reason="Submitted", job_id=end.job_id, submitted_at=now, lapsed=False
        )
    if end.error is None or isinstance(end.error, AmbiguousError):
        return replace(record, reason="SubmitUnanswered")
    # A try that could not be written down was taken back; one that the scheduler refused counts.
    return _lapsed(record, record.tries + (end.error.reason != "UploadFailed"))


def _lapsed(record: RunRecord, tries: int) -> RunRecord:
    return replace(record, state=TaskState.WAITING, lapsed=True, tries=tries)
