"""The cache of score terms."""

from __future__ import annotations

from events.control import ControlState, fold
from events.index_control import IndexControl
from events.types import IndexConfigured
from searchsvc.search.score_terms import ScoreTermsCache
from tests.factories import NOW, SETTINGS
from tuning.features import default_weights, feature_names


def control_of(name: str) -> IndexControl:
    configured = IndexConfigured(
        id=name, timestamp=NOW, index=name, settings=SETTINGS, default_weights=default_weights(SETTINGS)
    )
    return fold(ControlState(), configured, 1).index(name)


def test_terms_are_computed_once_for_each_index_and_variant() -> None:
    cache, shop, other = ScoreTermsCache(), control_of("shop"), control_of("other")
    terms = cache.get(SETTINGS, shop, "index", shop.weights)
    assert terms.feature_names == feature_names(SETTINGS)
    assert dict(zip(terms.curves.names, terms.curves.weights.tolist(), strict=True)) == dict(shop.weights)
    trial = cache.get(SETTINGS, shop, "trial", {**shop.weights, "cosine": 9.0})
    cache.get(SETTINGS, other, "index", other.weights)
    assert cache.get(SETTINGS, shop, "index", shop.weights) is terms
    assert cache.get(SETTINGS, shop, "trial", {**shop.weights, "cosine": 9.0}) is trial
    assert trial.curves.weights[trial.feature_names.index("cosine")] == 9.0


def test_another_version_of_an_index_replaces_its_entry() -> None:
    cache, before, after = ScoreTermsCache(), control_of("shop"), control_of("shop")
    terms = cache.get(SETTINGS, before, "index", before.weights)
    assert cache.get(SETTINGS, after, "index", after.weights) is not terms
    assert len(cache) == 1


def test_the_oldest_entry_is_dropped_when_the_cache_is_full() -> None:
    cache, controls = ScoreTermsCache(max_entries=2), [control_of(name) for name in "abc"]
    terms = [cache.get(SETTINGS, control, "index", control.weights) for control in controls]
    assert len(cache) == 2
    assert cache.get(SETTINGS, controls[2], "index", controls[2].weights) is terms[2]
    assert cache.get(SETTINGS, controls[0], "index", controls[0].weights) is not terms[0]
