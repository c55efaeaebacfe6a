"""Whether a logged answer can be computed again: four checks, each with what differs. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

import msgspec

from events.index_control import IndexControl
from events.types import InterleavedRanking, RankingShown
from searchsvc.rehearsal.receipts.account import recompute, weights_then
from searchsvc.rehearsal.receipts.repetition import NotRepeated
from searchsvc.search.answer import SearchOutcome
from searchsvc.search.request import SearchRequest
from tuning.features import BEHAVIOR
from tuning.gate.interleaving import team_draft

State = Literal["holds", "differs", "not repeated"]


class Check(msgspec.Struct, frozen=True):
    """One check.

    name: scores, order, rules or retrieval
    detail: what was compared, what differs, or why it was not repeated
    """

    name: str
    state: State
    detail: str = ""


class Verification(msgspec.Struct, frozen=True):
    """All checks of one answer.

    holds: whether no check differs
    """

    query_id: str
    holds: bool
    checks: list[Check]


def verification(
    shown: RankingShown,
    past_index: IndexControl,
    request: SearchRequest | None,
    repeated: SearchOutcome | NotRepeated,
    n_candidates: int,
) -> Verification:
    """Check a logged answer.

    past_index: the index at the CONTROL sequence that the ranking names
    request: what was searched for; None if it is sealed
    repeated: the search made again
    n_candidates: how many candidates a search ranks by score
    """
    checks = [
        check_scores(shown, past_index),
        check_order(shown, request, n_candidates),
        check_rules(shown, past_index, repeated),
        check_retrieval(shown, past_index, repeated),
    ]
    return Verification(shown.id, all(check.state != "differs" for check in checks), checks)


def check_scores(shown: RankingShown, past_index: IndexControl) -> Check:
    """Check that the logged features times the weights that ranked give the logged scores, bit for bit."""
    if (past_index.weights_version, past_index.config_version) != (shown.weights_version, shown.config_version):
        versions = f"weights {past_index.weights_version} and configuration {past_index.config_version}"
        named = f"weights {shown.weights_version} and configuration {shown.config_version}"
        return Check("scores", "differs", f"CONTROL {shown.applied_seq} has {versions}; the ranking names {named}")
    scores = recompute(shown, past_index).scores.tolist()
    differing = [i for i, score in enumerate(scores) if score != shown.scores[i]]
    if differing:
        first = differing[0]
        detail = f"{shown.document_ids[first]} has {shown.scores[first]!r} in the log, and {scores[first]!r} recomputed"
        return Check("scores", "differs", f"{len(differing)} of {len(scores)}: {detail}")
    return Check("scores", "holds", f"{len(scores)} scores from the logged features and weights, bit for bit")


def check_order(shown: RankingShown, request: SearchRequest | None, n_candidates: int) -> Check:
    """Check that hits are ordered by score, then by id, apart from those that a rule pinned."""
    if request is None:
        return Check("order", "not repeated", "the query is sealed: it may have requested another order")
    if request.sort or not (request.query or shown.rule_factors):
        return Check("order", "not repeated", "the hits were not ordered by score")
    if shown.interleaving is not None:
        return _check_interleaved_order(shown, shown.interleaving)
    if shown.exploration:
        return Check("order", "not repeated", "neighbours may have been swapped for exploration")
    # Past the candidates, hits are in keyword order.
    n_ranked = max(n_candidates - shown.first_rank + 1, 0)
    ranked = [
        (-score, document_id)
        for score, document_id in zip(shown.scores, shown.document_ids, strict=True)
        if document_id not in shown.pinned_ids
    ][:n_ranked]
    for before, after in pairwise(ranked):
        if before > after:
            return Check("order", "differs", f"{after[1]} belongs before {before[1]}")
    return Check("order", "holds", f"{len(ranked)} hits by score, {len(shown.pinned_ids)} pinned")


def _check_interleaved_order(shown: RankingShown, interleaving: InterleavedRanking) -> Check:
    if shown.first_rank != 1:
        return Check("order", "not repeated", "a later page of an interleaved ranking")
    expected = team_draft(interleaving.in_force, interleaving.challenger, interleaving.coins)
    if list(shown.document_ids[: len(expected)]) != expected[: len(shown.document_ids)]:
        return Check("order", "differs", "it is not the team draft of both rankings by the logged coins")
    return Check("order", "holds", f"{len(expected)} hits, interleaved by the logged coins")


def check_rules(shown: RankingShown, past_index: IndexControl, repeated: SearchOutcome | NotRepeated) -> Check:
    """Check that CONTROL has the rules that fired, and that the same ones fire again."""
    missing = [rule_id for rule_id in shown.applied_rules if rule_id not in past_index.rules]
    if missing:
        return Check("rules", "differs", f"CONTROL {shown.applied_seq} has no rule {', '.join(missing)}")
    n_rules = len(shown.applied_rules)
    if isinstance(repeated, NotRepeated):
        return Check("rules", "not repeated", f"{n_rules} rules, as CONTROL had them; see retrieval")
    if repeated.shown.applied_rules != shown.applied_rules:
        detail = f"now {list(repeated.shown.applied_rules)}, then {list(shown.applied_rules)}"
        return Check("rules", "differs", detail)
    return Check("rules", "holds", f"the same {n_rules} rules fired")


def check_retrieval(shown: RankingShown, past_index: IndexControl, repeated: SearchOutcome | NotRepeated) -> Check:
    """Check that the search made again gives the same documents, features and scores, bit for bit."""
    if isinstance(repeated, NotRepeated):
        return Check("retrieval", "not repeated", repeated.reason)
    difference = _retrieval_difference(shown, repeated.shown)
    if not difference:
        n_documents = len(shown.document_ids)
        return Check("retrieval", "holds", f"searched again: the same {n_documents} documents, bit for bit")
    if _ranked_by_behavior(shown, past_index):
        reason = "shoppers' behavior counts, and the log has it only of the documents that were shown"
        return Check("retrieval", "not repeated", f"{difference}; {reason}")
    return Check("retrieval", "differs", difference)


def _retrieval_difference(logged: RankingShown, repeated: RankingShown) -> str:
    """Return the first difference between two rankings; '' if there is none."""
    if repeated.document_ids != logged.document_ids:
        return _moved_document(logged.document_ids, repeated.document_ids)
    if (
        repeated.features != logged.features
        or repeated.scores != logged.scores
        or repeated.rule_factors != logged.rule_factors
    ):
        return "the same documents in the same order, with other features or scores"
    return ""


def _moved_document(logged: Sequence[str], repeated: Sequence[str]) -> str:
    ranks: Mapping[str, int] = {document_id: rank for rank, document_id in enumerate(repeated, start=1)}
    for rank, document_id in enumerate(logged, start=1):
        if ranks.get(document_id) != rank:
            current = f"at {ranks[document_id]} now" if document_id in ranks else "not there now"
            return f"{document_id} was at {rank} of the page, {current}"
    return f"{len(repeated)} hits now, {len(logged)} then"


def _ranked_by_behavior(shown: RankingShown, past_index: IndexControl) -> bool:
    """Return whether behavior values had a part in the ranking, by a factor or by a weight that is not 0."""
    rankers = [weights_then(shown, past_index)]
    if shown.interleaving is not None and past_index.trial is not None:
        rankers.append(past_index.trial.weights)
    return bool(shown.behavior_factors) or any(weights.get(name) for name in BEHAVIOR for weights in rankers)
