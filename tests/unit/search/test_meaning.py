"""Which queries have neighbours: those whose words say something to the index or to the model."""

from __future__ import annotations

from pathlib import Path

import pytest

from searchsvc.analysis.understanding import understand
from searchsvc.search.meaning import has_meaning
from tests.factories import engine, upsert

WORDS = "a cheap quiet printer for the home office that un film una historia prints photos"
VOCABULARY = frozenset(WORDS.split())


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("printer", True),
        ("zorbo", True),
        ("zorbi", True),
        ("qwrtzpsd", False),
        ("???", False),
        ("7734", False),
        # Numbers and measures are meant exactly, also those that documents have.
        ("12mm", False),
        ("40", False),
        ("12mm printer", True),
        ("x", False),
        ("printer qwrtzpsd", True),
        ("printer qwrtzpsd wrtzpsdq", False),
        ("the qwrtzpsd", False),
        ("zorbo printer office", True),
        # A sentence with an unknown word needs words of the model, however many of its words the index has.
        ("a quiet printer that prints photos zorbo", True),
        ("ich suche zorbo mango papaya", False),
        ("un qwrtzpsd zorbo mango papaya", False),
        ("un film zorbo mango papaya", True),
        # Stop words of a language that the index does not have.
        ("una historia de papaya en la mango", False),
        ("una historia una film que historia", True),
        ("la historia una en que historia", False),
    ],
)
def test_a_query_has_neighbours_if_enough_of_its_words_are_known(tmp_path: Path, query: str, expected: bool) -> None:
    documents = [upsert("1", "zorbo mango papaya 12 mm 40"), *(upsert(f"p{i}", "papaya mango") for i in range(3))]
    lexicon = engine(tmp_path, documents).snapshot().lexicon
    assert has_meaning(understand(query, lexicon), VOCABULARY.__contains__) is expected
