"""Repeat a logged search by the rules and weights that ranked it, if everything else is unchanged."""

from __future__ import annotations

import msgspec

from events.control import ControlState
from events.errors import SearchsvcError
from events.types import RankingShown
from searchsvc.analysis.analyzer import query_key
from searchsvc.behavior.redaction import REDACTED
from searchsvc.rehearsal.receipts.located_ranking import LocatedRanking
from searchsvc.search.answer import SearchOutcome
from searchsvc.search.last_known import LAST_KNOWN
from searchsvc.search.request import SearchRequest
from searchsvc.search.scale import SCORING_VERSION
from searchsvc.search.searcher import Searcher
from searchsvc.search.trials import Draw
from searchsvc.state.serving import Serving
from searchsvc.state.serving_state import BehaviorValue, IndexBehavior, ServingState
from searchsvc.state.sharded_mapping import ShardedMapping
from tuning.features import BEHAVIOR


class NotRepeated(msgspec.Struct, frozen=True):
    """Why a search cannot be repeated.

    reason: in words
    """

    reason: str


class SearchRepeater:
    """Repeats logged searches on the documents served now. Not for the event loop."""

    def __init__(self, serving: Serving, searcher: Searcher) -> None:
        self._serving = serving
        self._searcher = searcher

    def repeat(
        self, located: LocatedRanking, control: ControlState, request: SearchRequest | None
    ) -> SearchOutcome | NotRepeated:
        """Search again.

        control: CONTROL at the sequence that the ranking names
        request: what was searched for; None if it is sealed
        """
        if request is None:
            return NotRepeated("the query is sealed, and the key of its user is gone or not here")
        served = self._serving.current
        reason = _obstacle(located.shown, request, control, served)
        if reason:
            return NotRepeated(reason)
        behavior = {located.shown.index: _behavior_then(located.shown, request.query)}
        try:
            state = msgspec.structs.replace(served, control=control, behavior=behavior)
            return self._search(located.shown, request, state)
        except SearchsvcError as error:
            return NotRepeated(f"the search fails now: {error}")

    def _search(self, shown: RankingShown, request: SearchRequest, state: ServingState) -> SearchOutcome:
        prepared = self._searcher.prepare(
            state,
            shown.index,
            request,
            now=shown.timestamp,
            vector_leg="vector" not in shown.degraded,
            rehearsal=True,
        )
        return self._searcher.complete(
            prepared,
            query_id=shown.id,
            now=shown.timestamp,
            draw=_draw_then(shown),
            explores=shown.exploration is not None,
        )


def _obstacle(shown: RankingShown, request: SearchRequest, control: ControlState, served: ServingState) -> str:
    """Return why a search would not find the same documents again; '' if it would."""
    if REDACTED.search(request.query + shown.request):
        return "the query is not in the log as typed: an e-mail address or a telephone number was redacted"
    if {LAST_KNOWN, "shards"} & {*shown.degraded}:
        return f"the answer was degraded: {', '.join(shown.degraded)}"
    if shown.scoring_version != SCORING_VERSION:
        return f"scores come about in another way now: by version {SCORING_VERSION}, then by {shown.scoring_version}"
    snapshot = served.snapshots.get(shown.index)
    if snapshot is None:
        return f"index {shown.index} is not served"
    if (snapshot.catalog_seq, snapshot.generation) != (shown.applied_catalog_seq, shown.generation):
        now = f"the index holds CATALOG {snapshot.catalog_seq} in generation {snapshot.generation} now"
        return f"{now}, then {shown.applied_catalog_seq} in {shown.generation}"
    if shown.measured != served.measured(shown.index).digest:
        return "what is measured in the catalogue (neighbours' cut, words of titles) has been measured again since"
    if snapshot.settings != control.index(shown.index).settings.indexed:
        return "the settings of the index have changed"
    return ""


def _behavior_then(shown: RankingShown, query: str) -> IndexBehavior:
    """Return the behavior values that the ranking was made with; it has those of the documents that it shows."""
    columns = [shown.feature_names.index(name) if name in shown.feature_names else None for name in BEHAVIOR]
    of_documents, of_query = (_behavior_values(shown, column) for column in columns)
    by_query = ShardedMapping[dict[str, BehaviorValue]]().with_changes({query_key(query): of_query or None})
    return IndexBehavior(ShardedMapping[BehaviorValue]().with_changes(of_documents), by_query)


def _behavior_values(shown: RankingShown, column: int | None) -> dict[str, BehaviorValue]:
    """Return the behavior values by document.

    column: of the behavior feature; None if the ranking does not have it
    """
    values = {}
    for row, document_id in enumerate(shown.document_ids):
        # The log has one factor, whether it is of the document or of the document for the query.
        factor = shown.behavior_factors[row] if shown.behavior_factors else 1.0
        feature = shown.features[row][column] if column is not None else 0.0
        if factor != 1.0 or feature:
            values[document_id] = BehaviorValue(factor, feature)
    return values


def _draw_then(shown: RankingShown) -> Draw | None:
    """Return what the trial's draw was; None if the search could not be part of a trial."""
    if not shown.trial:
        return None
    if shown.interleaving is not None:
        return Draw("both", shown.interleaving.coins)
    return Draw("trial" if shown.holdout else "in_force")
