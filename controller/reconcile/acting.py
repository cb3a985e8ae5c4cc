"""Images built, files staged, runs cancelled. Publishing images and submitting have modules of their own."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace

from controller.clusters.scripts import LAST_MEMBER
from controller.containers.building import Follower
from controller.model.conditions import TaskState
from controller.model.errors import WaitingError
from controller.model.failpoints import failpoint
from controller.model.plans import BuildImage, CancelRun, StageFiles
from controller.model.runs import RunRecord
from controller.planning.settle import CANCELLED_OWNER
from controller.planning.wanted import CANCEL_AGAIN_S
from controller.reconcile.archives import write_tar
from controller.reconcile.buildlogs import open_log
from controller.reconcile.contexts import context_of
from controller.reconcile.hands import Hands, Outcomes


def build(hands: Hands, action: BuildImage) -> Outcomes:
    """Build an image from its context as it stands in the commit; its log is kept."""
    image = action.image
    tree, entries = context_of(hands.tree_of, action.build)
    dockerfile = next((entry.oid for entry in entries if entry.path == action.build.dockerfile), None)
    failpoint("build.before")
    with (
        tempfile.TemporaryFile() as context,
        open_log(hands.state_dir, image.name, image.identity, hands.clock()) as log,
    ):
        write_tar(context, [("", tree, entries)])
        context.seek(0)
        follower = Follower(
            name=image.name,
            dockerfile=tree.read(dockerfile).decode("utf-8", "replace") if dockerfile else "",
            log=log,
            say=lambda line: hands.say(action.key, line),
        )
        hands.engine.build(image, action.build, context, instance=hands.instance, follower=follower)
    failpoint("build.after")
    return {action.key: None}


def stage(hands: Hands, actions: Sequence[StageFiles]) -> Outcomes:
    """Upload what jobs name, all that one cluster lacks in one go."""
    client = hands.client_of(actions[0].cluster.name)
    with tempfile.TemporaryFile(dir=hands.state_dir) as archive:
        parts = [(a.files.tree, hands.tree_of(a.files), a.files.entries) for a in actions]
        write_tar(archive, parts, last=LAST_MEMBER, manifests=True)
        archive.seek(0)
        failpoint("stage.before")
        client.stage([action.files.tree for action in actions], archive)
        failpoint("stage.after")
    return {action.key: None for action in actions}


def cancel(hands: Hands, actions: Sequence[CancelRun]) -> Outcomes:
    """Cancel runs of one cluster in one round trip."""
    journal, now = hands.journal, hands.clock()
    # To cancel twice does no harm: until there is an answer, the next pass asks again, without a wait.
    unsent = now - CANCEL_AGAIN_S
    asked = {a.record.id: replace(a.record, cancel_requested_at=unsent, cancel_reason=a.reason) for a in actions}
    failpoint("cancel.intent.before")
    journal.save_runs(asked.values())
    failpoint("cancel.intent.after")
    client = hands.client_of(actions[0].record.where)
    owners = client.cancel(list(asked.values()))
    failpoint("cancel.sent")
    sent = {run: replace(record, cancel_requested_at=now) for run, record in asked.items()}
    never = {run for run, owner in owners.items() if owner == CANCELLED_OWNER}
    journal.save_runs(_never_started(record, now) if run in never else record for run, record in sent.items())
    failpoint("cancel.recorded")
    return {action.key: None if action.record.id in owners else _nothing_hit(action.record) for action in actions}


def _nothing_hit(record: RunRecord) -> WaitingError:
    """Return that neither a claim was to be taken nor a job was in the queue: the next looks tell why."""
    return WaitingError(
        "CancelMissed",
        f"job {record.job_id or 'of unknown number'} of {record.id} is not in the queue on {record.where}, and has not "
        "said that it ended: asked again while that is so. It may just have ended, or belong to another account",
        retry_after_s=CANCEL_AGAIN_S,
    )


def _never_started(record: RunRecord, now: float) -> RunRecord:
    return replace(record, state=TaskState.CANCELLED, reason=record.cancel_reason, message="", ended=now)
