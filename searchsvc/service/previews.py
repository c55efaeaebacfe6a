"""Preview a draft: some queries with and without it."""

from __future__ import annotations

from collections.abc import Sequence

from searchsvc.changes.drafts import Drafts
from searchsvc.rehearsal.preview import Preview, preview_of, preview_query
from searchsvc.rehearsal.rehearser import Rehearser
from searchsvc.search.request import SearchRequest
from searchsvc.state.serving import Serving


class Previews:
    """Shows what a draft would change."""

    def __init__(self, serving: Serving, drafts: Drafts, rehearser: Rehearser) -> None:
        self._serving = serving
        self._drafts = drafts
        self._rehearser = rehearser

    async def preview(self, index: str, draft: str, requests: Sequence[SearchRequest]) -> Preview:
        """Compare searches without and with a draft.

        Raises NotFound, InvalidInput, Unavailable.
        """
        base = self._serving.current.control
        drafted = await self._drafts.control_with(index, draft)
        previews = []
        for request in requests:
            before, after = await self._rehearser.compare(index, base, drafted, request)
            previews.append(preview_query(request.query, before, after))
        return preview_of(previews)
