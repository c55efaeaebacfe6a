"""Rules as they are stored in the log: what a merchandiser wants of some searches. Pure data.

A rule is in force while it is enabled and within its window; it fires for a search that meets all of its conditions,
and then does what its actions say. `searchsvc.rules.rulebook` says which rules fire, `searchsvc.rules.directives` what
comes of
several.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final, Literal

import msgspec

from events.errors import InvalidInput, require, require_window

RULE_ID: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")
MAX_RULES: Final = 10_000
MAX_ACTIONS: Final = 300
MAX_PATTERNS: Final = 25
MAX_PATTERN_CHARS: Final = 200
MAX_TAGS: Final = 20
MAX_NAME_CHARS: Final = 128
MAX_PRIORITY: Final = 1000
MAX_PHRASES: Final = 50
MAX_PHRASE_CHARS: Final = 100
MAX_RANK: Final = 300
MIN_FACTOR: Final = 0.01
MAX_FACTOR: Final = 100.0
MAX_ID_CHARS: Final = 512
MAX_URL_CHARS: Final = 2000
MAX_DATA_BYTES: Final = 16 * 1024
_URL: Final = re.compile(r"^(https?://[^\s/]+|/)[^\s]*$")

PatternType = Literal["exact", "starts", "contains", "all_words"]
# A filter in either form of `searchsvc.engines.filters`, which reads it.
FilterInput = str | dict[str, object]


class QueryPattern(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a query has to be: these words and no others, to begin with them, to hold them side by side in this order,
    or to hold them all somewhere. Words are compared as searches compare them: by stem, without regard to case or
    accents. An `exact` one without a text is for who browses."""

    type: PatternType
    text: str = ""


class Conditions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """All that are given have to hold.

    query: a pattern, or several of which any will do. context: tags that the search has to carry, all of them. filters:
    what the search has to be filtered by, perhaps among other things. user_segment: that the shopper is of. experiment:
    the arm that the search is in.
    """

    query: QueryPattern | tuple[QueryPattern, ...] | None = None
    context: tuple[str, ...] = ()
    filters: FilterInput = ""
    user_segment: str = ""
    experiment: str = ""

    @property
    def patterns(self) -> tuple[QueryPattern, ...]:
        if self.query is None:
            return ()
        return (self.query,) if isinstance(self.query, QueryPattern) else self.query


class SynonymAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="synonym"):
    """Phrases that mean the same. words: each may stand for any other. Or one way: where a query holds a phrase of
    `from`, documents that hold one of `to` are found too, and not the other way round."""

    words: tuple[str, ...] = ()
    of: tuple[str, ...] = msgspec.field(default=(), name="from")
    to: tuple[str, ...] = ()


class PinAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="pin"):
    """A document stands at a rank, counted over all pages, whether it matches the query or not; filters still hold."""

    document_id: str
    rank: int


class HideAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="hide"):
    """A document, or all that pass a filter, is not there: not found, not counted."""

    document_id: str = ""
    filter: FilterInput = ""


class BoostAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="boost"):
    """Scores are multiplied. filter: only of what passes it. signal: by 1 + (factor - 1) * that signal of the document,
    which is in [0, 1]."""

    factor: float
    filter: FilterInput = ""
    signal: str = ""


class BuryAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="bury"):
    """A boost by a factor of at most 1."""

    factor: float
    filter: FilterInput = ""
    signal: str = ""


class FilterAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="filter"):
    """Only what passes is there, as if the shopper had asked for it; facets count within it."""

    filter: FilterInput


class ReplaceWordsAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="replace_words"):
    """The query's words `from` are taken for `to`; without `from`, the whole query is."""

    to: str
    of: str = msgspec.field(default="", name="from")


class RemoveWordsAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="remove_words"):
    """The query is searched without these words, unless nothing else is in it."""

    words: tuple[str, ...]


class RedirectAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="redirect"):
    """The answer tells the website to go elsewhere; hits come all the same."""

    url: str


class UserDataAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="user_data"):
    """Whatever the website knows what to do with, such as a banner: any JSON."""

    data: object


Action = (
    SynonymAction
    | PinAction
    | HideAction
    | BoostAction
    | BuryAction
    | FilterAction
    | ReplaceWordsAction
    | RemoveWordsAction
    | RedirectAction
    | UserDataAction
)


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """valid_from, valid_until: with a time zone; None is no bound. The rule ends as `valid_until` begins. priority: of
    rules that want what cannot be had together, the higher one gets it."""

    actions: tuple[Action, ...]
    enabled: bool = True
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    conditions: Conditions = Conditions()
    priority: int = 0

    def in_force(self, now: datetime) -> bool:
        begun = self.valid_from is None or self.valid_from <= now
        return self.enabled and begun and (self.valid_until is None or now < self.valid_until)


def filters_of(rule: Rule) -> Iterator[tuple[str, FilterInput]]:
    """Every filter that a rule has, by the path of its member."""
    if rule.conditions.filters:
        yield "conditions.filters", rule.conditions.filters
    for i, action in enumerate(rule.actions):
        match action:
            case HideAction(filter=given) | BoostAction(filter=given) | BuryAction(filter=given) if given:
                yield f"actions[{i}].filter", given
            case FilterAction(filter=given):
                yield f"actions[{i}].filter", given


def check_rule_id(rule_id: str, field: str = "rule") -> str:
    """Return it, or raise InvalidInput. field: what errors call it."""
    limit = "1 to 128 of A-Z, a-z, 0-9, _ . and -, starting with a letter or digit"
    require(RULE_ID.fullmatch(rule_id) is not None, field, rule_id, limit)
    return rule_id


def check_rule(rule: Rule) -> None:
    """Raise InvalidInput naming the first member that cannot be honoured, as far as the rule alone tells."""
    n_actions = len(rule.actions)
    require(1 <= n_actions <= MAX_ACTIONS, "actions", n_actions, f"1 to {MAX_ACTIONS} actions")
    limit = f"a whole number from {-MAX_PRIORITY} to {MAX_PRIORITY}"
    require(abs(rule.priority) <= MAX_PRIORITY, "priority", rule.priority, limit)
    require_window(rule.valid_from, rule.valid_until, names=("valid_from", "valid_until"))
    check_conditions(rule.conditions)
    for i, action in enumerate(rule.actions):
        _check_action(action, f"actions[{i}]")
    _check_together(rule.actions)


def check_conditions(given: Conditions) -> None:
    """Raise InvalidInput naming the first member that cannot be honoured."""
    n = len(given.patterns)
    require(n <= MAX_PATTERNS, "conditions.query", n, f"at most {MAX_PATTERNS} patterns")
    require(given.query is None or n > 0, "conditions.query", n, "at least one pattern, or none of it")
    several = not isinstance(given.query, QueryPattern)
    for i, pattern in enumerate(given.patterns):
        at = f"conditions.query[{i}]" if several else "conditions.query"
        _check_text(pattern.text, f"{at}.text", MAX_PATTERN_CHARS, empty=pattern.type == "exact")
    require(len(given.context) <= MAX_TAGS, "conditions.context", len(given.context), f"at most {MAX_TAGS} tags")
    for i, tag in enumerate(given.context):
        _check_text(tag, f"conditions.context[{i}]", MAX_NAME_CHARS)
    for name in ("user_segment", "experiment"):
        _check_text(getattr(given, name), f"conditions.{name}", MAX_NAME_CHARS, empty=True)


def _check_action(action: Action, at: str) -> None:
    match action:
        case SynonymAction():
            _check_synonym(action, at)
        case PinAction(document_id=document_id, rank=rank):
            _check_text(document_id, f"{at}.document_id", MAX_ID_CHARS)
            require(1 <= rank <= MAX_RANK, f"{at}.rank", rank, f"1 to {MAX_RANK}")
        case HideAction(document_id=document_id, filter=given):
            require(bool(document_id) != bool(given), at, "hide", "either document_id or filter")
            _check_text(document_id, f"{at}.document_id", MAX_ID_CHARS, empty=True)
        case BoostAction(factor=factor):
            _check_factor(factor, at, MAX_FACTOR)
        case BuryAction(factor=factor):
            _check_factor(factor, at, 1.0)
        case FilterAction(filter=given):
            require(bool(given), f"{at}.filter", given, "a filter that is not empty")
        case ReplaceWordsAction(of=of, to=to):
            _check_text(of, f"{at}.from", MAX_PATTERN_CHARS, empty=True)
            _check_text(to, f"{at}.to", MAX_PATTERN_CHARS)
        case RemoveWordsAction(words=words):
            require(1 <= len(words) <= MAX_PHRASES, f"{at}.words", len(words), f"1 to {MAX_PHRASES} words")
            for j, word in enumerate(words):
                _check_text(word, f"{at}.words[{j}]", MAX_PHRASE_CHARS)
        case RedirectAction(url=url):
            well = len(url) <= MAX_URL_CHARS and _URL.fullmatch(url) is not None
            limit = f"http://..., https://... or a path from /, at most {MAX_URL_CHARS} characters"
            require(well, f"{at}.url", url, limit)
        case UserDataAction(data=data):
            n_bytes = len(msgspec.json.encode(data))
            require(n_bytes <= MAX_DATA_BYTES, f"{at}.data", n_bytes, f"at most {MAX_DATA_BYTES} bytes of JSON")


def _check_factor(factor: float, at: str, most: float) -> None:
    well = math.isfinite(factor) and MIN_FACTOR <= factor <= most
    require(well, f"{at}.factor", factor, f"a finite number from {MIN_FACTOR:g} to {most:g}")


def _check_text(text: str, at: str, most: int, *, empty: bool = False) -> None:
    least = 0 if empty else 1
    require(least <= len(text.strip()) and len(text) <= most, at, text, f"{least} to {most} characters")


def _check_together(actions: tuple[Action, ...]) -> None:
    """Raise InvalidInput where one action of a rule stands in another's way."""
    ranks: dict[int, int] = {}
    pinned: dict[str, int] = {}
    hidden = {action.document_id for action in actions if isinstance(action, HideAction)}
    for i, action in enumerate(actions):
        if isinstance(action, PinAction):
            _refuse_double(ranks.setdefault(action.rank, i), i, "rank", action.rank)
            _refuse_double(pinned.setdefault(action.document_id, i), i, "document_id", action.document_id)
            limit = "a document that the rule does not hide"
            require(action.document_id not in hidden, f"actions[{i}].document_id", action.document_id, limit)
        elif isinstance(action, RedirectAction):
            _refuse_double(ranks.setdefault(0, i), i, "type", "redirect")


def _refuse_double(first: int, i: int, member: str, value: object) -> None:
    if first != i:
        limit = f"another than that of actions[{first}]"
        raise InvalidInput(
            f"actions[{i}].{member} is {value!r}, as in actions[{first}]",
            field=f"actions[{i}].{member}",
            value=value,
            limit=limit,
        )


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
