"""How an index learns from shoppers, and its trial, as stored in CONTROL. Pure data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal

import msgspec

from events.errors import require, require_window
from events.settings import FIELD_NAME_LIMIT, is_field_name

Mode = Literal["off", "suggest", "automatic"]
Stage = Literal["gate", "ramp"]

# What each kind of interaction counts by default, in clicks; other kinds count nothing. Feedback counts this times its
# grade, from -1 to 1.
VALUES: Final = {"click": 1.0, "add_to_cart": 3.0, "purchase": 10.0, "feedback": 5.0}
MAX_VALUE: Final = 1000.0
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
    """A window of behavior that is not learnt from.

    since: the first moment inside; `from` in JSON.
    until: the first moment after it.
    user: pseudonym of the user, as in BEHAVIOR; '' for all users.
    reason: for a person.
    """

    since: datetime = msgspec.field(name="from")
    until: datetime
    user: str = ""
    reason: str = ""

    def covers(self, user: str, timestamp: datetime) -> bool:
        """Return whether an event of a user is inside."""
        return self.since <= timestamp < self.until and self.user in ("", user)


class Learning(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How an index learns.

    mode: `off` learns nothing; `suggest` writes drafts that a person may publish; `automatic` publishes by itself what
        shoppers prefer.
    frozen: why the automatic mode is paused, until a person sets this again; '' if it is not.
    exploration: highest share of searches in which nearly tied neighbours may be swapped, so that the log can say what
        other orders would have earned.
    max_boost: limit of the behavior factor: a score is at most multiplied by this, and at most divided by it; 1 turns
        the factor off.
    values: what each kind of interaction counts, in clicks.
    ignored: oldest first.
    judgments: by query, grades of documents from 0; no version may answer these queries worse.
    families: members whose values group documents into families; empty for the usual ones, such as brand and category.
    """

    mode: Mode = "off"
    frozen: str = ""
    exploration: float = 0.02
    max_boost: float = 1.2
    values: Mapping[str, float] = msgspec.field(default_factory=lambda: dict(VALUES))
    ignored: tuple[Ignored, ...] = ()
    judgments: Mapping[str, Mapping[str, int]] = {}
    families: tuple[str, ...] = ()


class RampTrial(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A trial on the ramp that is suspended while another candidate is at the gate. Fields as in `Trial`."""

    id: str
    weights: dict[str, float]
    solo_share: float
    decision: str = ""
    moved_by: Mapping[str, tuple[str, ...]] = {}


class Trial(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A comparison of candidate weights with others.

    id: of the candidate.
    stage: at the gate, the candidate is not in force; on the ramp, it is.
    weights: at the gate, the candidate weights; on the ramp, the weights that were in force before: the last good ones.
    solo_share: share of searches ranked by the weights in force alone; most others are interleaved.
    decision: the last decision, for a person.
    moved_by: by weight that the candidate moves, the searches whose clicks moved it most that way.
    ramp: at the gate, the trial of the weights in force, which resumes if the candidate is rejected.
    judged_baseline: the best nDCG@10 of the judged queries since a person last changed the index; 0 if there are no
        judgments.
    """

    id: str
    stage: Stage
    weights: dict[str, float]
    solo_share: float
    decision: str = ""
    moved_by: Mapping[str, tuple[str, ...]] = {}
    ramp: RampTrial | None = None
    judged_baseline: float = 0.0


def resumed_ramp(ramp: RampTrial, judged_baseline: float = 0.0) -> Trial:
    """Return the trial that a suspended one becomes again."""
    return Trial(
        id=ramp.id,
        stage="ramp",
        weights=ramp.weights,
        solo_share=ramp.solo_share,
        decision=ramp.decision,
        moved_by=ramp.moved_by,
        judged_baseline=judged_baseline,
    )


def check_trial(trial: Trial) -> None:
    """Raise InvalidInput naming the first invalid field."""
    require(0 < len(trial.id) <= MAX_ID_CHARS, "trial.id", trial.id, f"1 to {MAX_ID_CHARS} characters")
    require(0.0 <= trial.solo_share <= 1.0, "trial.solo_share", trial.solo_share, "a share from 0 to 1")
    if trial.ramp is not None:
        require(trial.stage == "gate", "trial.ramp", trial.ramp.id, "only in a trial at the gate")
        check_trial(resumed_ramp(trial.ramp))
    n = sum(map(len, trial.moved_by.values()))
    require(n <= MAX_CHARS, "trial.moved_by", n, f"at most {MAX_CHARS} searches")
    require(len(trial.decision) <= MAX_CHARS, "trial.decision", trial.decision, f"at most {MAX_CHARS} characters")


def check_learning(learning: Learning) -> None:
    """Raise InvalidInput naming the first invalid field."""
    boost = learning.max_boost
    limit = f"a finite number from 1 to {MAX_MAX_BOOST:g}"
    require(math.isfinite(boost) and 1.0 <= boost <= MAX_MAX_BOOST, "max_boost", boost, limit)
    share = learning.exploration
    limit = f"a share from 0 to {MAX_EXPLORATION:g}"
    require(math.isfinite(share) and 0.0 <= share <= MAX_EXPLORATION, "exploration", share, limit)
    for kind, value in learning.values.items():
        require(kind in VALUES, f"values.{kind}", kind, f"one of {', '.join(VALUES)}")
        valid = math.isfinite(value) and 0.0 <= value <= MAX_VALUE
        require(valid, f"values.{kind}", value, f"a number from 0 to {MAX_VALUE:g}")
    _check_ignored(learning.ignored)
    n = len(learning.families)
    require(n <= MAX_FAMILIES, "families", n, f"at most {MAX_FAMILIES} members")
    for i, name in enumerate(learning.families):
        require(is_field_name(name), f"families[{i}]", name, FIELD_NAME_LIMIT)
        require(name not in learning.families[:i], f"families[{i}]", name, "each member once")
    _check_judgments(learning.judgments)
    require(len(learning.frozen) <= MAX_CHARS, "frozen", learning.frozen, f"at most {MAX_CHARS} characters")


def _check_ignored(ignored: tuple[Ignored, ...]) -> None:
    require(len(ignored) <= MAX_IGNORED, "ignored", len(ignored), f"at most {MAX_IGNORED}")
    limit = f"at most {MAX_CHARS} characters"
    for i, window in enumerate(ignored):
        require_window(window.since, window.until, within=f"ignored[{i}].")
        require(len(window.reason) <= MAX_CHARS, f"ignored[{i}].reason", window.reason, limit)
        require(len(window.user) <= MAX_CHARS, f"ignored[{i}].user", window.user, limit)


def _check_judgments(judgments: Mapping[str, Mapping[str, int]]) -> None:
    n = len(judgments)
    require(n <= MAX_JUDGED_QUERIES, "judgments", n, f"at most {MAX_JUDGED_QUERIES} queries")
    for query, grades in judgments.items():
        field = f"judgments.{query[:80]}"
        valid = len(query.strip()) > 0 and len(query) <= MAX_QUERY_CHARS
        require(valid, field, query, f"1 to {MAX_QUERY_CHARS} characters")
        require(len(grades) <= MAX_GRADES, field, len(grades), f"at most {MAX_GRADES} documents")
        require(any(grades.values()), field, 0, "a grade above 0 for at least one document")
        for document_id, grade in grades.items():
            require(0 <= grade <= MAX_GRADE, f"{field}.{document_id[:80]}", grade, f"0 to {MAX_GRADE}")
