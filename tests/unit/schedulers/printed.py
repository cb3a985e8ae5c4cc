"""What squeue and sacct print when they are asked as the SLURM dialect asks them."""

from __future__ import annotations

NONCE = "0123456789abcdef"


def queue(*rows: str) -> str:
    """Return what squeue prints: its header, then ``id|state|start|reason|name`` of each as it frames them."""
    words = [row.split("|", 4) for row in ("JOBID|STATE|START_TIME|REASON|NAME", *rows)]
    texts = ("|".join([*each[:4], "lab", "short", "normal", *each[4:]]) for each in words)
    return "".join(f"@{NONCE}|{text}|{NONCE}@\n" for text in texts)


def accounting(*rows: str) -> str:
    """Return what sacct prints: its header, then ``id|state|exit|start|end|name`` of each with its delimiter."""
    words = [row.split("|", 5) for row in ("JobID|State|ExitCode|Start|End|JobName", *rows)]
    texts = ([*each[:5], "lab", "short", "normal", *each[5:]] for each in words)
    return "".join("".join(f"{field}@{NONCE}|" for field in each) + "\n" for each in texts)
