"""Container programs: the Docker Engine on the controller's side, Apptainer and Singularity on the cluster's.

Belongs here: how to ask an engine for a build, and the shell text that converts and runs a SIF. Does not belong here:
when to build, and how text gets to a cluster.
"""
