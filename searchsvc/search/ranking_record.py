"""What the log keeps of a search: everything that learning and audits need and cannot be filled in afterwards."""

from __future__ import annotations

from datetime import datetime

from events.types import RankingShown
from searchsvc.search.answer import SearchAnswer
from searchsvc.search.assembly import AnsweredPage
from searchsvc.search.ordering import RankedCandidates
from searchsvc.search.prepared_search import PreparedSearch
from searchsvc.search.scale import SCORING_VERSION
from searchsvc.search.trials import TrialPart


def record_ranking(
    prepared: PreparedSearch,
    ranked: RankedCandidates,
    page: AnsweredPage,
    answer: SearchAnswer,
    part: TrialPart | None,
    timestamp: datetime,
) -> RankingShown:
    """Build the log's record of an answer.

    part: part of the search in a trial; None without one.
    """
    request, positions = prepared.request, page.positions
    behavior_factors = ranked.behavior_factors
    return RankingShown(
        id=answer.query_id,
        timestamp=timestamp,
        index=prepared.index,
        query=request.query,
        first_rank=request.offset + 1,
        document_ids=tuple(hit.id for hit in page.hits),
        feature_names=ranked.terms.feature_names,
        features=tuple(map(tuple, ranked.features[positions].tolist())),
        scores=tuple(hit.score for hit in page.hits),
        weights_version=answer.weights_version,
        config_version=answer.config_version,
        applied_seq=answer.applied_seq,
        applied_catalog_seq=answer.applied_catalog_seq,
        generation=prepared.reading.snapshot.generation,
        experiment=answer.experiment,
        applied_rules=tuple(page.applied_rules),
        weights_segment=answer.weights_segment or "",
        rule_factors=tuple(ranked.boosted.factors[positions].tolist()) if prepared.is_boosted else (),
        pinned_ids=tuple(name for position, name in page.pinned_ids.items() if position in positions),
        degraded=tuple(answer.degraded),
        typing=request.typing,
        request=request.to_log(),
        behavior_factors=tuple(behavior_factors[positions].tolist()) if behavior_factors is not None else (),
        trial=part.trial.id if part is not None else "",
        interleaving=ranked.interleaving,
        holdout=part is not None and part.is_holdout,
        took_ms=answer.took_ms,
        scoring_version=SCORING_VERSION,
        scales=ranked.scales,
        measured=prepared.measured.digest,
        exploration=ranked.exploration,
    )
