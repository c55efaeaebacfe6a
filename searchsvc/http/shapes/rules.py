"""Rules."""

from __future__ import annotations

from datetime import datetime

import msgspec

from events.index_control import StoredRule
from events.rules import Action, Conditions, Rule
from searchsvc.rules.conflicts import RuleConflict
from searchsvc.rules.cost_checks import RuleCost


class RuleInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole rule, as in `events.rules.Rule`, and the reason for it.

    expected_seq: refuse (409) if another change wrote the rule last; 0 if there must be no such rule yet
    """

    actions: tuple[Action, ...]
    conditions: Conditions = Conditions()
    priority: int = 0
    enabled: bool = True
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    reason: str = ""
    expected_seq: int | None = None

    def rule(self) -> Rule:
        """Return the rule without the reason."""
        return Rule(self.actions, self.enabled, self.valid_from, self.valid_until, self.conditions, self.priority)


class DeletionQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a rule is deleted.

    expected_seq: refuse (409) if another change wrote the rule last
    """

    reason: str = ""
    expected_seq: int | None = None


class RuleInfo(msgspec.Struct, frozen=True):
    """One rule, and the change that wrote it.

    in_force: whether it is enabled and within its period now
    seq: CONTROL sequence of the change
    created_seq: CONTROL sequence of the change that created the rule
    """

    id: str
    conditions: Conditions
    actions: tuple[Action, ...]
    priority: int
    enabled: bool
    valid_from: datetime | None
    valid_until: datetime | None
    in_force: bool
    seq: int
    created_seq: int
    timestamp: datetime
    actor: str
    actor_verified: bool
    reason: str

    @staticmethod
    def from_stored(stored: StoredRule, now: datetime) -> RuleInfo:
        """Describe a rule."""
        rule = stored.rule
        return RuleInfo(
            id=stored.id,
            conditions=rule.conditions,
            actions=rule.actions,
            priority=rule.priority,
            enabled=rule.enabled,
            valid_from=rule.valid_from,
            valid_until=rule.valid_until,
            in_force=rule.in_force(now),
            seq=stored.seq,
            created_seq=stored.created_seq,
            timestamp=stored.timestamp,
            actor=stored.actor,
            actor_verified=stored.actor_verified,
            reason=stored.reason,
        )


class RuleList(msgspec.Struct, frozen=True):
    """Rules of an index, by id.

    next_after: `after` of the next page; null if this is the last one
    """

    index: str
    rules: list[RuleInfo]
    next_after: str | None = None


class RuleChangedAnswer(msgspec.Struct, frozen=True):
    """A change of a rule, already served.

    seq: CONTROL sequence of the change
    rule: null if it was deleted
    conflicts: conflicts of this rule with others
    cost: what it costs searches; null if it was deleted
    """

    seq: int
    rule: RuleInfo | None
    conflicts: list[RuleConflict] = []
    cost: RuleCost | None = None
