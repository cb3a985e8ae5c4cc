"""Clusters: a transport, a scheduler's dialect and a container program make a place to observe and to act on.

Belongs here: connections, the scripts that run on the far side, reading what they print. Does not belong here: what
should be done. Each verb of ``Cluster`` is one script, so one round trip, whatever the number of jobs.
"""
