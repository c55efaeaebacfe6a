"""Answering: analysis, retrieval, ranking, indexing, the HTTP API and the command line.

Start reading at `search` (one search from request to answer) and `app` (what is wired to what).
"""

__version__ = "0.1.0"
