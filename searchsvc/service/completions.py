"""Suggest completions of what a shopper has typed so far."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Final

from events.errors import require
from searchsvc.behavior.query_counts import QueryCount, QueryCounts
from searchsvc.execution.load import SearchLoad
from searchsvc.runtime.limits import MAX_QUERY_CHARS
from searchsvc.search.searcher import Searcher
from searchsvc.search.suggestions import Suggestion, combine_suggestions
from searchsvc.state.serving import Serving
from searchsvc.state.serving_state import ServingState

MAX_SUGGESTIONS: Final = 50


class Completions:
    """Suggests queries that shoppers made, and titles.

    queries: how often each query was made
    threads: runs the lookups
    """

    def __init__(
        self,
        serving: Serving,
        searcher: Searcher,
        queries: QueryCounts,
        threads: ThreadPoolExecutor,
        load: SearchLoad,
    ) -> None:
        self._serving = serving
        self._searcher = searcher
        self._queries = queries
        self._threads = threads
        self._load = load

    async def suggest(self, index: str, typed: str, limit: int) -> list[Suggestion]:
        """Complete `typed`, best first: queries, then titles.

        Raises InvalidInput, NotFound, and Unavailable if the index is being built or too many searches wait.
        """
        require(len(typed) <= MAX_QUERY_CHARS, "q", typed, f"at most {MAX_QUERY_CHARS} characters")
        require(1 <= limit <= MAX_SUGGESTIONS, "limit", limit, f"1 to {MAX_SUGGESTIONS}")
        self._load.require_room()
        state = self._serving.current
        state.control.index(index)
        loop = asyncio.get_running_loop()
        with self._load.counted():
            return await loop.run_in_executor(self._threads, self._complete, state, index, typed, limit)

    def _complete(self, state: ServingState, index: str, typed: str, limit: int) -> list[Suggestion]:
        lexicon = state.snapshot(index).lexicon

        def is_known(query: QueryCount) -> bool:
            """Whether documents have every word. With others, it was misspelt, or found something by chance."""
            languages = lexicon.languages
            words = query.key.split()
            return all(word in languages.stop_words or lexicon.count(languages.stem(word)) for word in words)

        counts = self._queries.matching(index, typed, limit, is_known)
        queries = [Suggestion(count.text, "query", count.count) for count in counts]
        return combine_suggestions(
            queries, self._searcher.suggest_titles(state, index, typed, limit, now=datetime.now(UTC)), limit
        )
