"""How does text become terms? Documents and queries are analyzed alike.

A query is then understood by the words of the index. Where the words of a text change, the schemas of both engines do,
too, so that indexes are rebuilt (`engines/embedded/manifest.py`, `engines/opensearch/mapping.py`).
"""
