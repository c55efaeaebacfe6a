"""Shows events to a learner, with what the events do not hold: the readable query, and the documents' families."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from events.errors import SearchsvcError
from events.types import RankingShown
from searchsvc.analysis.analyzer import query_key
from searchsvc.behavior.keyring import Keyring, open_ranking
from searchsvc.behavior.redaction import REDACTED
from searchsvc.engines.attributes import families
from searchsvc.learning.queue import LearningEvent
from searchsvc.state.serving import Serving
from tuning.learners.coec import UserQuery
from tuning.online.learner import IndexLearner

log = logging.getLogger(__name__)


class Teacher:
    """Used on the learning thread."""

    def __init__(self, serving: Serving, keyring: Keyring) -> None:
        self._serving = serving
        self._keyring = keyring

    def show(self, learner: IndexLearner, event: LearningEvent) -> None:
        """Have a learner observe an event."""
        if isinstance(event, RankingShown):
            unseen = learner.unseen_documents(event)
            if unseen:
                learner.register(self._families(event.index, unseen))
            learner.observe_ranking(event, self._query(event))
        elif event.ranking is not None:
            learner.observe_interaction(event.ranking, event.interaction, self._query(event.ranking))

    def _query(self, ranking: RankingShown) -> UserQuery | None:
        """Return the query; None if the user is unknown or erased, or if the query may name a person."""
        if not ranking.sealed_query:
            return None
        user = self._keyring.by_pseudonym(ranking.user)
        opened = open_ranking(ranking, user)
        if user is None or opened is None or REDACTED.search(opened.query):
            return None
        words = query_key(opened.query)
        # Hashed under the user's key: once that is destroyed, the number cannot be linked to the user.
        number = int.from_bytes(user.keyed_hash(f"learnt\0{words}").encode()[:7])
        return UserQuery(words, number) if words else None

    def _families(self, index: str, document_ids: Sequence[str]) -> dict[str, list[str]]:
        """Read the families of documents. Those that cannot be read now are read when they are shown again."""
        try:
            state = self._serving.current
            names, reading = state.control.index(index).learning.families, state.snapshot(index).reading()
            slots = {name: slot for name in document_ids if (slot := reading.find(name)) is not None}
            documents = zip(slots, reading.read([*slots.values()]), strict=True)
            return {name: families(msgspec.json.decode(raw), names) for name, raw in documents if raw is not None}
        except SearchsvcError as error:
            log.debug("new documents of index %s start from the average: %s", index, error)
            return {}
