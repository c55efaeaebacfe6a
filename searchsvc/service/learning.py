"""Report how far the learner of an index is."""

from __future__ import annotations

from searchsvc.learning.learners import Learners
from searchsvc.learning.status import LearningStatus


class LearningReports:
    """Reports from the learners of this service.

    learners: None if another service learns
    """

    def __init__(self, learners: Learners | None) -> None:
        self._learners = learners

    async def status(self, index: str) -> LearningStatus | None:
        """Return how far the learner of an index is; None if another service learns."""
        return await self._learners.status(index) if self._learners is not None else None
