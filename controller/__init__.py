"""A GitOps controller for containerised experiments on HPC clusters."""
