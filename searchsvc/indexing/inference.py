"""Index settings from sample documents: what to search, what to embed, which numbers tell popularity. Pure.

People see the result and change it; so the rules are few, and each can be said in one sentence.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from events.errors import InvalidInput
from events.settings import FIELD_NAME, Embedding, IndexSettings, SearchableField, Signal

TITLE_NAMES: Final = ("title", "name", "product_name", "product_title", "headline", "label", "subject")
POPULARITY_WORDS: Final = frozenset(
    {
        "votes",
        "popularity",
        "rating",
        "ratings",
        "stars",
        "reviews",
        "sales",
        "sold",
        "orders",
        "views",
        "likes",
        "downloads",
    }
)
STOCK_NAMES: Final = frozenset({"in_stock", "instock", "is_in_stock", "available", "is_available"})
MAX_FIELDS: Final = 10
# That many text members under one prefix are one field: nobody sets a weight for each of a thousand attributes.
GROUP_FROM: Final = 8
MIN_PRESENCE: Final = 0.01
SHORT_TEXT_CHARS: Final = 80
MAX_SIGNAL_FIELDS: Final = 3
MIN_YEAR: Final = 1800
MAX_YEAR: Final = 2200

_ADDRESS = re.compile(r"^(https?://|//|data:|/)\S*$")
_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}([T ].*)?$")


class _Member(msgspec.Struct):
    """What the sample says of one document member."""

    texts: list[str] = []
    numbers: list[float] = []
    seen: int = 0


def infer_settings(documents: Sequence[Mapping[str, object]]) -> IndexSettings:
    """Settings that search the sample sensibly. Raises InvalidInput where no member holds text."""
    members = _survey(documents)
    readable = {name: m for name, m in members.items() if _searchable(name, m, len(documents))}
    groups = _groups(readable)
    single = {name: m for name, m in readable.items() if not any(name.startswith(prefix) for prefix in groups)}
    years = [name for name, m in members.items() if _tells_years(m, len(documents))]
    if not single:
        raise InvalidInput(
            "no member of the documents holds text to search", field="documents", limit="at least one text"
        )
    title = _title(single)
    by_presence = sorted(single, key=lambda name: (name != title, -single[name].seen))[
        : MAX_FIELDS - len(groups) - len(years)
    ]
    chosen = [name for name in single if name in by_presence]
    chosen.sort(key=lambda name: name != title)
    fields = [SearchableField(name) for name in chosen]
    fields += [SearchableField(name) for name in years]
    fields += [SearchableField(prefix.rstrip("_.-"), (prefix + "*",)) for prefix in groups]
    words = [name for name in chosen if not _code_like(single[name])]
    embedded = sorted(words, key=lambda name: (name != title, _mean_chars(single[name]) > SHORT_TEXT_CHARS))
    signals = [_signal(name, m) for name, m in members.items() if _tells_popularity(name, m, len(documents))]
    stock = [name for name in members if _tells_stock(name, documents)]
    return IndexSettings(
        searchable=tuple(fields),
        title=title,
        embedding=Embedding(tuple(embedded or [title])),
        signals=(*signals[:MAX_SIGNAL_FIELDS], *(Signal(name, "boolean") for name in stock[:1])),
    )


def _survey(documents: Sequence[Mapping[str, object]]) -> dict[str, _Member]:
    members: defaultdict[str, _Member] = defaultdict(_Member)
    for document in documents:
        for name, value in document.items():
            if name == "id" or value is None or value == []:
                continue
            member = members[name]
            if isinstance(value, bool):
                continue
            member.seen += 1
            if isinstance(value, int | float):
                if abs(value) >= 1e300:
                    continue
                member.numbers.append(float(value))
            elif isinstance(value, str):
                member.texts.append(value)
            elif isinstance(value, list) and all(isinstance(item, str) for item in value):
                member.texts.append(", ".join(value))
    return dict(members)


def _searchable(name: str, member: _Member, n_documents: int) -> bool:
    """Text, often enough, and neither an address nor a date."""
    texts = member.texts
    if not texts or len(texts) < member.seen / 2 or not FIELD_NAME.fullmatch(name):
        return False
    if _share(texts, _ADDRESS) > 0.5 or _share(texts, _DATE) > 0.8:
        return False
    return member.seen >= MIN_PRESENCE * n_documents or _prefixes(name) != []


def _tells_years(member: _Member, n_documents: int) -> bool:
    """Whole numbers that are years, at least half of the documents': people type them beside a name."""
    numbers = member.numbers
    years = bool(numbers) and all(number.is_integer() and MIN_YEAR <= number <= MAX_YEAR for number in numbers)
    return years and len(numbers) >= n_documents / 2 and len(set(numbers)) > 1


def _groups(members: Mapping[str, _Member]) -> list[str]:
    """Prefixes that gather many members; of two that gather the same ones, the longer."""
    counts = Counter(prefix for name in members for prefix in _prefixes(name))
    groups: list[str] = []
    for prefix, n in sorted(counts.items(), key=lambda item: (-item[1], -len(item[0]))):
        if n >= GROUP_FROM and not any(prefix.startswith(g) or g.startswith(prefix) for g in groups):
            groups.append(prefix)
    return groups[: MAX_FIELDS // 2]


def _prefixes(name: str) -> list[str]:
    return [name[: match.end()] for match in re.finditer(r"[_.-]", name) if match.end() < len(name)]


def _title(members: Mapping[str, _Member]) -> str:
    """A member of a usual name, else the short text that differs most between documents."""
    for name in TITLE_NAMES:
        if name in members:
            return name
    return max(
        members,
        key=lambda name: (
            _mean_chars(members[name]) <= SHORT_TEXT_CHARS,
            len(set(members[name].texts)) / max(len(members[name].texts), 1) * members[name].seen,
        ),
    )


def _code_like(member: _Member) -> bool:
    """Article numbers and bar codes: most words hold a digit. A language model makes nothing of them."""
    words = [word for text in member.texts for word in text.split()]
    return sum(any(c.isdigit() for c in word) for word in words) > 0.5 * len(words)


def _tells_popularity(name: str, member: _Member, n_documents: int) -> bool:
    """A number named after popularity, never negative, that at least half of the documents have."""
    named = POPULARITY_WORDS & set(re.split(r"[_.-]", name.lower()))
    common = len(member.numbers) >= max(n_documents / 2, 1)
    return bool(named) and common and min(member.numbers) >= 0 and max(member.numbers) > 0


def _tells_stock(name: str, documents: Sequence[Mapping[str, object]]) -> bool:
    """True or false, named after stock, that at least half of the documents have."""
    if name.lower().replace("-", "_") not in STOCK_NAMES:
        return False
    return sum(isinstance(document.get(name), bool) for document in documents) >= max(len(documents) / 2, 1)


def _signal(name: str, member: _Member) -> Signal:
    """Counts spread over orders of magnitude and are compared by their logarithm; grades up to 10 as they are."""
    largest = max(member.numbers)
    if largest <= 10:
        return Signal(name, "identity", largest)
    return Signal(name, "log1p", round(math.log1p(largest), 4))


def _share(texts: Sequence[str], pattern: re.Pattern[str]) -> float:
    return sum(bool(pattern.match(text)) for text in texts) / len(texts)


def _mean_chars(member: _Member) -> float:
    return sum(map(len, member.texts)) / max(len(member.texts), 1)
