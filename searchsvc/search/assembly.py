"""Last step of a search: the page of hits, their explanations, and the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from searchsvc.analysis.highlight import Highlighter
from searchsvc.analysis.query_syntax import read_query
from searchsvc.engines.retrieval import Retrieved
from searchsvc.rules.directives import Effect
from searchsvc.search import ranking
from searchsvc.search.answer import Explanation, FeatureShare, Hit, Relaxation, SearchAnswer, TermInfo
from searchsvc.search.boosts_and_pins import pin_effects
from searchsvc.search.candidates import Candidates
from searchsvc.search.ordering import RankedCandidates
from searchsvc.search.prepared_search import PreparedSearch
from searchsvc.search.request import SearchRequest, cursor_after
from searchsvc.search.retrieval import SearchRetrieval
from searchsvc.search.warnings import warnings_of


class PageDocuments(msgspec.Struct, frozen=True):
    """The documents of the page that is shown.

    positions: of its candidates, in order.
    documents: their JSON.
    """

    positions: list[int]
    documents: list[msgspec.Raw]


class AnsweredPage(msgspec.Struct, frozen=True):
    """Hits of a page and what rules did.

    positions: of the candidates that are hits, in order.
    pinned_ids: by position, documents whose rank a rule set.
    """

    positions: list[int]
    hits: list[Hit]
    pinned_ids: Mapping[int, str]
    applied_rules: list[str]
    effects: list[Effect]


_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_page(prepared: PreparedSearch, candidates: Candidates, order: Sequence[int]) -> PageDocuments:
    """Read the documents of the requested page; documents that are gone by now are left out."""
    request = prepared.request
    positions = order[request.offset : request.window]
    slots = candidates.slots.tolist()
    documents = prepared.reading.read([slots[position] for position in positions])
    present = [(position, raw) for position, raw in zip(positions, documents, strict=True) if raw is not None]
    return PageDocuments([position for position, _ in present], [raw for _, raw in present])


def assemble_page(
    prepared: PreparedSearch, candidates: Candidates, ranked: RankedCandidates, page: PageDocuments
) -> AnsweredPage:
    """Build the hits of a page, and tell what rules did to the ranking."""
    reading = prepared.reading
    pinned_ids = {position: reading.id(int(candidates.slots[position])) for _, position in ranked.pins}
    explanations = _explain(prepared, candidates, ranked, page, pinned_ids)
    hits = _build_hits(prepared, candidates, ranked, page, explanations)
    rank_at = {position: rank for rank, position in enumerate(ranked.order, start=1)} if ranked.pins else {}
    ranks = {name: rank_at[position] for position, name in pinned_ids.items() if position in rank_at}
    pinned = pin_effects(prepared.applied.directives, ranks, prepared.request.window)
    applied_rules, effects = prepared.applied.summarize([*ranked.boosted.effects, *pinned])
    return AnsweredPage(page.positions, hits, pinned_ids, applied_rules, effects)


def assemble_answer(
    prepared: PreparedSearch, retrieval: SearchRetrieval, candidates: Candidates, page: AnsweredPage, query_id: str
) -> SearchAnswer:
    """Build the answer."""
    control, request, retrieved = prepared.control, prepared.request, retrieval.retrieved
    query, directives = prepared.query, prepared.applied.directives
    return SearchAnswer(
        query_id=query_id,
        index=prepared.index,
        hits=page.hits,
        total=retrieved.total,
        groups=candidates.n_groups,
        facets=retrieved.facets,
        retrieval=prepared.retrieval_mode,
        relaxed=_relaxations(prepared, retrieved),
        warnings=warnings_of(prepared, page.hits),
        operator=retrieved.operator if query.terms else None,
        terms=[
            TermInfo.from_term(term, position in retrieved.unmatched_terms) for position, term in enumerate(query.terms)
        ],
        did_you_mean=_did_you_mean(prepared),
        vector_trust=round(retrieved.vector_trust, 3) if retrieval.vector is not None else None,
        took_ms=prepared.laps.total(),
        applied_seq=prepared.state.control.seq,
        config_version=control.config_version,
        weights_version=control.weights_version,
        weights_segment=prepared.chosen.segment,
        applied_catalog_seq=prepared.reading.snapshot.catalog_seq,
        applied_rules=page.applied_rules,
        rule_effects=page.effects,
        redirect=directives.redirect,
        user_data=list(directives.user_data),
        experiment=request.experiment or None,
        cursor=_next_cursor(request, page),
        degraded=retrieval.degraded,
    )


def _next_cursor(request: SearchRequest, page: AnsweredPage) -> str | None:
    """Return the cursor of the next hits of an export; None if there are none, or it is no export."""
    is_full = bool(page.hits) and len(page.hits) == request.limit
    return cursor_after(page.hits[-1].id) if request.cursor and is_full else None


def _did_you_mean(prepared: PreparedSearch) -> str | None:
    """Return the corrected query with the signs of the typed one."""
    corrected = prepared.query.did_you_mean
    return read_query(prepared.request.query).with_signs(corrected) if corrected is not None else None


def _relaxations(prepared: PreparedSearch, retrieved: Retrieved) -> list[Relaxation]:
    relaxed, terms, required = [], prepared.query.terms, prepared.query.required_positions
    unknown = [terms[position].word for position in required if position in retrieved.unmatched_terms]
    if prepared.request.operator == "auto" and len(required) > max(len(unknown), 1):
        if unknown:
            message = f"no document has {', '.join(map(repr, unknown))}, so the other words are searched"
            relaxed.append(Relaxation("words", message))
        if retrieved.operator == "any":
            relaxed.append(Relaxation("operator", "too few documents have all words, so one of them is enough"))
    if retrieved.is_fallback:
        message = "nothing that matches passes the filters; these are the nearest in meaning that do"
        relaxed.append(Relaxation("neighbours", message))
    return relaxed


def _explain(
    prepared: PreparedSearch,
    candidates: Candidates,
    ranked: RankedCandidates,
    page: PageDocuments,
    pinned_ids: Mapping[int, str],
) -> Sequence[Explanation | None]:
    """Return the explanation of each hit; None for each if the request asks for none."""
    if not prepared.request.explain:
        return [None] * len(page.positions)
    rule_of = {pin.document_id: pin.rule for pin in prepared.applied.directives.pins}
    curves, boosted = ranked.terms.curves, ranked.boosted
    columns = curves.columns(ranked.features)
    contributions = ranking.contributions(columns, curves.weights)
    behavior = ranked.behavior_factors if ranked.behavior_factors is not None else np.ones(len(candidates.slots))
    return [
        Explanation(
            features={
                name: FeatureShare(float(columns[i, j]), float(curves.weights[j]), float(contributions[i, j]))
                for j, name in enumerate(curves.names)
            },
            keyword_rank=int(candidates.keyword_ranks[i]) or None,
            vector_rank=int(candidates.vector_ranks[i]) or None,
            rule_factor=float(boosted.factors[i]),
            behavior_factor=float(behavior[i]),
            boosts=boosted.shares[i] if boosted.shares else [],
            pinned_by=rule_of[pinned_ids[i]] if i in pinned_ids else None,
        )
        for i in page.positions
    ]


def _build_hits(
    prepared: PreparedSearch,
    candidates: Candidates,
    ranked: RankedCandidates,
    page: PageDocuments,
    explanations: Sequence[Explanation | None],
) -> list[Hit]:
    request, reading = prepared.request, prepared.reading
    highlight, fields = request.highlighting(), request.returned_fields()
    highlighter = Highlighter(prepared.query, reading.snapshot.settings, highlight) if highlight is not None else None
    hits = []
    rows = zip(page.positions, page.documents, explanations, strict=True)
    for rank, (position, document, explanation) in enumerate(rows, request.offset + 1):
        document_id = reading.id(int(candidates.slots[position]))
        highlights = highlighter.highlight(document) if highlighter is not None else None
        shown = _only(document, fields) if fields else document
        hits.append(Hit(document_id, rank, float(ranked.scores[position]), shown, highlights, explanation))
    return hits


def _only(document: msgspec.Raw, fields: Sequence[str]) -> msgspec.Raw:
    """Return a document with these members only, as they are written."""
    members = _members.decode(document)
    return msgspec.Raw(msgspec.json.encode({name: members[name] for name in fields if name in members}))
