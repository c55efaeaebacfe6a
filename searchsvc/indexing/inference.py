"""Infer index settings from sample documents: what to search, what to embed, which numbers show popularity. Pure.

People see the result and change it, so the rules are few, and each is one sentence.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final

import msgspec

from events.errors import InvalidInput
from events.settings import MAX_SEARCHABLE_FIELDS, Embedding, IndexSettings, SearchableField, Signal, is_field_name
from searchsvc.engines.values import is_number_text, read_text
from searchsvc.indexing.coverage import MAX_WARNINGS, DocumentWarning

TITLE_NAMES: Final = ("title", "name", "product_name", "product_title", "headline", "label", "subject")
POPULARITY_WORDS: Final = frozenset(
    {"votes", "popularity", "rating", "ratings", "stars", "reviews", "sales", "sold", "orders"}
    | {"views", "likes", "downloads"}
)
STOCK_NAMES: Final = frozenset({"in_stock", "instock", "is_in_stock", "available", "is_available"})
# From this many text members under one prefix, they become one field: people do not weigh a thousand attributes singly.
MIN_GROUP_MEMBERS: Final = 8
# Share of the documents that a field must be in.
MIN_PRESENCE: Final = 0.01
SHORT_TEXT_CHARS: Final = 80
MAX_SIGNAL_FIELDS: Final = 3
MIN_YEAR: Final = 1800
MAX_YEAR: Final = 2200
MAX_NUMBER: Final = 1e300
# Shares of texts from which a member is not searched.
MAX_ADDRESSES: Final = 0.5
MAX_READABLE: Final = 0.8

_ADDRESS: Final = re.compile(r"^(https?://|//|data:|/)\S*$")
_SEPARATORS: Final = " _.-"


class _Member(msgspec.Struct):
    """The values of one document member in the sample.

    n_documents: documents that have a text, a number or a list here.
    """

    texts: list[str] = []
    numbers: list[float] = []
    n_documents: int = 0


def infer_settings(documents: Sequence[Mapping[str, object]]) -> IndexSettings:
    """Infer settings from a sample. Raises InvalidInput if no member holds text."""
    n_documents = len(documents)
    members = _collect_members(documents)
    texts = {name: member for name, member in members.items() if _is_searchable(name, member, n_documents)}
    prefixes = _group_prefixes(texts)
    single = {name: member for name, member in texts.items() if not any(name.startswith(p) for p in prefixes)}
    years = [name for name, member in members.items() if _holds_years(member, n_documents)]
    if not single:
        raise InvalidInput(
            "no member of the documents holds text to search", field="documents", limit="at least one text"
        )
    title = _title(single)
    names = _most_present(single, title, MAX_SEARCHABLE_FIELDS - len(prefixes) - len(years))
    fields = [SearchableField(name) for name in (*names, *years)]
    fields += [SearchableField(prefix.rstrip(_SEPARATORS), (prefix + "*",)) for prefix in prefixes]
    prose = [name for name in names if not _holds_codes(single[name])]
    embedded = sorted(prose, key=lambda name: (name != title, _mean_chars(single[name]) > SHORT_TEXT_CHARS))
    popularity = [_signal(name, m) for name, m in members.items() if _shows_popularity(name, m, n_documents)]
    stock = [Signal(name, "boolean") for name in members if _shows_stock(name, documents)]
    return IndexSettings(
        searchable=tuple(fields),
        title=title,
        embedding=Embedding(tuple(embedded or [title])),
        signals=(*popularity[:MAX_SIGNAL_FIELDS], *stock[:1]),
    )


def left_out(documents: Sequence[Mapping[str, object]], settings: IndexSettings) -> list[DocumentWarning]:
    """Return a warning for each member with texts that inferred settings do not search.

    documents: the sample that they were inferred from
    """
    members = _collect_members(documents)
    texts = [name for name, member in members.items() if _is_searchable(name, member, len(documents))]
    full = f"is not searched: more documents have other members, and at most {MAX_SEARCHABLE_FIELDS} are"
    objects = "holds objects and is not searched; a field of `searchable` may name it, or a member of it as {}"
    reasons = {name: full for name in texts if not settings.searches(name)}
    reasons |= {name: objects.format(path) for name, path in _paths_of_objects(documents).items()}
    return [DocumentWarning(name, f"{name} {reason}") for name, reason in islice(reasons.items(), MAX_WARNINGS)]


def _paths_of_objects(documents: Sequence[Mapping[str, object]]) -> dict[str, str]:
    """Return an example of a text in objects, such as `variants.colour`, by the member that holds them."""
    paths: dict[str, str] = {}
    for document in documents:
        for name, value in document.items():
            if name in paths:
                continue
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, Mapping):
                    inner = next((key for key, text in item.items() if isinstance(text, str) and text), None)
                    paths |= {name: f"{name}.{inner}"} if inner is not None else {}
                    break
    return paths


def _collect_members(documents: Sequence[Mapping[str, object]]) -> dict[str, _Member]:
    members: defaultdict[str, _Member] = defaultdict(_Member)
    for document in documents:
        for name, value in document.items():
            if name == "id" or value is None or value == []:
                continue
            member = members[name]
            if isinstance(value, bool):
                continue
            member.n_documents += 1
            if isinstance(value, int | float):
                if abs(value) >= MAX_NUMBER:
                    continue
                member.numbers.append(float(value))
            elif isinstance(value, str):
                member.texts.append(value)
            elif isinstance(value, list) and all(isinstance(item, str) for item in value):
                member.texts.append(", ".join(value))
    return dict(members)


def _is_searchable(name: str, member: _Member, n_documents: int) -> bool:
    """Return whether a member is text in enough documents, and not addresses, dates, prices, or yes and no."""
    texts = member.texts
    if not texts or len(texts) < member.n_documents / 2 or not is_field_name(name):
        return False
    if _matching_share(texts, _ADDRESS) > MAX_ADDRESSES or sum(map(_is_no_prose, texts)) > MAX_READABLE * len(texts):
        return False
    return member.n_documents >= MIN_PRESENCE * n_documents or _prefixes(name) != []


def _holds_years(member: _Member, n_documents: int) -> bool:
    """Return whether a member is a year, different ones, in at least half of the documents.

    Shoppers type years next to a name.
    """
    numbers = member.numbers
    are_years = bool(numbers) and all(number.is_integer() and MIN_YEAR <= number <= MAX_YEAR for number in numbers)
    return are_years and len(numbers) >= n_documents / 2 and len(set(numbers)) > 1


def _group_prefixes(members: Mapping[str, _Member]) -> list[str]:
    """Return prefixes that many members share; of two prefixes of the same members, the longer one."""
    counts = Counter(prefix for name in members for prefix in _prefixes(name))
    prefixes: list[str] = []
    for prefix, n in sorted(counts.items(), key=lambda item: (-item[1], -len(item[0]))):
        overlaps = any(prefix.startswith(earlier) or earlier.startswith(prefix) for earlier in prefixes)
        if n >= MIN_GROUP_MEMBERS and not overlaps:
            prefixes.append(prefix)
    return prefixes[: MAX_SEARCHABLE_FIELDS // 2]


def _prefixes(name: str) -> list[str]:
    return [name[: match.end()] for match in re.finditer(f"[{_SEPARATORS}]", name) if match.end() < len(name)]


def _title(members: Mapping[str, _Member]) -> str:
    """Return the member that is the title: by a usual name, else the short text that differs most."""
    usual = {re.sub("[ -]", "_", name.lower()): name for name in reversed(list(members))}
    for name in TITLE_NAMES:
        if name in usual:
            return usual[name]
    return max(
        members,
        key=lambda name: (
            _mean_chars(members[name]) <= SHORT_TEXT_CHARS,
            len(set(members[name].texts)) / max(len(members[name].texts), 1) * members[name].n_documents,
        ),
    )


def _most_present(members: Mapping[str, _Member], title: str, n: int) -> list[str]:
    """Return the n members that most documents have, the title first, else in the order of the sample."""
    most_present = sorted(members, key=lambda name: (name != title, -members[name].n_documents))[:n]
    return sorted((name for name in members if name in most_present), key=lambda name: name != title)


def _holds_codes(member: _Member) -> bool:
    """Return whether most words contain a digit, as article numbers do. A language model cannot use them."""
    words = [word for text in member.texts for word in text.split()]
    return sum(any(c.isdigit() for c in word) for word in words) > 0.5 * len(words)


def _shows_popularity(name: str, member: _Member, n_documents: int) -> bool:
    """Return whether a member is named after popularity and is a number, never negative, in half of the documents."""
    is_named = POPULARITY_WORDS & set(re.split(f"[{_SEPARATORS}]", name.lower()))
    is_common = len(member.numbers) >= max(n_documents / 2, 1)
    return bool(is_named) and is_common and min(member.numbers) >= 0 and max(member.numbers) > 0


def _shows_stock(name: str, documents: Sequence[Mapping[str, object]]) -> bool:
    """Return whether a member is named after stock and is true or false in at least half of the documents."""
    if re.sub("[ -]", "_", name.lower()) not in STOCK_NAMES:
        return False
    return sum(isinstance(document.get(name), bool) for document in documents) >= max(len(documents) / 2, 1)


def _signal(name: str, member: _Member) -> Signal:
    """Return the signal of a number: grades up to 10 as they are, larger counts by their logarithm."""
    largest = max(member.numbers)
    if largest <= 10:
        return Signal(name, "identity", largest)
    return Signal(name, "log1p", round(math.log1p(largest), 4))


def _is_no_prose(text: str) -> bool:
    """Whether a text is a date, a price, or yes or no. A plain number may be an article number."""
    return any(reading is not None for reading in read_text(text)) and not is_number_text(text)


def _matching_share(texts: Sequence[str], pattern: re.Pattern[str]) -> float:
    return sum(bool(pattern.match(text)) for text in texts) / len(texts)


def _mean_chars(member: _Member) -> float:
    return sum(map(len, member.texts)) / max(len(member.texts), 1)
