"""Deciding: desired + observed + history -> what is true of every run, what to do next, what to say of it.

Pure: no clock, no file, no network, no log; ``now`` is an argument. The same input gives the same plan, in any order.
"""
