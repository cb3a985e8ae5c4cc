"""Bytes at a commit in, desired state out.

Stands first in the loop: finds the spec files of a commit, reads, checks and decodes them, resolves what they refer
to and computes every digest. Belongs here: all knowledge of the spec format. Does not belong here: Git, clusters,
clocks, logs, the environment. The only files read are the package's own schemas.
"""
