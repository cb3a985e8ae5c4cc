"""The loop: read the commit, look, plan, act, report. One pass is one straight line through this package.

``source`` reads what is wanted, ``looking`` what exists, ``planning`` decides, ``applying`` and ``acting`` carry it
out, ``reporting`` tells of it; ``reconciler`` is the line. Everything it works with is handed in.
"""
