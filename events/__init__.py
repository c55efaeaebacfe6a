"""What happened: event types, codec, log protocol, projections and the JetStream and memory adapters.

The lowest layer: it imports nothing of `tuning` or `searchsvc`. Start reading at `types`, then `log`, then `control`.
"""
