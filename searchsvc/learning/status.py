"""How far the learner of an index is."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tuning.online.learner import IndexLearner


class LearningStatus(msgspec.Struct, frozen=True):
    """How far the learner of an index is.

    stage: idle, gate, ramp or frozen.
    n_pages: pages learnt from.
    n_documents: documents with statistics.
    n_boosted: documents whose scores behavior moves.
    evidence: at the gate, that the candidate is better; from 1.
    alarm: on the ramp, that the publication was a mistake; from 0.
    moved_by: for the weights that are furthest from what was learnt, the searches that moved each of them most since
        the last publication.
    exploration_share: share of searches that explore.
    uncertainty: of the order of nearly tied neighbours, in [0, 1].
    message: the last decision, or why it could not be carried out.
    """

    stage: str
    n_pages: int
    n_documents: int
    n_boosted: int
    evidence: float
    alarm: float
    moved_by: Mapping[str, tuple[str, ...]] = {}
    exploration_share: float = 0.0
    uncertainty: float = 1.0
    message: str = ""


def status_of(learner: IndexLearner | None, message: str) -> LearningStatus:
    """Return the status of a learner; None: the index does not learn."""
    if learner is None:
        return LearningStatus("idle", 0, 0, 0, 1.0, 0.0, message=message)
    pipeline, exploration = learner.trial.pipeline, learner.weights.exploration
    return LearningStatus(
        stage=pipeline.stage,
        n_pages=learner.weights.n_pages,
        n_documents=len(learner.behavior.coec.documents.subjects),
        n_boosted=learner.behavior.n_boosted,
        evidence=pipeline.evidence,
        alarm=pipeline.alarm,
        moved_by=learner.moved_by(),
        exploration_share=round(max(exploration.published_share, 0.0), 6),
        uncertainty=round(exploration.uncertainty, 3),
        message=message,
    )
