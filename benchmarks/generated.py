"""A catalogue of any size in the language of a real one: titles crossed over at words that two of them share. Seeded.

"Kensington Duo Gel Mouse Pad" and "Logitech Wireless Mouse M185" make "Kensington Duo Gel Mouse M185". So words have
the frequencies and neighbours of real titles. No two titles are equal, and every product has its own article number.
"""

from __future__ import annotations

import string
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from benchmarks import report
from events.errors import InvalidInput
from events.settings import Embedding, IndexSettings, SearchableField

MAX_WORDS: Final = 16
N_CROSSOVERS: Final = 2
COLOURS: Final = ("Black", "Blue", "Green", "Grey", "Red", "Silver", "White", "Yellow")

SETTINGS: Final = IndexSettings(
    searchable=(SearchableField("title"), SearchableField("supplier"), SearchableField("article_number")),
    title="title",
    embedding=Embedding(("title",)),
    signals=(),
)


def catalogue(documents: Sequence[Mapping[str, Any]], n: int) -> Iterator[dict[str, Any]]:
    """Generate n products.

    documents: a real catalogue, with a member `title` and perhaps `supplier` or `brand`

    Raises InvalidInput if no document has a title.
    """
    rng = np.random.default_rng(report.SEED)
    titled = [document for document in documents if document.get("title")]
    if not titled:
        raise InvalidInput("no document has a title to generate from", field="collection", limit="1 or more")
    sources = [
        (str(document["title"]).split(), str(document.get("supplier") or document.get("brand") or ""))
        for document in titled
    ]
    places: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for number, (words, _) in enumerate(sources):
        for position, word in enumerate(words):
            places[word].append((number, position))
    titles: set[str] = set()
    while len(titles) < n:
        number = int(rng.integers(len(sources)))
        words, supplier = list(sources[number][0]), sources[number][1]
        for _ in range(N_CROSSOVERS):
            position = int(rng.integers(len(words)))
            with_word = places[words[position]]
            other, other_position = with_word[int(rng.integers(len(with_word)))]
            words = [*words[:position], *sources[other][0][other_position:]][:MAX_WORDS]
        title = " ".join(words)
        if title in titles:
            words.insert(int(rng.integers(len(words) + 1)), COLOURS[int(rng.integers(len(COLOURS)))])
            title = " ".join(words)
        if title in titles:
            continue
        titles.add(title)
        yield _product(len(titles), title, supplier, rng)


def _product(number: int, title: str, supplier: str, rng: np.random.Generator) -> dict[str, Any]:
    letters = "".join(string.ascii_uppercase[i] for i in rng.integers(26, size=2))
    return {
        "id": f"g{number}",
        "title": title,
        "supplier": supplier,
        "article_number": f"{letters}{int(rng.integers(10_000_000)):07}",
        "price": round(float(rng.lognormal(4.0, 1.2)), 2),
        "colour": COLOURS[int(rng.integers(len(COLOURS)))],
        "in_stock": bool(rng.random() < 0.8),
        "released": f"{2000 + int(rng.integers(26))}-{1 + int(rng.integers(12)):02}-{1 + int(rng.integers(28)):02}",
    }
