"""From the log to clicks that can be learnt from: joins, pages, vote limits, and what randomized rankings say."""
