"""How does text become terms? Documents and queries are analyzed alike.

A query is then understood by the words of the index.
"""
