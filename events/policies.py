"""The policy of an index, as the log stores it: who may change it, when, and how far at once. Pure data."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Final, Literal

import msgspec

from events.errors import require, require_window

Part = Literal["weights", "limits", "rules", "segments", "policy", "learning", "settings"]

MAX_FREEZES: Final = 100
MAX_ACTORS: Final = 100
MAX_APPROVALS: Final = 5
MAX_CHARS: Final = 200


class Freeze(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A time in which only exempt actors may change the index.

    since: first moment of the freeze, with its zone; `from` in JSON
    until: first moment after it, with its zone
    reason: shown to those who are refused
    exempt: actors who may change the index all the same
    """

    since: datetime = msgspec.field(name="from")
    until: datetime
    reason: str = ""
    exempt: tuple[str, ...] = ()

    def holds(self, now: datetime) -> bool:
        """Return whether the freeze is in force."""
        return self.since <= now < self.until


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who may change an index, when and how far.

    max_step: how far one change may move a weight, up or down; None for any distance
    freezes: times in which only exempt actors may change the index
    publishers: by part of the index, who may change it; any actor may change a part that is not named
    approvals: how many actors other than its author must approve a draft before it is published; from 1 on, edits that
        a draft can hold are published by drafts only
    """

    max_step: float | None = None
    freezes: tuple[Freeze, ...] = ()
    publishers: dict[Part, tuple[str, ...]] = {}
    approvals: int = 0


def check_policy(policy: Policy) -> None:
    """Raise InvalidInput naming the first member that is out of its limits."""
    step = policy.max_step
    if step is not None:
        require(math.isfinite(step) and step > 0, "max_step", step, "a finite number above 0, or null")
    require(0 <= policy.approvals <= MAX_APPROVALS, "approvals", policy.approvals, f"0 to {MAX_APPROVALS}")
    n_freezes = len(policy.freezes)
    require(n_freezes <= MAX_FREEZES, "freezes", n_freezes, f"at most {MAX_FREEZES}")
    for i, freeze in enumerate(policy.freezes):
        require_window(freeze.since, freeze.until, within=f"freezes[{i}].")
        limit = f"at most {MAX_CHARS} characters"
        require(len(freeze.reason) <= MAX_CHARS, f"freezes[{i}].reason", freeze.reason, limit)
        _check_actors(freeze.exempt, f"freezes[{i}].exempt")
    for part, actors in policy.publishers.items():
        _check_actors(actors, f"publishers.{part}")
        require(bool(actors), f"publishers.{part}", "nobody", "at least one actor; leave the part out for any actor")


def _check_actors(actors: tuple[str, ...], field: str) -> None:
    require(len(actors) <= MAX_ACTORS, field, len(actors), f"at most {MAX_ACTORS} actors")
    for i, actor in enumerate(actors):
        limit = f"1 to {MAX_CHARS} characters that are not all spaces"
        require(len(actor.strip()) > 0 and len(actor) <= MAX_CHARS, f"{field}[{i}]", actor, limit)
