"""What a published change can change of an index. Pure data.

An edit says what is there after it, not what it was before: that stands in the log.
"""

from __future__ import annotations

import msgspec

from events.rules import Rule


class SetWeights(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="weights"):
    """The weights of some features. Features that are not named keep theirs."""

    weights: dict[str, float]


class SetRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="rule"):
    """A rule, whole, new or in place of the one of that id."""

    id: str
    rule: Rule


class DeleteRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="rule_deleted"):
    id: str


Edit = SetWeights | SetRule | DeleteRule
