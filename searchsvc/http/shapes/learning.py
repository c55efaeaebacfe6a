"""Learning: how an index learns, and how far it is."""

from __future__ import annotations

from datetime import datetime

import msgspec

from events.learning import Ignored, Learning, Mode, Trial
from searchsvc.learning.status import LearningStatus


class LearningInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an index learns, as in `events.learning.Learning`.

    A member that is absent stays as it is. Setting any of them makes a frozen learner go on.
    """

    mode: Mode | None = None
    exploration: float | None = None
    max_boost: float | None = None
    values: dict[str, float] | None = None
    ignored: tuple[Ignored, ...] | None = None
    judgments: dict[str, dict[str, int]] | None = None
    families: tuple[str, ...] | None = None
    reason: str = ""

    def changed(self, current: Learning) -> Learning:
        """Return the settings in force with these changes."""
        changes = {
            name: value
            for name in ("mode", "exploration", "max_boost", "values", "ignored", "judgments", "families")
            if (value := getattr(self, name)) is not None
        }
        return msgspec.structs.replace(current, frozen="", **changes)


class ForgetInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The behavior that an index ignores: that of a user, or of all users, from one time until another.

    user_token: one user; '' for all
    """

    since: datetime = msgspec.field(name="from")
    until: datetime
    user_token: str = ""
    reason: str = ""


class LearningInfo(msgspec.Struct, frozen=True):
    """How an index learns, and how far it is.

    trial: what is being compared now; null if nothing is
    learner: how far the learner is; null if another service learns
    """

    index: str
    learning: Learning
    trial: Trial | None
    learner: LearningStatus | None


class StopInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a trial is stopped."""

    reason: str = ""
