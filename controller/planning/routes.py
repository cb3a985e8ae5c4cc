"""By which way an image gets to a cluster: the one place that says so.

Two questions that have nothing to do with each other: what the SIF is made from (``Carrier``), and where (``Place``).
Must not look at what exists: what of the way has been gone already is for ``provision``.
"""

from __future__ import annotations

from typing import assert_never

from controller.model.images import Build, Image, RegistryImage, SifFile
from controller.model.plans import Carrier, Place, Route
from controller.model.resources import Cluster


def route_of(image: Image, cluster: Cluster) -> Route | None:
    """Return the way of an image to a cluster; None for one that is a SIF on the cluster already."""
    place = Place(cluster.convert_on)
    match image.origin:
        case Build():
            return Route(carrier=Carrier.ARCHIVE if image.registry is None else Carrier.PUSHED, place=place)
        case RegistryImage():
            return Route(carrier=Carrier.ARCHIVE if image.origin.on_engine else Carrier.PULLED, place=place)
        case SifFile():
            return None
        case _:
            assert_never(image.origin)


def in_words(route: Route, image: Image, cluster: Cluster) -> str:
    """Return the way as what is going to be done, for a plan."""
    steps = {
        Carrier.ARCHIVE: "upload it and convert it to SIF",
        Carrier.PUSHED: f"push it to {image.registry}, pull it there as SIF",
        Carrier.PULLED: "pull it there as SIF",
    }
    match route.place:
        case Place.LOGIN:
            return f"{steps[route.carrier]} on the log-in node of cluster {cluster.name}"
        case Place.JOB:
            return f"{steps[route.carrier]} in a job on cluster {cluster.name}"
        case Place.CONTROLLER:
            return f"convert it to SIF here and upload that to cluster {cluster.name}"
        case _:
            assert_never(route.place)
