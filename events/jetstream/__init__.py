"""The log on NATS JetStream. `docs/decisions/log-on-jetstream.md` says why there is no other durable log.

`event_log` is the adapter; `session` reaches the server, `streams` looks after the streams, `appending` and `reading`
write and read them.

Facts this relies on (nats-server 2.15): a wrong expected sequence answers error 10071. `Nats-Batch-*` headers make an
atomic batch, and only its last message is acknowledged. A consumer does not survive a restart of the server, so a
follower subscribes again after its last sequence whenever the connection is back.
"""
