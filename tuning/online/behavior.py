"""Learns the behavior values of documents: one vote for each user, query and document. Pure."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from events.learning import VALUES
from events.types import InteractionRecorded, RankingShown
from tuning.clicks.pages import interaction_grade
from tuning.learners.behavior import BehaviorStatistics
from tuning.learners.coec import Coec, UserQuery, hashed
from tuning.online.parts import drop_oldest, under_prefix, with_prefix
from tuning.online.published import MIN_LIFT, PublishedValues

# Factor and log2 lift of a document that is like others.
NEUTRAL: Final = (1.0, 0.0)


class LearntBehavior(msgspec.Struct, frozen=True):
    """A behavior value.

    query: words of the query that it is about; '' for the value over all queries.
    factor: what the document's score is to be multiplied by.
    log2_lift: how much better than average the document is, as a binary logarithm; under a query, how much better than
        under all queries.
    """

    query: str
    document_id: str
    factor: float
    log2_lift: float
    statistics: BehaviorStatistics


class BehaviorLearner:
    """Learns from rankings and interactions as they come.

    secret: as in `Coec`.
    silent: True publishes nothing, until it replaces another learner.
    """

    def __init__(self, secret: bytes = b"", *, silent: bool = False) -> None:
        self.coec = Coec(secret)
        self.published = PublishedValues()
        self._silent = silent
        # Hashes of user, query and page; the values are None.
        self._seen_rankings: OrderedDict[bytes, None] = OrderedDict()
        # By hash of user, query, document and side: the value that was counted.
        self._votes: OrderedDict[bytes, float] = OrderedDict()

    def unseen_documents(self, ranking: RankingShown) -> list[str]:
        """Return the documents of a ranking that have no families yet: `register` them before observing it."""
        return self.coec.unseen_documents(ranking.document_ids) if ranking.user else []

    def register(self, families: Mapping[str, Sequence[str]]) -> None:
        """Set the families of documents, by document id."""
        for document_id, names in families.items():
            self.coec.register(document_id, names)

    def observe_ranking(self, ranking: RankingShown, query: UserQuery | None) -> None:
        """Count the impressions, unless the user is unknown or has seen the same page of the same query before."""
        if not self._is_first_look(ranking):
            return
        timestamp_s = ranking.timestamp.timestamp()
        user = _user_number(ranking.user)
        self.coec.observe_ranking(ranking.document_ids, ranking.first_rank, user, timestamp_s, query)
        self._mark_changed(ranking.document_ids, query)

    def observe_interaction(
        self,
        ranking: RankingShown,
        interaction: InteractionRecorded,
        query: UserQuery | None,
        values: Mapping[str, float],
    ) -> None:
        """Count an interaction. Of several by one user with one document, the one of the highest value counts.

        values: what each kind counts, in clicks; missing kinds count the default.
        """
        if not ranking.user:
            return
        value = values.get(interaction.kind, VALUES[interaction.kind]) * interaction_grade(interaction)
        # One vote for the document, and one against it.
        sign, side = math.copysign(1.0, value), "against" if value < 0.0 else "for"
        key = hashed(ranking.user, _query_key(ranking), interaction.document_id, side)
        more = abs(value) - self._votes.get(key, 0.0)
        if more <= 0.0 or interaction.document_id not in ranking.document_ids:
            return
        self._votes[key] = abs(value)
        drop_oldest(self._votes)
        rank = ranking.first_rank + ranking.document_ids.index(interaction.document_id)
        timestamp_s, user = interaction.received_at.timestamp(), _user_number(ranking.user)
        self.coec.observe_value(interaction.document_id, rank, sign * more, user, timestamp_s, query)
        self._mark_changed([interaction.document_id], query)

    @property
    def n_boosted(self) -> int:
        """Number of published factors other than 1."""
        return sum(factor != 1.0 for factor, _ in self.published.values.values())

    def learnt(self, now: datetime, max_boost: float) -> list[LearntBehavior]:
        """Return the values to publish: those that differ from what was published last."""
        publications = []
        for query, document_id in self.published.next_keys():
            learnt = self._value(query, document_id, now.timestamp(), max_boost)
            if self.published.update((query, document_id), (learnt.factor, learnt.log2_lift) if learnt else None):
                neutral = LearntBehavior(query, document_id, *NEUTRAL, BehaviorStatistics())
                publications.append(learnt or neutral)
        return publications

    def take_over(self, predecessor: BehaviorLearner) -> None:
        """Replace another learner: publish from now on."""
        self._silent = False
        self.published.take_over(predecessor.published)
        self.published.mark_changed(("", document_id) for document_id in self.coec.documents.subjects)

    def parts(self) -> dict[str, bytes]:
        """Return the state that `restore` takes."""
        parts = {
            "published": msgspec.msgpack.encode(self.published.parts()),
            "seen_rankings": msgspec.msgpack.encode(list(self._seen_rankings)),
            "votes": msgspec.msgpack.encode(dict(self._votes)),
        }
        return parts | with_prefix("coec.", self.coec.parts())

    def restore(self, parts: Mapping[str, bytes]) -> None:
        """Continue from `parts`. Raises KeyError or msgspec.DecodeError if they are malformed."""
        self.coec.restore(under_prefix("coec.", parts))
        self.published.restore(parts["published"])
        self._seen_rankings = OrderedDict.fromkeys(msgspec.msgpack.decode(parts["seen_rankings"], type=list[bytes]))
        self._votes = OrderedDict(msgspec.msgpack.decode(parts["votes"], type=dict[bytes, float]))

    def _is_first_look(self, ranking: RankingShown) -> bool:
        if not ranking.user:
            return False
        key = hashed(ranking.user, _query_key(ranking), str(ranking.first_rank))
        if key in self._seen_rankings:
            return False
        self._seen_rankings[key] = None
        drop_oldest(self._seen_rankings)
        return True

    def _value(self, query: str, document_id: str, timestamp_s: float, max_boost: float) -> LearntBehavior | None:
        """Return the behavior value of a document; None if there is none, or if it is that of an average document."""
        # Most queries are made by few users, and have no behavior values.
        if query and not self.coec.has_pair(query, document_id):
            return None
        statistics, prior = self.coec.document(document_id, timestamp_s)
        baseline = 1.0
        if query:
            baseline = statistics.mean(prior)
            statistics, prior = self.coec.pair(query, document_id, timestamp_s)
        factor = statistics.factor(max_boost, prior)
        log2_lift = math.log2(statistics.mean(prior) / baseline)
        if abs(log2_lift) < MIN_LIFT:
            log2_lift = 0.0
        # Under a query, a document that is like others is published too: over all queries, it may differ from them.
        if not query and (factor, log2_lift) == NEUTRAL:
            return None
        return LearntBehavior(query, document_id, factor, log2_lift, statistics)

    def _mark_changed(self, document_ids: Sequence[str], query: UserQuery | None) -> None:
        keys = []
        for document_id in document_ids:
            if not self._silent:
                keys.append(("", document_id))
            # While silent, only what will be worth publishing is remembered.
            if query is not None and (not self._silent or self.coec.has_pair(query.words, document_id)):
                keys.append((query.words, document_id))
        self.published.mark_changed(keys)


def _query_key(ranking: RankingShown) -> str:
    """Return what is equal for equal queries of one user; where queries cannot be compared, the ranking's id."""
    return ranking.query_key or ranking.query or ranking.id


def _user_number(user: str) -> int:
    """Return seven bytes of a user's hash."""
    return int.from_bytes(hashed(user)[:7])
