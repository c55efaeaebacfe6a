"""Which rules are valid, as far as the rule alone tells. Pure.

`searchsvc.rules.checks` checks a rule against an index.
"""

from __future__ import annotations

import math
import re
from typing import Final

import msgspec

from events.errors import InvalidInput, require, require_window
from events.rules import (
    MAX_FACTOR,
    MAX_NAME_CHARS,
    MAX_PRIORITY,
    MAX_TAGS,
    MIN_FACTOR,
    Action,
    BoostAction,
    BuryAction,
    Conditions,
    FilterAction,
    HideAction,
    PinAction,
    QueryPattern,
    RedirectAction,
    RemoveWordsAction,
    ReplaceWordsAction,
    Rule,
    SynonymAction,
    UserDataAction,
)
from events.sizes import KIB

RULE_ID: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")
MAX_ACTIONS: Final = 300
MAX_PATTERNS: Final = 25
MAX_PATTERN_CHARS: Final = 200
MAX_PHRASES: Final = 50
MAX_PHRASE_CHARS: Final = 100
MAX_RANK: Final = 300
MAX_ID_CHARS: Final = 512
MAX_URL_CHARS: Final = 2000
MAX_DATA_BYTES: Final = 16 * KIB
# What a rule may do that fires for some filters: all that does not change which documents match.
WITH_FILTERS: Final = ("boost", "bury", "redirect", "user_data")
_URL: Final = re.compile(r"^(https?://[^\s/]+|/)[^\s]*$")


def check_rule_id(rule_id: str, field: str = "rule") -> str:
    """Return the id. Raises InvalidInput if it is not valid. field: its name in the error message."""
    limit = "1 to 128 of A-Z, a-z, 0-9, _ . and -, starting with a letter or digit"
    require(RULE_ID.fullmatch(rule_id) is not None, field, rule_id, limit)
    return rule_id


def check_rule(rule: Rule) -> None:
    """Raise InvalidInput naming the first member that is not valid."""
    n_actions = len(rule.actions)
    require(1 <= n_actions <= MAX_ACTIONS, "actions", n_actions, f"1 to {MAX_ACTIONS} actions")
    limit = f"a whole number from {-MAX_PRIORITY} to {MAX_PRIORITY}"
    require(abs(rule.priority) <= MAX_PRIORITY, "priority", rule.priority, limit)
    require_window(rule.valid_from, rule.valid_until, names=("valid_from", "valid_until"))
    check_conditions(rule.conditions)
    for i, action in enumerate(rule.actions):
        _check_action(action, f"actions[{i}]")
        if rule.conditions.filters:
            # Else choosing a facet value would change which documents match, and give another number than its count.
            limit = f"{' or '.join(WITH_FILTERS)} in a rule with conditions.filters; for a category page use a scope"
            name = str(action.__struct_config__.tag)
            require(name in WITH_FILTERS, f"actions[{i}].type", name, limit)
    _check_compatible(rule.actions)


def check_conditions(conditions: Conditions) -> None:
    """Raise InvalidInput naming the first member that is not valid."""
    n = len(conditions.patterns)
    require(n <= MAX_PATTERNS, "conditions.query", n, f"at most {MAX_PATTERNS} patterns")
    require(conditions.query is None or n > 0, "conditions.query", n, "at least one pattern, or no such member")
    is_list = not isinstance(conditions.query, QueryPattern)
    for i, pattern in enumerate(conditions.patterns):
        path = f"conditions.query[{i}]" if is_list else "conditions.query"
        _check_text(pattern.text, f"{path}.text", MAX_PATTERN_CHARS, may_be_empty=pattern.type == "exact")
    n_tags = len(conditions.context)
    require(n_tags <= MAX_TAGS, "conditions.context", n_tags, f"at most {MAX_TAGS} tags")
    for i, tag in enumerate(conditions.context):
        _check_text(tag, f"conditions.context[{i}]", MAX_NAME_CHARS)
    for name in ("user_segment", "experiment"):
        _check_text(getattr(conditions, name), f"conditions.{name}", MAX_NAME_CHARS, may_be_empty=True)


def _check_action(action: Action, path: str) -> None:
    match action:
        case SynonymAction():
            _check_synonym(action, path)
        case PinAction(document_id=document_id, rank=rank):
            _check_text(document_id, f"{path}.document_id", MAX_ID_CHARS)
            require(1 <= rank <= MAX_RANK, f"{path}.rank", rank, f"1 to {MAX_RANK}")
        case HideAction(document_id=document_id, filter=text):
            require(bool(document_id) != bool(text), path, "hide", "either document_id or filter")
            _check_text(document_id, f"{path}.document_id", MAX_ID_CHARS, may_be_empty=True)
        case BoostAction(factor=factor):
            _check_factor(factor, path, MAX_FACTOR)
        case BuryAction(factor=factor):
            _check_factor(factor, path, 1.0)
        case FilterAction(filter=text):
            require(bool(text), f"{path}.filter", text, "a filter that is not empty")
        case ReplaceWordsAction(of=of, to=to):
            _check_text(of, f"{path}.from", MAX_PATTERN_CHARS, may_be_empty=True)
            _check_text(to, f"{path}.to", MAX_PATTERN_CHARS)
        case RemoveWordsAction(words=words):
            require(1 <= len(words) <= MAX_PHRASES, f"{path}.words", len(words), f"1 to {MAX_PHRASES} words")
            for i, word in enumerate(words):
                _check_text(word, f"{path}.words[{i}]", MAX_PHRASE_CHARS)
        case RedirectAction(url=url):
            is_valid = len(url) <= MAX_URL_CHARS and _URL.fullmatch(url) is not None
            limit = f"http://..., https://... or a path from /, at most {MAX_URL_CHARS} characters"
            require(is_valid, f"{path}.url", url, limit)
        case UserDataAction(data=data):
            n_bytes = len(msgspec.json.encode(data))
            require(n_bytes <= MAX_DATA_BYTES, f"{path}.data", n_bytes, f"at most {MAX_DATA_BYTES} bytes of JSON")


def _check_synonym(action: SynonymAction, path: str) -> None:
    is_two_way = bool(action.words)
    is_one_way = bool(action.of or action.to)
    require(is_two_way != is_one_way, path, "synonym", "either words, or from and to")
    if is_two_way:
        require(len(action.words) >= 2, f"{path}.words", len(action.words), "at least 2 phrases")
    else:
        require(bool(action.of), f"{path}.from", 0, "at least one phrase")
        require(bool(action.to), f"{path}.to", 0, "at least one phrase")
    for name, phrases in (("words", action.words), ("from", action.of), ("to", action.to)):
        require(len(phrases) <= MAX_PHRASES, f"{path}.{name}", len(phrases), f"at most {MAX_PHRASES} phrases")
        for i, phrase in enumerate(phrases):
            is_valid = bool(phrase.strip()) and len(phrase) <= MAX_PHRASE_CHARS
            require(is_valid, f"{path}.{name}[{i}]", phrase, f"1 to {MAX_PHRASE_CHARS} characters")


def _check_factor(factor: float, path: str, max_factor: float) -> None:
    is_valid = math.isfinite(factor) and MIN_FACTOR <= factor <= max_factor
    require(is_valid, f"{path}.factor", factor, f"a finite number from {MIN_FACTOR:g} to {max_factor:g}")


def _check_text(text: str, path: str, max_chars: int, *, may_be_empty: bool = False) -> None:
    min_chars = 0 if may_be_empty else 1
    is_valid = min_chars <= len(text.strip()) and len(text) <= max_chars
    require(is_valid, path, text, f"{min_chars} to {max_chars} characters")


def _check_compatible(actions: tuple[Action, ...]) -> None:
    """Raise InvalidInput if two actions of one rule cannot both be carried out."""
    ranks: dict[int, int] = {}
    pinned: dict[str, int] = {}
    first_redirect: int | None = None
    hidden = {action.document_id for action in actions if isinstance(action, HideAction)}
    for i, action in enumerate(actions):
        if isinstance(action, PinAction):
            _require_first(ranks.setdefault(action.rank, i), i, "rank", action.rank)
            _require_first(pinned.setdefault(action.document_id, i), i, "document_id", action.document_id)
            limit = "a document that the rule does not hide"
            require(action.document_id not in hidden, f"actions[{i}].document_id", action.document_id, limit)
        elif isinstance(action, RedirectAction):
            first_redirect = i if first_redirect is None else first_redirect
            _require_first(first_redirect, i, "type", "redirect")


def _require_first(first: int, i: int, member: str, value: object) -> None:
    """Raise InvalidInput if action i repeats a value of an earlier action."""
    if first != i:
        raise InvalidInput(
            f"actions[{i}].{member} is {value!r}, as in actions[{first}]",
            field=f"actions[{i}].{member}",
            value=value,
            limit=f"another than that of actions[{first}]",
        )
