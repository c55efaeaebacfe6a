"""The vector of a query, computed at most once. Pure: a failure is reported, not logged."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from events.errors import Unavailable
from searchsvc.runtime.stopwatch import Laps
from tuning.arrays import FloatArray


class QueryEncoding:
    """A query's vector, computed when it is first needed. Not for two threads at a time.

    encode: computes the vector and may raise Unavailable; None if there is nothing to compute.
    vector: the vector, if it is known from the start.
    degraded: parts that the answer lacks from the start.
    """

    def __init__(
        self,
        encode: Callable[[], FloatArray] | None = None,
        *,
        vector: FloatArray | None = None,
        degraded: Sequence[str] = (),
    ) -> None:
        self._encode = encode
        self._vector = vector
        self.degraded = list(degraded)
        self.failure = ""
        self.ms = 0.0

    def __call__(self) -> FloatArray | None:
        """Return the vector, (dimension,), or None without one.

        If the encoder fails, `failure` says why and `degraded` is `["vector"]`: keyword hits alone are worth having.
        """
        encode, self._encode = self._encode, None
        if encode is not None:
            laps = Laps(None)
            try:
                self._vector = encode()
            except Unavailable as error:
                self.failure = str(error)
                self.degraded = ["vector"]
            self.ms = laps.lap()
        return self._vector

    def for_retrieval(self) -> FloatArray | Callable[[], FloatArray | None] | None:
        """Return the vector once it is computed, this object before, None if there will be none.

        With None the engine waits for no vector.
        """
        return self._vector if self._encode is None else self
