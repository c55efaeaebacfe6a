"""The embedded engine: postings and FAISS find candidates, a columnar forward index describes them.

A document gets a *slot*, a row number that is never used twice; an update is a new slot and a tombstone on the old.
Every column only grows at its end, so a snapshot is a set of views that no later write can touch.
"""
