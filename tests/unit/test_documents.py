"""What the settings are inferred from, and which lines are refused with which reason."""

from __future__ import annotations

import msgspec
import pytest

from events.errors import InvalidInput
from events.settings import Embedding, IndexSettings, SearchableField, Signal, check_index_name, check_settings
from searchsvc.cli.sample import sample_catalogue
from searchsvc.indexing.documents import MAX_DOCUMENT_BYTES, AcceptedDocument, RefusedDocument, parse_documents, refusal
from searchsvc.indexing.inference import infer_settings
from tests.factories import SETTINGS


def parsed(body: bytes) -> list[AcceptedDocument | RefusedDocument]:
    return list(parse_documents(body))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "no JSON object"),
        (b"[1]", "no JSON object"),
        (b"{}", "id is missing"),
        (b'{"id":null}', "id is missing"),
        (b'{"id":""}', 'id is ""'),
        (b'{"id":17}', "id is 17"),
        (b'{"id":"' + b"x" * 600 + b'"}', "id has 600 bytes"),
        (b'{"id":"1","a":NaN}', "no JSON object"),
        (b'{"id":"1","a":' + b"[" * 5000 + b"]" * 5000 + b"}", "no JSON object"),
        (b'{"id":"1","a":"' + b"x" * MAX_DOCUMENT_BYTES + b'"}', "the document has"),
        (b'{"id":"\xff"}', "no JSON object"),
    ],
)
def test_a_bad_line_is_refused_with_its_number_and_the_good_ones_are_taken(line: bytes, reason: str) -> None:
    good, bad, last = parsed(b'{"id":"a"}\n' + line + b'\n{"id":"z"}')
    assert isinstance(bad, RefusedDocument)
    assert bad.line == 2
    assert bad.reason.startswith(reason)
    assert isinstance(good, AcceptedDocument)
    assert isinstance(last, AcceptedDocument)
    assert (good.line, last.line) == (1, 3)


def test_a_signal_that_is_no_number_is_refused() -> None:
    fine, missing, wrong = parsed(b'{"id":"1","votes":3}\n{"id":"2"}\n{"id":"3","votes":"many"}')
    assert isinstance(fine, AcceptedDocument)
    assert isinstance(missing, AcceptedDocument)
    assert isinstance(wrong, AcceptedDocument)
    assert refusal(fine, SETTINGS) is None
    assert refusal(missing, SETTINGS) is None
    refused = refusal(wrong, SETTINGS)
    assert refused is not None
    assert '"many"' in refused.reason


def test_settings_of_the_sample_catalogue_are_the_ones_a_person_would_write() -> None:
    documents = [msgspec.json.decode(line) for line in sample_catalogue(200)]
    settings = infer_settings(documents)
    assert settings.title == "title"
    assert [f.name for f in settings.searchable] == [
        "title",
        "brand",
        "category",
        "model",
        "description",
        "features",
        "colour",
    ]
    assert settings.embedding is not None
    assert settings.embedding.fields[0] == "title"
    assert "model" not in settings.embedding.fields
    assert settings.embedding.fields[-1] == "description"
    assert {signal.field: signal.transform for signal in settings.signals} == {"rating": "identity", "reviews": "log1p"}
    check_settings(settings)


def test_many_sparse_attributes_become_one_field_and_rare_numbers_no_signal() -> None:
    documents = [
        {"id": str(i), "title": f"Thing {i}", "image": f"http://x/{i}.png", "released": "2020-01-02T00:00:00Z"}
        | {f"attr_t_{i % 12}": "blue steel"}
        | ({"energy_rating": 3.0} if i == 0 else {})
        for i in range(48)
    ]
    settings = infer_settings(documents)
    assert settings.searchable == (SearchableField("title"), SearchableField("attr_t", ("attr_t_*",)))
    assert settings.signals == ()


def test_documents_without_text_give_no_settings() -> None:
    with pytest.raises(InvalidInput, match="no member"):
        infer_settings([{"id": "1", "price": 3}])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"searchable": ()}, "searchable"),
        ({"searchable": (SearchableField("a b"),)}, "searchable[0].name"),
        ({"searchable": (SearchableField("t"), SearchableField("t"))}, "searchable[1].name"),
        ({"title": "x"}, "title"),
        ({"embedding": Embedding(())}, "embedding.fields"),
        ({"embedding": Embedding(("t",), 0)}, "embedding.max_chars"),
        ({"signals": (Signal("v", "log1p", float("inf")),)}, "signals[0].scale"),
        ({"signals": (Signal("v"), Signal("v"))}, "signals[1].field"),
    ],
)
def test_settings_that_cannot_be_honoured_are_refused_by_field(change: dict[str, object], field: str) -> None:
    good = IndexSettings((SearchableField("t"),), "t")
    check_settings(good)
    with pytest.raises(InvalidInput) as refused:
        check_settings(msgspec.structs.replace(good, **change))
    assert refused.value.field == field


@pytest.mark.parametrize("name", ["", "a\n", "A", "-a", "a" * 65, "a.b", "a/b", "a b", "ä"])
def test_index_names_that_are_no_subject_token_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        check_index_name(name)


def test_the_sample_catalogue_is_always_the_same() -> None:
    assert list(sample_catalogue(50)) == list(sample_catalogue(50))
    lines = list(sample_catalogue())
    assert len({msgspec.json.decode(line)["id"] for line in lines}) == len(lines) == 3000
    assert len({msgspec.json.decode(line)["category"] for line in lines}) == 12
