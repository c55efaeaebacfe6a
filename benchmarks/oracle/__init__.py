"""The oracle: an engine that does everything the plain way, to hold other engines against.

It looks at every document and keeps no index, so its code can be read as the rules of retrieval.
"""

from __future__ import annotations

from benchmarks.oracle.lexicon import OracleLexicon
from benchmarks.oracle.snapshot import OracleSnapshot

__all__ = ["OracleLexicon", "OracleSnapshot"]
