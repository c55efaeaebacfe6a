"""The search service. Each package answers one question; `docs/architecture.md` lists them and walks through them.

Imports go down this list only:

    cli, http, app, service        how it is called and run
    learning, rehearsal            what shoppers teach, and what a change would do
    search, changes, indexing, behavior   the four flows; none of them imports another
    state, rules, engines          what the flows stand on
    embedding, analysis, runtime   what everything stands on
"""

__version__ = "0.1.0"
