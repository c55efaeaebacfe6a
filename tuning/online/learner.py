"""The learner of one index: from rankings and interactions to decisions and behavior values. Pure.

    a ranking, an interaction  ->  behavior values of its documents (`tuning.online.behavior`), at once
    a page, once it is closed  ->  weights (`tuning.online.weights`) and the trial, if any (`tuning.online.trial`)
    every `PROPOSE_EVERY` pages -> a candidate

Events and CONTROL go in, decisions come out; `tuning.online.decision` turns these into edits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
import numpy as np

from events.index_control import IndexControl
from events.learning import VALUES, Ignored
from events.types import InteractionRecorded, RankingShown
from tuning.clicks.limits import RateLimiter
from tuning.clicks.pages import Page, Pages
from tuning.gate.pipeline import Step
from tuning.learners.coec import UserQuery
from tuning.online.behavior import BehaviorLearner, LearntBehavior
from tuning.online.decision import Decision
from tuning.online.parts import under_prefix, with_prefix
from tuning.online.trial import TrialObserver
from tuning.online.weights import WeightLearner, feature_names_of

PROPOSE_EVERY: Final = 250
# Interactions later than this after their ranking do not count.
MAX_DELAY: Final = timedelta(hours=1)


class IndexLearner:
    """Learns for one index.

    index: its CONTROL state; `follow` takes newer ones.
    settle: how long a page stays open.
    secret: as in `tuning.learners.coec.Coec`.
    silent: True publishes no behavior values, until it replaces another learner.
    created_seq: sequence of the event that created the index.
    ignored: what it does not learn from.
    """

    def __init__(self, index: IndexControl, settle: timedelta, secret: bytes = b"", *, silent: bool = False) -> None:
        self.created_seq = index.created_seq
        self.ignored = index.learning.ignored
        self._index = index
        self._pages = Pages(settle)
        self._rate_limiter = RateLimiter()
        self.behavior = BehaviorLearner(secret, silent=silent)
        self.weights = WeightLearner(index)
        self.trial = TrialObserver()
        self._n_since_proposal = 0
        self.trial.follow(index)

    def follow(self, index: IndexControl) -> None:
        """Take in a newer CONTROL state. Weights of other features are learnt from the beginning."""
        before, self._index = self._index, index
        if feature_names_of(index) != feature_names_of(before):
            self.weights.start(index)
        self.trial.follow(index)

    def unseen_documents(self, ranking: RankingShown) -> list[str]:
        """Return the documents of a ranking that have no statistics yet: `register` them before observing it."""
        return self.behavior.unseen_documents(ranking) if self._counts(ranking) else []

    def register(self, families: Mapping[str, Sequence[str]]) -> None:
        """Set the families of documents, by document id."""
        self.behavior.register(families)

    def observe_ranking(self, ranking: RankingShown, query: UserQuery | None = None) -> None:
        """Learn from a ranking. query: None if the query is unknown."""
        if not self._counts(ranking) or not self._rate_limiter.allows(ranking.user, ranking.timestamp.timestamp()):
            return
        self.behavior.observe_ranking(ranking, query)
        if ranking.first_rank == 1 and ranking.document_ids:
            self._pages.observe_ranking(ranking)

    def observe_interaction(
        self, ranking: RankingShown, interaction: InteractionRecorded, query: UserQuery | None = None
    ) -> None:
        """Learn from an interaction on an earlier ranking. query: as in `observe_ranking`."""
        late = interaction.received_at - ranking.timestamp > MAX_DELAY
        if interaction.kind not in VALUES or late or not self._counts(ranking):
            return
        # An order has many lines, which come at once: only other interactions are limited.
        if interaction.kind in ("click", "feedback"):
            timestamp_s = interaction.received_at.timestamp()
            if not self._rate_limiter.allows(ranking.user, timestamp_s):
                return
        self._pages.observe_interaction(interaction)
        self.behavior.observe_interaction(ranking, interaction, query, self._index.learning.values)

    def decide(self, now: datetime) -> Iterator[Decision]:
        """Close the pages that are due, learn from them, and yield the decisions that follow."""
        for page in self._pages.close(now):
            decision = self._learn(page)
            if decision is not None:
                yield decision

    def learnt_behavior(self, now: datetime) -> list[LearntBehavior]:
        """Return the behavior values to publish: those that differ from what was published last."""
        return self.behavior.learnt(now, self._index.learning.max_boost)

    def new_exploration_share(self) -> float | None:
        """Return the share of searches to explore; None if it hardly differs from what was published last."""
        learning = self._index.learning
        return self.weights.exploration.publish(learning.exploration) if learning.mode == "automatic" else None

    def republish(self, keys: Iterable[tuple[str, str]]) -> None:
        """Publish the values of some documents again. keys: words of a query, '' for all queries; document id."""
        self.behavior.published.mark_unconfirmed(keys)

    def moved_by(self) -> dict[str, tuple[str, ...]]:
        """Return the searches that moved each weight most, as `WeightLearner.moved_by`."""
        return self.weights.moved_by(self._index)

    def take_over(self, predecessor: IndexLearner) -> None:
        """Replace another learner of the index: continue its trial, and what it published."""
        self.trial = predecessor.trial
        self.behavior.take_over(predecessor.behavior)
        self.weights.exploration.published_share = predecessor.weights.exploration.published_share
        self.follow(predecessor._index)

    def parts(self) -> dict[str, bytes]:
        """Return everything learnt, for a snapshot; `restore` takes it."""
        parts = {
            "ignored": msgspec.json.encode(self.ignored),
            "pages": msgspec.json.encode(self._pages.open()),
            "rates": msgspec.msgpack.encode(self._rate_limiter.buckets),
            "since_proposal": msgspec.msgpack.encode(self._n_since_proposal),
        }
        parts |= with_prefix("behavior.", self.behavior.parts().items())
        parts |= with_prefix("weights.", self.weights.parts().items())
        return parts | with_prefix("trial.", self.trial.parts().items())

    def restore(self, parts: Mapping[str, bytes]) -> None:
        """Continue from `parts`.

        Raises KeyError, ValueError or msgspec.DecodeError if they are malformed or of another version, and
        ValueError if other events were to be ignored then.
        """
        if msgspec.json.decode(parts["ignored"], type=tuple[Ignored, ...]) != self._index.learning.ignored:
            raise ValueError("other events are to be ignored by now")
        self._pages.restore(msgspec.json.decode(parts["pages"], type=list[Page]))
        self._rate_limiter.buckets = msgspec.msgpack.decode(parts["rates"], type=dict[str, tuple[float, float]])
        self._n_since_proposal = msgspec.msgpack.decode(parts["since_proposal"], type=int)
        self.behavior.restore(under_prefix("behavior.", parts))
        self.weights.restore(under_prefix("weights.", parts))
        self.trial.restore(under_prefix("trial.", parts))
        self.trial.follow(self._index)

    def _counts(self, ranking: RankingShown) -> bool:
        """Return whether to learn from a ranking and its interactions."""
        ignored = any(window.covers(ranking.user, ranking.timestamp) for window in self._index.learning.ignored)
        return not (ignored or ranking.typing or ranking.degraded)

    def _learn(self, page: Page) -> Decision | None:
        ranking = page.ranking
        if not self.weights.accepts(ranking):
            return None
        clicked = np.array([document_id in page.clicked for document_id in ranking.document_ids])
        self.weights.observe(ranking, clicked, self._index)
        self._n_since_proposal += 1
        step = self.trial.observe(page, clicked, self._index)
        if step is not None:
            if step.kind == "published":
                # Later searches move the weights on from the published ones.
                self.weights.provenance.reset()
            return Decision(step, self.trial.trial_id, {}, self.weights.n_pages)
        if self._n_since_proposal >= PROPOSE_EVERY:
            self._n_since_proposal = 0
            return self._propose(ranking)
        return None

    def _propose(self, last: RankingShown) -> Decision | None:
        mode = self._index.learning.mode
        if mode != "suggest" and not (mode == "automatic" and self.trial.pipeline.may_propose):
            return None
        proposal = self.weights.propose(self._index, last)
        if proposal is None:
            return None
        if mode == "suggest":
            step, trial_id = Step("suggested", proposal.why, 1.0), ""
        else:
            # Named after the last ranking, so that the trial has the same name when the log is read again.
            trial_id = f"learnt-{last.id[-12:]}"
            step = self.trial.propose(self._index, trial_id, proposal.why)
        return Decision(step, trial_id, proposal.weights, self.weights.n_pages, proposal.moved_by)
