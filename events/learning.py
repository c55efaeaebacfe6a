"""How an index learns from shoppers, and what is compared just now, as they are stored in the log. Pure data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal

import msgspec

from events.errors import require, require_window
from events.settings import FIELD_NAME

Mode = Literal["off", "suggest", "automatic"]
Stage = Literal["gate", "ramp"]

# What an interaction counts, in clicks, where nothing else is set; others say nothing of how a document is liked.
# Feedback counts so much times its grade, from -1 to 1.
VALUES: Final = {"click": 1.0, "add_to_cart": 3.0, "purchase": 10.0, "feedback": 5.0}
MAX_IGNORED: Final = 1000
MAX_CHARS: Final = 1000
MAX_ID_CHARS: Final = 100
MAX_MAX_BOOST: Final = 2.0
MAX_EXPLORATION: Final = 0.5
MAX_JUDGED_QUERIES: Final = 100
MAX_FAMILIES: Final = 4
MAX_GRADES: Final = 50
MAX_GRADE: Final = 10
MAX_QUERY_CHARS: Final = 512


class Ignored(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What shoppers did that nothing is to be learnt from: from `since` until `until`, by one user (a pseudonym, as
    BEHAVIOR has it) or, where that is '', by all."""

    since: datetime = msgspec.field(name="from")
    until: datetime
    user: str = ""
    reason: str = ""

    def holds(self, user: str, at: datetime) -> bool:
        return self.since <= at < self.until and self.user in ("", user)


class Learning(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """mode: off learns nothing; suggest writes drafts that a person may publish; automatic publishes by itself what
    shoppers prefer. frozen: why the automatic mode stands still until a person sets this again; '' where it does not.
    exploration: the share of searches, at most, in which neighbours that are nearly alike may change places, so that
    the log can say what other orders would earn. max_boost: how far what shoppers do with a document may move its
    score: at most times this, at least divided by it; 1 for not at all. values: what an interaction counts. ignored:
    oldest first. judgments: queries with grades of documents, from 0, that no version may answer worse. families:
    members
    whose values say which documents are of one kind: of a new one is believed what is known of those; none for the
    usual ones, such as brand and category."""

    mode: Mode = "off"
    frozen: str = ""
    exploration: float = 0.02
    max_boost: float = 1.2
    values: Mapping[str, float] = msgspec.field(default_factory=lambda: dict(VALUES))
    ignored: tuple[Ignored, ...] = ()
    judgments: Mapping[str, Mapping[str, int]] = {}
    families: tuple[str, ...] = ()


class RampTrial(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A trial on the ramp, while something is tried in the place of what is in force."""

    id: str
    weights: dict[str, float]
    solo_share: float
    decision: str = ""
    moved_by: Mapping[str, tuple[str, ...]] = {}


class Trial(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Two versions of an index's weights that are compared. At the gate `weights` are those of a candidate; on the ramp
    the candidate is in force, and they are those that were before, the last good ones.

    id: of the candidate. solo_share: the share of searches that are ranked by the weights in force alone; the others
    are
    shown both, interleaved. decision: what has been decided last, for a person. moved_by: by weight that the candidate
    moves, the searches whose clicks pulled it that way most. ramp: at the gate, the trial of what is in force, which
    goes on where this one is given up. judged_baseline: the best that judged queries were answered since a person
    changed
    anything; 0 where there are none.
    """

    id: str
    stage: Stage
    weights: dict[str, float]
    solo_share: float
    decision: str = ""
    moved_by: Mapping[str, tuple[str, ...]] = {}
    ramp: RampTrial | None = None
    judged_baseline: float = 0.0


def on_the_ramp(watched: RampTrial, judged: float = 0.0) -> Trial:
    """The trial that it was."""
    return Trial(
        watched.id,
        "ramp",
        watched.weights,
        watched.solo_share,
        watched.decision,
        watched.moved_by,
        judged_baseline=judged,
    )


def check_trial(trial: Trial) -> None:
    """Raise InvalidInput naming the first member that cannot be honoured."""
    require(0 < len(trial.id) <= MAX_ID_CHARS, "trial.id", trial.id, f"1 to {MAX_ID_CHARS} characters")
    require(0.0 <= trial.solo_share <= 1.0, "trial.solo_share", trial.solo_share, "a share from 0 to 1")
    if trial.ramp is not None:
        require(trial.stage == "gate", "trial.ramp", trial.ramp.id, "none, but for a trial at the gate")
        check_trial(on_the_ramp(trial.ramp))
    n = sum(map(len, trial.moved_by.values()))
    require(n <= MAX_CHARS, "trial.moved_by", n, f"at most {MAX_CHARS} searches")
    require(len(trial.decision) <= MAX_CHARS, "trial.decision", trial.decision, f"at most {MAX_CHARS} characters")


def check_learning(learning: Learning) -> None:
    """Raise InvalidInput naming the first member that cannot be honoured."""
    boost = learning.max_boost
    limit = f"a finite number from 1 to {MAX_MAX_BOOST:g}"
    require(math.isfinite(boost) and 1.0 <= boost <= MAX_MAX_BOOST, "max_boost", boost, limit)
    share = learning.exploration
    limit = f"a share from 0 to {MAX_EXPLORATION:g}"
    require(math.isfinite(share) and 0.0 <= share <= MAX_EXPLORATION, "exploration", share, limit)
    for kind, value in learning.values.items():
        require(kind in VALUES, f"values.{kind}", kind, f"one of {', '.join(VALUES)}")
        require(math.isfinite(value) and 0.0 <= value <= 1000.0, f"values.{kind}", value, "a number from 0 to 1000")
    n = len(learning.ignored)
    require(n <= MAX_IGNORED, "ignored", n, f"at most {MAX_IGNORED}")
    for i, one in enumerate(learning.ignored):
        require_window(one.since, one.until, within=f"ignored[{i}].")
        require(len(one.reason) <= MAX_CHARS, f"ignored[{i}].reason", one.reason, f"at most {MAX_CHARS} characters")
        require(len(one.user) <= MAX_CHARS, f"ignored[{i}].user", one.user, f"at most {MAX_CHARS} characters")
    n = len(learning.families)
    require(n <= MAX_FAMILIES, "families", n, f"at most {MAX_FAMILIES} members")
    for i, name in enumerate(learning.families):
        require(FIELD_NAME.fullmatch(name) is not None, f"families[{i}]", name, FIELD_NAME.pattern)
        require(name not in learning.families[:i], f"families[{i}]", name, "each member once")
    n = len(learning.judgments)
    require(n <= MAX_JUDGED_QUERIES, "judgments", n, f"at most {MAX_JUDGED_QUERIES} queries")
    for query, grades in learning.judgments.items():
        field = f"judgments.{query[:80]}"
        require(
            len(query.strip()) > 0 and len(query) <= MAX_QUERY_CHARS, field, query, f"1 to {MAX_QUERY_CHARS} characters"
        )
        require(len(grades) <= MAX_GRADES, field, len(grades), f"at most {MAX_GRADES} documents")
        require(any(grades.values()), field, 0, "a grade above 0 for one document at least")
        for document_id, grade in grades.items():
            require(0 <= grade <= MAX_GRADE, f"{field}.{document_id[:80]}", grade, f"0 to {MAX_GRADE}")
    require(len(learning.frozen) <= MAX_CHARS, "frozen", learning.frozen, f"at most {MAX_CHARS} characters")
