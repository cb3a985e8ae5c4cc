"""What a pass has made of what it saw: the observation with the successful actions laid over it."""

from __future__ import annotations

from dataclasses import replace

from controller.model.observed import EngineObservation, Observed
from controller.model.plans import BuildImage, Place, Plan, PublishImage, StageFiles
from controller.reconcile.hands import Outcomes


def with_outcomes(observed: Observed, plan: Plan, outcomes: Outcomes) -> Observed:
    """Return the observation with what successful actions have added to the world."""
    clusters, engine = dict(observed.clusters), observed.engine
    for action in plan.actions:
        if action.key not in outcomes or outcomes[action.key] is not None:
            continue
        match action:
            case BuildImage() if engine is not None and engine.images is not None:
                engine = EngineObservation(images=engine.images | {action.image.identity})
            case PublishImage() if action.route.place is not Place.JOB:
                seen = clusters[action.cluster.name]
                images = {**(seen.images or {}), action.image.identity: 0}
                clusters[action.cluster.name] = replace(seen, images=images)
            case StageFiles():
                seen = clusters[action.cluster.name]
                files = (seen.files or frozenset()) | {action.files.tree}
                clusters[action.cluster.name] = replace(seen, files=files)
            case _:
                pass
    return Observed(engine=engine, clusters=clusters)
