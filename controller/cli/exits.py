"""Exit codes, the same for every verb. The table in ``docs/commands.md`` says which verb has which."""

from __future__ import annotations

DONE = 0
"""Done, or so already; for what asks: all could be seen and is as wanted."""
ATTENTION = 1
"""Something is to be done, or something that was asked for is invalid, has failed, is held back or Stalled."""
USAGE = 2
"""Called wrongly, or the controller's own configuration is wrong."""
NOT_REACHED = 3
"""A repository, a cluster or an engine could not be seen or reached, or has refused. Its reason comes first."""
INTERRUPTED = 130
READER_LEFT = 141
