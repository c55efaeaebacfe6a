"""Rules as they are stored in `RuleChanged`: what a merchandiser wants of some queries. Pure data.

A rule has actions; synonyms are the first kind. It is in force while it is enabled and within its window.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

import msgspec

from events.errors import require

RULE_ID: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")
MAX_RULES: Final = 10_000
MAX_ACTIONS: Final = 20
MAX_PHRASES: Final = 50
MAX_PHRASE_CHARS: Final = 100


class SynonymAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="synonym"):
    """Phrases that mean the same. words: each may stand for any other. Or one way: where a query holds a phrase of
    `from`, documents that hold one of `to` are found too, and not the other way round."""

    words: tuple[str, ...] = ()
    of: tuple[str, ...] = msgspec.field(default=(), name="from")
    to: tuple[str, ...] = ()


Action = SynonymAction


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """valid_from, valid_until: with a time zone; None is no bound. The rule ends as `valid_until` begins."""

    actions: tuple[Action, ...]
    enabled: bool = True
    valid_from: datetime | None = None
    valid_until: datetime | None = None

    def in_force(self, now: datetime) -> bool:
        begun = self.valid_from is None or self.valid_from <= now
        return self.enabled and begun and (self.valid_until is None or now < self.valid_until)


def check_rule_id(rule_id: str) -> str:
    """Return it, or raise InvalidInput."""
    limit = "1 to 128 of A-Z, a-z, 0-9, _ . and -, starting with a letter or digit"
    require(RULE_ID.fullmatch(rule_id) is not None, "rule", rule_id, limit)
    return rule_id


def check_rule(rule: Rule) -> None:
    """Raise InvalidInput naming the first member that cannot be honoured."""
    n_actions = len(rule.actions)
    require(1 <= n_actions <= MAX_ACTIONS, "actions", n_actions, f"1 to {MAX_ACTIONS} actions")
    for name, at in (("valid_from", rule.valid_from), ("valid_until", rule.valid_until)):
        require(at is None or at.tzinfo is not None, name, str(at), "a time with its zone, such as ...T00:00:00Z")
    if rule.valid_from is not None and rule.valid_until is not None:
        order = f"later than valid_from, {rule.valid_from.isoformat()}"
        require(rule.valid_from < rule.valid_until, "valid_until", rule.valid_until.isoformat(), order)
    for i, action in enumerate(rule.actions):
        _check_synonym(action, f"actions[{i}]")


def _check_synonym(action: SynonymAction, at: str) -> None:
    both_ways = bool(action.words)
    one_way = bool(action.of or action.to)
    require(both_ways != one_way, at, "synonym", "either words, or from and to")
    if both_ways:
        require(len(action.words) >= 2, f"{at}.words", len(action.words), "at least 2 phrases")
    else:
        require(bool(action.of), f"{at}.from", 0, "at least one phrase")
        require(bool(action.to), f"{at}.to", 0, "at least one phrase")
    for name, phrases in (("words", action.words), ("from", action.of), ("to", action.to)):
        require(len(phrases) <= MAX_PHRASES, f"{at}.{name}", len(phrases), f"at most {MAX_PHRASES} phrases")
        for j, phrase in enumerate(phrases):
            well = bool(phrase.strip()) and len(phrase) <= MAX_PHRASE_CHARS
            require(well, f"{at}.{name}[{j}]", phrase, f"1 to {MAX_PHRASE_CHARS} characters")
