"""How hard the property tests try: the examples of the normal run, ten times as many in the long one.

``deploy/test --long`` sets ``HYPOTHESIS_PROFILE=long``. A test that wants another number than Hypothesis' own says
``settings(max_examples=examples(40))``; so the long run grows it as well.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

FACTOR = {"normal": 1, "long": 10}


def load_profile() -> None:
    """Choose the profile. No test fails because the machine is slow: no deadline, no check of the time taken."""
    for name, factor in FACTOR.items():
        settings.register_profile(
            name,
            max_examples=100 * factor,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
            print_blob=True,
            # The same examples every time in the normal run: it judges a change, and the long one looks for more.
            derandomize=name == "normal" and os.environ.get("CI") == "true",
        )
    settings.load_profile(_chosen())


def examples(count: int) -> int:
    """Return how many examples a test takes whose normal number is ``count``."""
    return count * FACTOR[_chosen()]


def _chosen() -> str:
    return os.environ.get("HYPOTHESIS_PROFILE") or "normal"
