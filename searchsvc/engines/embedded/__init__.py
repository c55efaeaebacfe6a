"""The embedded engine: postings and FAISS find candidates, and a forward index describes them.

A version of a document gets a *slot*, a row number that is used once. An update is a new slot; the old one is dead.
Every column only grows at its end, so a snapshot is a set of views that no later write changes.
"""
