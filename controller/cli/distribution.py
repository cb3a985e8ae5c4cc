"""The distribution that this code comes in: its name, which is not the package's, and its version.

``controller`` is another project's name on the public index, so nothing may be looked up or installed by it.
"""

from __future__ import annotations

DISTRIBUTION = "hpc-gitops-controller"
_NOT_INSTALLED = "0+unknown"
"""Version of a checkout that is run where it lies (PEP 440, a local version that is older than any release)."""


def version() -> str:
    """Return the version that is installed; a checkout that was never installed has none of its own."""
    from importlib import metadata

    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return _NOT_INSTALLED
