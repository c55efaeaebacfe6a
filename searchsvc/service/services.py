"""Everything that the API can call, one member a topic."""

from __future__ import annotations

import msgspec

from searchsvc.behavior.dead_letters import DeadLetters
from searchsvc.changes.commands import Commands
from searchsvc.changes.drafts import Drafts
from searchsvc.rehearsal.receipts.receipts import Receipts
from searchsvc.rehearsal.what_if.what_ifs import WhatIfs
from searchsvc.service.completions import Completions
from searchsvc.service.documents import Documents
from searchsvc.service.history import ChangeHistory
from searchsvc.service.indexes import IndexAdministration
from searchsvc.service.interactions import Interactions
from searchsvc.service.learning import LearningReports
from searchsvc.service.previews import Previews
from searchsvc.service.privacy import Privacy
from searchsvc.service.searches import Searches
from searchsvc.state.serving import Serving


class Services(msgspec.Struct, frozen=True):
    """The use cases of one running service."""

    serving: Serving
    searches: Searches
    completions: Completions
    documents: Documents
    interactions: Interactions
    dead_letters: DeadLetters
    indexes: IndexAdministration
    commands: Commands
    drafts: Drafts
    previews: Previews
    what_ifs: WhatIfs
    history: ChangeHistory
    receipts: Receipts
    privacy: Privacy
    learning: LearningReports
