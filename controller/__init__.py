"""A GitOps controller for containerised experiments on HPC clusters."""

__version__ = "0.2.0"
"""Of the next release, or of this one; see docs/releasing.md."""
