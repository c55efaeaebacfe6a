"""The sample catalogue."""

from __future__ import annotations

import msgspec

from searchsvc.cli.sample import sample_catalogue


def test_the_sample_catalogue_is_always_the_same() -> None:
    assert list(sample_catalogue(50)) == list(sample_catalogue(50))
    lines = list(sample_catalogue())
    assert len({msgspec.json.decode(line)["id"] for line in lines}) == len(lines) == 3000
    assert len({msgspec.json.decode(line)["category"] for line in lines}) == 12
