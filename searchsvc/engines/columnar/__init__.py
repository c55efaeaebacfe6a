"""Structures that both engines keep in arrays: columns, words, term statistics and vectors."""
