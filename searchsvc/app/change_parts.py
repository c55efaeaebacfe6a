"""Open what writes CONTROL."""

from __future__ import annotations

import msgspec

from searchsvc.app.log_parts import LogParts
from searchsvc.app.search_parts import SearchParts
from searchsvc.changes.commands import Commands
from searchsvc.changes.drafts import Drafts


class ChangeParts(msgspec.Struct, frozen=True):
    """What writes CONTROL."""

    commands: Commands
    drafts: Drafts


def open_changes(log: LogParts, search: SearchParts) -> ChangeParts:
    """What writes CONTROL."""
    commands = Commands(log.event_log, log.serving, log.rulebooks, log.history)
    return ChangeParts(commands, Drafts(log.event_log, log.serving, commands, log.history))
