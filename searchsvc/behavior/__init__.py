"""How does a click become part of the log, and what is folded from it?

in:   `intake` checks an event, over HTTP or from `ingest`; `writer` stores it
out:  `follower` reads the log back; `state` folds it; `worker` joins interactions to rankings and feeds the learners
bad:  `dead_letters` keeps what could not be used, and replays it
"""
