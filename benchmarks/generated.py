"""A catalogue of any size in the language of a real one: titles crossed over at words that two of them share.

"Kensington Duo Gel Mouse Pad" and "Logitech Wireless Mouse M185" make "Kensington Duo Gel Mouse M185". So words are as
frequent, and stand beside each other, as in the real titles; no two titles are the same, and each product has an
article number of its own.
"""

from __future__ import annotations

import string
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from benchmarks import report
from events.settings import Embedding, IndexSettings, SearchableField

MAX_WORDS: Final = 16
COLOURS: Final = ("Black", "Blue", "Green", "Grey", "Red", "Silver", "White", "Yellow")

SETTINGS: Final = IndexSettings(
    searchable=(SearchableField("title"), SearchableField("supplier"), SearchableField("article_number")),
    title="title",
    embedding=Embedding(("title",)),
    signals=(),
)


def catalogue(documents: Sequence[Mapping[str, Any]], n: int) -> Iterator[dict[str, Any]]:
    """n products, always the same ones. documents: a real catalogue, with titles and perhaps suppliers or brands."""
    rng = np.random.default_rng(report.SEED)
    titled = [one for one in documents if one.get("title")]
    sources = [(str(one["title"]).split(), str(one.get("supplier") or one.get("brand") or "")) for one in titled]
    places: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for number, (words, _) in enumerate(sources):
        for at, word in enumerate(words):
            places[word].append((number, at))
    seen: set[str] = set()
    while len(seen) < n:
        number = int(rng.integers(len(sources)))
        words, supplier = list(sources[number][0]), sources[number][1]
        for _ in range(2):
            at = int(rng.integers(len(words)))
            others = places[words[at]]
            other, continues = others[int(rng.integers(len(others)))]
            words = [*words[:at], *sources[other][0][continues:]][:MAX_WORDS]
        title = " ".join(words)
        if title in seen:
            words.insert(int(rng.integers(len(words) + 1)), COLOURS[int(rng.integers(len(COLOURS)))])
            title = " ".join(words)
        if title in seen:
            continue
        seen.add(title)
        letters = "".join(string.ascii_uppercase[i] for i in rng.integers(26, size=2))
        yield {
            "id": f"g{len(seen)}",
            "title": title,
            "supplier": supplier,
            "article_number": f"{letters}{int(rng.integers(10_000_000)):07}",
            "price": round(float(rng.lognormal(4.0, 1.2)), 2),
            "colour": COLOURS[int(rng.integers(len(COLOURS)))],
            "in_stock": bool(rng.random() < 0.8),
            "released": f"{2000 + int(rng.integers(26))}-{1 + int(rng.integers(12)):02}-{1 + int(rng.integers(28)):02}",
        }
