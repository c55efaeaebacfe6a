"""The replies of the node."""

from __future__ import annotations

import msgspec
import pytest

from searchsvc.engines.opensearch.replies import Failure, IndexDescription, Progress, Searched


def test_a_failure_tells_its_causes() -> None:
    assert Failure("a", "outer", Failure("b", "inner")).chain == "outer: inner"
    assert Failure("a", "alone").chain == "alone"


def test_a_reply_is_whole_if_every_shard_answered_in_time() -> None:
    whole = b'{"_shards": {"failed": 0}, "timed_out": false, "hits": {"hits": []}}'
    assert msgspec.json.decode(whole, type=Searched).is_whole
    assert not msgspec.json.decode(whole.replace(b'"failed": 0', b'"failed": 1'), type=Searched).is_whole
    assert not msgspec.json.decode(whole.replace(b"false", b"true"), type=Searched).is_whole


def test_the_json_of_another_server_is_no_reply() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"hits": {"hits": []}}', type=Searched)


def test_progress_is_stored_under_the_names_of_the_format() -> None:
    stored = msgspec.to_builtins(Progress(7, vector_sum=[1.0], log_created="2026-01-01"))
    assert (stored["catalog_seq"], stored["total"], stored["log"]) == (7, [1.0], "2026-01-01")


def test_the_number_of_shards_is_read_from_the_settings() -> None:
    index = msgspec.json.decode(
        b'{"mappings": {}, "settings": {"index": {"number_of_shards": "3"}}}', type=IndexDescription
    )
    assert index.n_shards == 3
