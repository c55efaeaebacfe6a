"""Who may change an index, when, and how far at once, as it is stored in the log. Pure data."""

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
    """A time in which nobody changes the index but who is exempt. It ends as `until` begins; both have a time zone."""

    since: datetime = msgspec.field(name="from")
    until: datetime
    reason: str = ""
    exempt: tuple[str, ...] = ()

    def holds(self, now: datetime) -> bool:
        return self.since <= now < self.until


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """max_step: how far one change may move a weight, up or down; None for any distance. publishers: by part of the
    index, who may change it; a part that is not named is anybody's. approvals: how many others than its author have to
    approve a draft before it is published; from one on, nothing but drafts changes what a draft can hold."""

    max_step: float | None = None
    freezes: tuple[Freeze, ...] = ()
    publishers: dict[Part, tuple[str, ...]] = {}
    approvals: int = 0


def check_policy(policy: Policy) -> None:
    """Raise InvalidInput naming the first member that cannot be honoured."""
    step = policy.max_step
    if step is not None:
        require(math.isfinite(step) and step > 0, "max_step", step, "a finite number above 0, or null")
    require(0 <= policy.approvals <= MAX_APPROVALS, "approvals", policy.approvals, f"0 to {MAX_APPROVALS}")
    n = len(policy.freezes)
    require(n <= MAX_FREEZES, "freezes", n, f"at most {MAX_FREEZES}")
    for i, freeze in enumerate(policy.freezes):
        require_window(freeze.since, freeze.until, within=f"freezes[{i}].")
        require(
            len(freeze.reason) <= MAX_CHARS, f"freezes[{i}].reason", freeze.reason, f"at most {MAX_CHARS} characters"
        )
        _check_actors(freeze.exempt, f"freezes[{i}].exempt")
    for part, actors in policy.publishers.items():
        _check_actors(actors, f"publishers.{part}")
        require(bool(actors), f"publishers.{part}", "nobody", "at least one actor; leave the part out for anybody")


def _check_actors(actors: tuple[str, ...], field: str) -> None:
    require(len(actors) <= MAX_ACTORS, field, len(actors), f"at most {MAX_ACTORS} actors")
    for actor in actors:
        require(0 < len(actor) <= MAX_CHARS, field, actor, f"actors of 1 to {MAX_CHARS} characters")
