"""What must not be read anywhere: user names and passwords in URLs, tokens known by their shape. Pure.

The last net, not the first: nobody should hand a secret to a log call, and no program should print one. The same for
the log, for the status branch and for the page.
"""

from __future__ import annotations

import re

MASK = "***"
_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,20})://(?P<userinfo>[^/\s]+)@")
_TOKEN_SHAPES = re.compile(
    r"(?P<scheme>\b(?:Bearer|Basic) )[A-Za-z0-9._~+/=-]{8,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}|\bgl[a-z]{2,8}-[A-Za-z0-9_-]{20,}"
)


def redact_text(text: str) -> str:
    """``text`` without log-ins in URLs and without tokens of GitHub's, GitLab's and HTTP's shape."""
    text = _USERINFO.sub(_mask_userinfo, text)
    return _TOKEN_SHAPES.sub(lambda match: (match["scheme"] or "") + MASK, text)


def _mask_userinfo(match: re.Match[str]) -> str:
    # A bare user name is part of an SSH address; of an https address it may be a token.
    if match["scheme"].lower() == "ssh" and ":" not in match["userinfo"]:
        return match[0]
    return f"{match['scheme']}://{MASK}@"
