"""What a process imports before services are forked from it: all that `serve` needs, with its loops compiled."""

from __future__ import annotations

# First, as for the command: it sets what numpy reads when it is imported.
import searchsvc.cli
import searchsvc.cli.serve  # noqa: F401
from tuning import compiled

compiled.warm_up("searchsvc")
