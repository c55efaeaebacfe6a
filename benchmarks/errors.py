"""The error of a benchmark that cannot go on.

SearchsvcError
+-- BenchmarkFailed    the service under test gave an answer that makes its figures worthless
"""

from __future__ import annotations

from events.errors import SearchsvcError


class BenchmarkFailed(SearchsvcError):
    """The service under test was wrong, too slow or not there: nothing it did may be reported as a figure."""
