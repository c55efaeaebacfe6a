"""What has happened? Events, their codec, the log and its adapters, and the states folded from it.

The lowest layer: it imports neither `tuning` nor `searchsvc`. Start reading at `types`, then `log`, then `control`.
"""
