"""The composition root: with the modules `*_parts`, the only place that names adapters and puts parts together.

Each part that has to be ended adds its end to `Shutdown` where it is opened, so the order of opening is the reverse of
the order of ending:

    opened:  server, copy, log | node, keyring, threads, indexers, learners | writer, what-ifs
    ended:   what-ifs, writer (accepted events are written), learners, indexers (saved), ..., the log's server last
"""

from __future__ import annotations

from searchsvc.app.behavior_parts import BehaviorParts
from searchsvc.app.change_parts import ChangeParts
from searchsvc.app.log_parts import LogParts
from searchsvc.app.search_parts import SearchParts
from searchsvc.app.shutdown import Shutdown
from searchsvc.behavior.admission import Allowance
from searchsvc.behavior.keyring import Keyring
from searchsvc.indexing.indexers import Indexers
from searchsvc.rehearsal.receipts.receipts import Receipts
from searchsvc.rehearsal.what_if.what_ifs import WhatIfs
from searchsvc.runtime.config import Config
from searchsvc.search.last_known import LastKnown
from searchsvc.service.completions import Completions
from searchsvc.service.documents import Documents
from searchsvc.service.history import ChangeHistory
from searchsvc.service.indexes import IndexAdministration
from searchsvc.service.interactions import Interactions
from searchsvc.service.learning import LearningReports
from searchsvc.service.previews import Previews
from searchsvc.service.privacy import Privacy
from searchsvc.service.searches import RankingLog, Searches
from searchsvc.service.services import Services


def open_services(
    config: Config,
    log: LogParts,
    search: SearchParts,
    changes: ChangeParts,
    behavior: BehaviorParts,
    indexers: Indexers,
    keyring: Keyring,
    shutdown: Shutdown,
) -> Services:
    """Return the use cases that the API calls."""
    serving, event_log, rankings = log.serving, log.event_log, behavior.state.rankings
    commands, drafts = changes.commands, changes.drafts
    what_ifs = WhatIfs(event_log, serving, drafts, keyring, search.rehearser.compare)
    shutdown.add(what_ifs.close)
    last_known = LastKnown(config.opensearch.last_known if search.node is not None else 0)
    ranking_log = RankingLog(behavior.writer, rankings, keyring)
    return Services(
        serving=serving,
        searches=Searches(
            serving, search.execution, search.load, ranking_log, last_known, search.rehearser, commands, drafts
        ),
        completions=Completions(
            serving, search.searcher, behavior.state.query_counts, search.threads.searches, search.load
        ),
        documents=Documents(event_log, serving, commands, search.threads.searches, log.memory.require),
        interactions=Interactions(
            serving, behavior.writer, rankings, keyring, Allowance(config.behavior.max_events_per_s)
        ),
        dead_letters=behavior.dead_letters,
        indexes=IndexAdministration(serving, commands, indexers),
        commands=commands,
        drafts=drafts,
        previews=Previews(serving, drafts, search.rehearser),
        what_ifs=what_ifs,
        history=ChangeHistory(log.history),
        receipts=Receipts(event_log, log.history, serving, search.searcher, rankings, keyring),
        privacy=Privacy(keyring, commands),
        learning=LearningReports(behavior.learners),
    )
