"""Receipts: the full account of a logged answer, and whether it can be computed again.

finding          the ranking, in BEHAVIOR
account          the rules and weights of the CONTROL sequence that it names; its scores, from its features
repetition       its query, searched again by those rules and weights, if the documents are still the same
verification     what is equal and what differs
"""
