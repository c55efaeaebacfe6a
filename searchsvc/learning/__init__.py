"""Learners while the service runs: events go in; commands, drafts and SIGNALS come out."""
