"""Compiled loops of the embedded engine, one module a topic: see `tuning.compiled`."""
