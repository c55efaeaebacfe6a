"""What one index learns while it runs: from the rankings that were shown and what shoppers did with them, to weights
that somebody should try, and to factors of single documents. Pure: events and CONTROL in, decisions out.

    a ranking, and what is done on it  ->  its documents (`tuning.learners.coec`), at once
    the page, once it is closed        ->  the learner (`tuning.learners.browsing`), and the comparison, if any
    every now and then                 ->  a candidate (`tuning.gate.steps`), and how much is worth leaving to chance
                                            (`tuning.learners.exploration`)
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice, pairwise
from typing import Any, Final

import msgspec
import numpy as np

from events.edits import Edit, SetTrial, SetWeights
from events.hinges import is_hinge
from events.index_control import IndexControl
from events.learning import VALUES, Ignored, Learning, RampTrial, Trial, on_the_ramp
from events.types import InteractionRecorded, RankingShown
from tuning.arrays import ScoreArray
from tuning.clicks.fairpairs import PairVote, pair_votes, votes_on_flips
from tuning.clicks.limits import RateLimiter, VoteLimiter
from tuning.clicks.pages import Page, Pages, graded
from tuning.curves import piece_names, pieces
from tuning.gate.guard import PageOutcome, Shown
from tuning.gate.interleaving import preference
from tuning.gate.pipeline import Pipeline, Step
from tuning.gate.steps import MIN_MOVED, StepLimits, exposure_moved, largest_step, rounded_weight
from tuning.learners.browsing import BrowsingLearner
from tuning.learners.coec import Behavior, Coec, UserQuery, hashed
from tuning.learners.exploration import Exploration, doubt
from tuning.learners.learner import Impression
from tuning.learners.provenance import Provenance

PROPOSE_EVERY: Final = 250
N_REPLAYED: Final = 200
MAX_AFTER: Final = timedelta(hours=1)
MAX_SEEN: Final = 100_000
# Clicks of the last minutes led to what had to be taken back: nothing is learnt from them again.
QUARANTINE: Final = timedelta(minutes=15)
# Of what is compared, one pair of orders may be so much: five, and then one in twenty.
MIN_ASKED: Final = 5
MAX_ASKED: Final = 0.05
# Factors that are looked at each time, whoever was shown.
REVISITED: Final = 20
# A factor that moves by less is not worth a message, nor a mean by less of a doubling.
MIN_CHANGE: Final = 0.01
MIN_DOUBLED: Final = 0.1
# What there is more of is told the next time.
TOLD_AT_ONCE: Final = 2000
# Votes on pairs that chance ordered; and weights of a step of which is said what exposure_moved them.
N_BY_CHANCE: Final = 2000
# Pages by whose neighbours it is judged how much is still to be found out.
N_DOUBTED: Final = 50
N_MOVED: Final = 12
# Factor and mean of what nothing is known of.
AS_OTHERS: Final = (1.0, 0.0)


_pack: Final = msgspec.msgpack.encode


class Learnt(msgspec.Struct, frozen=True):
    """What is known of a document by now. query: where somebody asks for that; '' whatever is asked. factor: what its
    score is to be multiplied by. doubled: what is believed of it, as the logarithm to base 2 of a multiple: of the
    average, or of what the document is worth whatever is asked."""

    query: str
    document_id: str
    factor: float
    doubled: float
    behavior: Behavior


class Decision(msgspec.Struct, frozen=True):
    """trial: that it is about, by id. weights: of the candidate, by name, where it is proposed or suggested. pages:
    that were learnt from so far. moved_by, judged: as in `Trial`."""

    step: Step
    trial: str
    weights: Mapping[str, float]
    pages: int
    moved_by: Mapping[str, tuple[str, ...]] = {}
    judged: float = 0.0


class IndexLearner:
    """index: as CONTROL has it; `follow` takes newer ones. settle: how long a page stays open. secret: as `Coec` has.
    silent: whether nobody is told what becomes known of documents, until it takes the place of another."""

    def __init__(self, index: IndexControl, settle: timedelta, secret: bytes = b"") -> None:
        self.created_seq = index.created_seq
        self._index = index
        self.learnt_without = index.learning.ignored
        self._pages = Pages(settle)
        self.coec = Coec(secret)
        self.silent = False
        # By query and document, as in `Learnt`: factor and mean, where something is known.
        self._told: dict[tuple[str, str], tuple[float, float]] = {}
        # Of which it is not known what was told before.
        self._doubtful: set[tuple[str, str]] = set()
        self._touched: dict[tuple[str, str], None] = {}
        self._votes: OrderedDict[bytes, float] = OrderedDict()
        self._looked: OrderedDict[bytes, None] = OrderedDict()
        self._compared: OrderedDict[bytes, int] = OrderedDict()
        self._counted: OrderedDict[bytes, None] = OrderedDict()
        # How often versions are shown, by what CONTROL says, and since what change of it; None where something else was
        # decided, and is not in force yet.
        self._shown_as: tuple[str, float] | None = None
        self._shown_since = 0
        self._n_heard = 0
        self._voters = VoteLimiter()
        self._velocity = RateLimiter()
        self.pipeline = Pipeline()
        self._trial = ""
        # By trial that something else is tried in the place of: how it stood.
        self._standing: dict[str, bytes] = {}
        self.n_pages = 0
        self._since_proposed = 0
        self._recent: deque[ScoreArray] = deque(maxlen=N_REPLAYED)
        self._by_chance: deque[PairVote] = deque(maxlen=N_BY_CHANCE)
        self.exploration = Exploration()
        self._begin()
        self._agree()

    def follow(self, index: IndexControl) -> None:
        """What is in force by now. Other features begin anew; what is compared is what CONTROL says."""
        before, self._index = self._index, index
        if _features(index) != _features(before):
            self._begin()
        self._agree()

    def strangers(self, ranking: RankingShown) -> list[str]:
        """Documents of a ranking that is to be shown, of which nothing is known: `introduce` them first."""
        return self.coec.strangers(ranking.document_ids) if ranking.user and self._counts(ranking) else []

    def introduce(self, families: Mapping[str, Sequence[str]]) -> None:
        """families: by document, what it belongs to."""
        for document_id, of in families.items():
            self.coec.introduce(document_id, of)

    def show(self, ranking: RankingShown, asked: UserQuery | None = None) -> None:
        """Somebody was shown a ranking. asked: None where that is not known."""
        if not self._counts(ranking) or not self._velocity.allows(ranking.user, ranking.timestamp.timestamp()):
            return
        if self._is_first_look(ranking):
            at_s = ranking.timestamp.timestamp()
            self.coec.show(ranking.document_ids, ranking.first_rank, _number(ranking.user), at_s, asked)
            self._touch(ranking.document_ids, asked)
        if ranking.first_rank == 1 and ranking.document_ids:
            self._pages.show(ranking)

    def _is_first_look(self, ranking: RankingShown) -> bool:
        """Who asks the same again and again has one vote on each document, and so is expected to click it but once; who
        cannot be told from others has none."""
        if not ranking.user:
            return False
        key = hashed(ranking.user, _asked(ranking), str(ranking.first_rank))
        if key in self._looked:
            return False
        self._looked[key] = None
        _forget_oldest(self._looked)
        return True

    def act(self, ranking: RankingShown, interaction: InteractionRecorded, asked: UserQuery | None = None) -> None:
        """Somebody did something on a ranking that was shown before. asked: as it was shown with."""
        late = interaction.received_at - ranking.timestamp > MAX_AFTER
        if interaction.kind not in VALUES or late or not self._counts(ranking):
            return
        at_s = interaction.received_at.timestamp()
        # An order has many lines, which come at once.
        if interaction.kind in ("click", "feedback") and not self._velocity.allows(ranking.user, at_s):
            return
        self._pages.act(interaction)
        if not ranking.user:
            return
        # One vote a user, query and document, for it and against it: what counts most of what was done.
        value = self._index.learning.values.get(interaction.kind, VALUES[interaction.kind]) * graded(interaction)
        side = math.copysign(1.0, value)
        key = hashed(ranking.user, _asked(ranking), interaction.document_id, "against" if value < 0.0 else "for")
        more = abs(value) - self._votes.get(key, 0.0)
        if more <= 0.0 or interaction.document_id not in ranking.document_ids:
            return
        self._votes[key] = abs(value)
        _forget_oldest(self._votes)
        rank = ranking.first_rank + ranking.document_ids.index(interaction.document_id)
        self.coec.earn(interaction.document_id, rank, side * more, _number(ranking.user), at_s, asked)
        self._touch([interaction.document_id], asked)

    def decide(self, now: datetime) -> Iterator[Decision]:
        """Close what is to be closed by now, learn from it, and say what comes of it."""
        for page in self._pages.closed(now):
            yield from self._closed(page)

    @property
    def n_boosted(self) -> int:
        """Documents whose scores are exposure_moved."""
        return sum(factor != 1.0 for factor, _ in self._told.values())

    def learnt(self, now: datetime) -> list[Learnt]:
        """What is known of documents, where that is something else by now than what was said last."""
        touched = list(islice(self._touched, TOLD_AT_ONCE))
        for key in touched:
            del self._touched[key]
        # Who is shown no more is forgotten like the others: some are looked at each time, in turn.
        for key in list(islice(self._told, REVISITED)):
            self._told[key] = self._told.pop(key)
            touched.append(key)
        return [one for key in touched if (one := self._learnt(*key, now.timestamp())) is not None]

    def explored(self) -> float | None:
        """The share of searches that are worth leaving to chance, where it is another by now than was said last."""
        learning = self._index.learning
        return self.exploration.news(learning.exploration) if learning.mode == "automatic" else None

    def revise(self, keys: Iterable[tuple[str, str]]) -> None:
        """Say again what is known, whatever was told before. keys: words that are asked for, '' whatever is asked, and
        documents."""
        self._doubtful |= set(keys)
        self._touched |= dict.fromkeys(self._doubtful)

    def _learnt(self, query: str, document_id: str, at_s: float) -> Learnt | None:
        key = query, document_id
        before, doubtful = self._told.get(key), key in self._doubtful
        self._doubtful.discard(key)
        factor, doubled, behavior = AS_OTHERS[0], AS_OTHERS[1], Behavior()
        # Most of what is asked is asked by a few, and nothing is known of it.
        known = not query or self.coec.knows_pair(query, document_id)
        if known:
            behavior, prior = self.coec.of_document(document_id, at_s)
            relative = 1.0
            if query:
                relative = behavior.mean(prior)
                behavior, prior = self.coec.of_pair(query, document_id, at_s)
            factor = behavior.factor(self._index.learning.max_boost, prior)
            doubled = math.log2(behavior.mean(prior) / relative)
            if abs(doubled) < MIN_DOUBLED:
                doubled = 0.0
            # Of a query it is worth saying that a document is like others: elsewhere it may be another.
            known = bool(query) or (factor, doubled) != AS_OTHERS
        if not known:
            self._told.pop(key, None)
            return Learnt(query, document_id, *AS_OTHERS, Behavior()) if doubtful or before is not None else None
        if before is not None and not doubtful:
            unchanged = (factor == 1.0) == (before[0] == 1.0) and (doubled == 0.0) == (before[1] == 0.0)
            if unchanged and abs(factor - before[0]) < MIN_CHANGE and abs(doubled - before[1]) < MIN_DOUBLED:
                return None
        self._told[key] = factor, doubled
        return Learnt(query, document_id, factor, doubled, behavior)

    def _touch(self, document_ids: Sequence[str], asked: UserQuery | None) -> None:
        for document_id in document_ids:
            if not self.silent:
                self._touched["", document_id] = None
            if asked is not None and (not self.silent or self.coec.knows_pair(asked.words, document_id)):
                self._touched[asked.words, document_id] = None

    def parts(self) -> dict[str, bytes]:
        """All that was learnt; `restore` takes it."""
        told = list(self._told.items())
        counts = (self.n_pages, self._since_proposed, told, dict(self._votes), self._trial)
        held = {
            "names": _pack(self._names),
            "ignored": msgspec.json.encode(self.learnt_without),
            "pages": msgspec.json.encode(self._pages.open()),
            "counts": _pack(counts),
            "looked": _pack(list(self._looked)),
            "recent": _pack([one.tolist() for one in self._recent]),
            "by_chance": _pack(list(self._by_chance)),
            "exploration": _pack(self.exploration),
            "provenance": _pack(self.provenance.parts()),
            "compared": _pack((list(self._compared.items()), self._n_heard, self._voters.parts())),
            "velocity": _pack(self._velocity.held),
            "standing": _pack(self._standing),
            "doubtful": _pack(list(self._doubtful)),
            "counted": _pack((list(self._counted), self._shown_as, self._shown_since)),
            "pipeline": _pack(self.pipeline.parts()),
        }
        held |= {f"coec.{name}": data for name, data in self.coec.parts()}
        return held | {f"learner.{name}": data for name, data in self.learner.parts().items()}

    def restore(self, parts: Mapping[str, bytes]) -> None:
        """Raises KeyError, ValueError or msgspec.DecodeError where they are no parts of this version, and ValueError
        where more or less was to be ignored then."""
        if msgspec.json.decode(parts["ignored"], type=tuple[Ignored, ...]) != self._index.learning.ignored:
            raise ValueError("what is to be ignored is something else by now")
        self._pages.restore(msgspec.json.decode(parts["pages"], type=list[Page]))
        self.coec.restore(_within(parts, "coec."))
        told = list[tuple[tuple[str, str], tuple[float, float]]]
        counts = msgspec.msgpack.decode(parts["counts"], type=tuple[int, int, told, dict[bytes, float], str])
        self.n_pages, self._since_proposed, known, votes, self._trial = counts
        self._votes = OrderedDict(votes)
        # Whether all of it was told before the stop is not known.
        self._told = dict(known)
        doubtful = msgspec.msgpack.decode(parts["doubtful"], type=list[tuple[str, str]])
        self.revise((*self._told, *doubtful))
        self.exploration = msgspec.msgpack.decode(parts["exploration"], type=Exploration)
        # Whether it was told before the stop is not known.
        self.exploration.told = -1.0
        self._standing = msgspec.msgpack.decode(parts["standing"], type=dict[str, bytes])
        self._looked = OrderedDict.fromkeys(msgspec.msgpack.decode(parts["looked"], type=list[bytes]))
        compared, self._n_heard, users = msgspec.msgpack.decode(
            parts["compared"], type=tuple[list[tuple[bytes, int]], int, tuple[int, dict[str, int]]]
        )
        self._compared = OrderedDict(compared)
        self._velocity.held = msgspec.msgpack.decode(parts["velocity"], type=dict[str, tuple[float, float]])
        how = tuple[list[bytes], tuple[str, float] | None, int]
        counted, self._shown_as, self._shown_since = msgspec.msgpack.decode(parts["counted"], type=how)
        self._counted = OrderedDict.fromkeys(counted)
        self._voters.restore(*users)
        self.pipeline.restore(parts["pipeline"])
        if msgspec.msgpack.decode(parts["names"], type=tuple[str, ...]) == self._names:
            self.learner.restore(_within(parts, "learner."))
            recent = msgspec.msgpack.decode(parts["recent"], type=list[list[list[float]]])
            self._recent.extend(np.array(one, np.float64) for one in recent)
            self._by_chance.extend(msgspec.msgpack.decode(parts["by_chance"], type=list[PairVote]))
            pulls = list[list[list[tuple[float, str]]]]
            self.provenance.restore(msgspec.msgpack.decode(parts["provenance"], type=pulls))
        self._agree()

    def go_on_for(self, other: IndexLearner) -> None:
        """Take the place of another: what it compares goes on as it stands, and what was said of documents is known."""
        self.pipeline, self._trial, self._standing = other.pipeline, other._trial, other._standing
        self._compared, self._n_heard, self._voters = other._compared, other._n_heard, other._voters
        self._counted, self._shown_as, self._shown_since = other._counted, other._shown_as, other._shown_since
        self._told, self._doubtful, self.silent = other._told, other._doubtful, False
        self.exploration.told = other.exploration.told
        self._touched |= dict.fromkeys((*other._told, *(("", one) for one in self.coec.documents.held)))
        self.follow(other._index)

    def _begin(self) -> None:
        self._names = _features(self._index)
        self._pieces = piece_names(self._names)
        held = self._index.weights
        self.learner = BrowsingLearner(np.array([held[name] for name in self._names], np.float64))
        self._recent.clear()
        self._by_chance.clear()
        self.provenance = Provenance(self._pieces)

    def _agree(self) -> None:
        """Go on with what CONTROL compares, whoever began it."""
        trial = self._index.trial
        how = (trial.id, trial.solo_share) if trial is not None else None
        if how != self._shown_as:
            self._shown_as, self._shown_since = how, self._index.config_version
        frozen = bool(self._index.learning.frozen)
        if trial is None:
            self._trial = ""
            if self.pipeline.stage in ("gate", "ramp") or frozen != (self.pipeline.stage == "frozen"):
                self.pipeline.stop(frozen=frozen)
        elif trial.id != self._trial or trial.stage != self.pipeline.stage:
            self._trial = trial.id
            if trial.id in self._standing:
                # What was to be tried in its place is not, or is given up: it goes on as it stood.
                self.pipeline.restore(self._standing[trial.id])
            if trial.stage != self.pipeline.stage:
                self.pipeline.resume(trial.stage, trial.solo_share)
        else:
            self.pipeline.align(trial.solo_share)

    def _counts(self, ranking: RankingShown) -> bool:
        """Whether anything is to be learnt from what was done on a ranking."""
        ignored = any(one.holds(ranking.user, ranking.timestamp) for one in self._index.learning.ignored)
        return not (ignored or ranking.typing or ranking.degraded)

    def _closed(self, page: Page) -> Iterator[Decision]:
        ranking = page.ranking
        if not self._is_by_score(ranking):
            return
        clicked = np.array([one in page.clicked for one in ranking.document_ids])
        features = np.array(ranking.features, np.float64)
        before = self.learner.towards
        self.learner.learn(Impression(features, clicked, ranking.user))
        self.provenance.take(ranking.id, self.learner.towards - before)
        self._recent.append(features)
        if ranking.exploration is not None:
            votes = list(pair_votes(ranking.exploration, features, clicked))
            self._by_chance.extend(votes)
            self.exploration.take(len(votes))
        self.n_pages += 1
        self._since_proposed += 1
        # A page of before a publication says nothing of what is in force since.
        # Nor does one of before versions were shown as often as they are now.
        on_trial = ranking.trial == self._trial and self._shown_as is not None
        on_trial = on_trial and ranking.weights_version == self._index.weights_version
        on_trial = on_trial and ranking.config_version >= self._shown_since
        step = self.pipeline.observe(self._seen(page, clicked)) if ranking.trial and on_trial else None
        if self.n_pages % PROPOSE_EVERY == 0:
            recent = [pieces(one) for one in islice(reversed(self._recent), N_DOUBTED)]
            self.exploration.doubt = doubt(self.learner, recent, self._now())
        if step is not None:
            self._shown_as = None
            if step.kind == "published":
                # What is learnt from now on leads on from there.
                self.provenance.begin()
            yield Decision(step, self._trial, {}, self.n_pages)
        elif self._since_proposed >= PROPOSE_EVERY:
            self._since_proposed = 0
            yield from self._proposed(ranking)

    def _is_by_score(self, ranking: RankingShown) -> bool:
        """Whether the learner's features ordered it, and nothing else: what a rule put in its place says nothing."""
        if (
            ranking.feature_names != self._names
            or ranking.pinned_ids
            or any(one != 1.0 for one in ranking.rule_factors)
        ):
            return False
        if ranking.interleaving is not None or ranking.exploration is not None:
            return True
        return all(a >= b for a, b in pairwise(ranking.scores))

    def _seen(self, page: Page, clicked: np.ndarray) -> PageOutcome:
        ranking, compared = page.ranking, page.ranking.interleaving
        shown: Shown = "both" if compared is not None else "old" if ranking.holdout else "new"
        preferred = bought = 0.0
        heard = compared is not None and self._is_heard(ranking, clicked)
        if compared is not None and heard:
            n_shown = len(ranking.document_ids)
            # On the ramp, the weights in force are those that are on trial.
            sign = -1.0 if self.pipeline.stage == "ramp" else 1.0
            preferred, bought = (
                sign * preference(compared.in_force, compared.challenger, compared.coins, chosen, n_shown)
                for chosen in (page.clicked, page.bought)
            )
        first = self._is_first(ranking)
        return PageOutcome(shown, first, heard, preferred, bought, bool(clicked.any()), ranking.took_ms)

    def _is_first(self, ranking: RankingShown) -> bool:
        """Of this user, while versions are shown as often as they are now."""
        if not ranking.user:
            return True
        key = hashed(*map(str, self._shown_as or ()), ranking.user)
        known = key in self._counted
        self._counted[key] = None
        self._counted.move_to_end(key)
        _forget_oldest(self._counted)
        return not known

    def _is_heard(self, ranking: RankingShown, clicked: np.ndarray) -> bool:
        """The same two orders of the same user are one question, whose coins have fallen."""
        if not self._voters.hear(ranking.user, clicked) or ranking.interleaving is None:
            return False
        question = hashed(*ranking.interleaving.in_force, "", *ranking.interleaving.challenger)
        # One query that many ask at once is no more than a part of what all ask.
        asked = self._compared.pop(question, 0)
        heard = asked < max(MIN_ASKED, MAX_ASKED * self._n_heard)
        self._compared[question] = asked + heard
        answer = hashed(question.hex(), ranking.user)
        heard = heard and (not ranking.user or answer not in self._compared)
        if ranking.user:
            self._compared[answer] = 1
        _forget_oldest(self._compared)
        self._n_heard += heard
        return heard

    def _proposed(self, last: RankingShown) -> Iterator[Decision]:
        index = self._index
        suggests = index.learning.mode == "suggest"
        if not suggests and not (self.pipeline.may_propose and index.learning.mode == "automatic"):
            return
        now = self._now()
        limits = StepLimits(index.bounds, index.locks, index.policy.max_step)
        found = largest_step(self._pieces, now, self.learner.weights, self._recent, limits)
        if found is None:
            return
        trial = index.trial
        if trial is not None and trial.stage == "gate":
            other = np.array([trial.weights.get(name, 0.0) for name in self._pieces])
            if exposure_moved(self._recent, other, found.weights) < MIN_MOVED:
                return
        turned = votes_on_flips(self._by_chance, now, found.weights)
        if turned is not None and turned.high < 0.5:
            # Clicks have said already that it is worse: nobody need be shown it.
            return
        steps = zip(self._pieces, now.tolist(), found.weights.tolist(), strict=True)
        tidy = {name: rounded_weight(before, after) for name, before, after in steps}
        weights = {name: one for name, one in tidy.items() if one or not is_hinge(name)}
        moved_by = self._moved_by(found.weights - now)
        why = (
            f"learnt from {self.n_pages:,} pages up to {last.timestamp:%Y-%m-%d %H:%M:%S}: "
            f"{found.share:.0%} of the way to "
            f"what shoppers like, which moves {found.exposure_moved:.0%} of what is looked at{turned or ''}"
        )
        if suggests:
            yield Decision(Step("suggested", why, 1.0), "", weights, self.n_pages, moved_by)
            return
        # Named by the ranking after which it came, so that it has the same name when the log is read again.
        kept = {trial.id, trial.ramp.id if trial.ramp else ""} if trial is not None else set()
        self._standing = {name: parts for name, parts in self._standing.items() if name in kept}
        self._standing[self._trial] = _pack(self.pipeline.parts())
        self._trial = f"learnt-{last.id[-12:]}"
        yield Decision(self.pipeline.propose(why), self._trial, weights, self.n_pages, moved_by)

    def moved_by(self) -> dict[str, tuple[str, ...]]:
        """By weight that is furthest from what was learnt, the searches that pulled it that way most since something
        was published."""
        now = self._now()
        length = float(np.linalg.norm(now)) or 1.0
        return self._moved_by(self.learner.towards - now / length)

    def _now(self) -> ScoreArray:
        """(n_pieces,) the weights in force."""
        return np.array([self._index.weights.get(name, 0.0) for name in self._pieces])

    def _moved_by(self, changes: ScoreArray) -> dict[str, tuple[str, ...]]:
        furthest = np.argsort(-np.abs(changes), kind="stable")[:N_MOVED].tolist()
        return self.provenance.of({self._pieces[at]: float(changes[at]) for at in furthest})


def edits_of(index: IndexControl, decision: Decision) -> list[Edit]:
    """What a decision changes of an index as it is; nothing where that is another by now."""
    step, trial = decision.step, index.trial
    if step.kind == "proposed":
        if index.learning.mode != "automatic" or index.learning.frozen:
            return []
        weights = {**dict.fromkeys(index.weights, 0.0), **decision.weights}
        # What is in force is watched until it is known that something is better.
        watched = trial.ramp if trial is not None else None
        if trial is not None and trial.stage == "ramp":
            watched = RampTrial(trial.id, trial.weights, trial.solo_share, trial.decision, trial.moved_by)
        made = Trial(
            decision.trial, "gate", weights, step.solo_share, step.why, decision.moved_by, watched, decision.judged
        )
        return [SetTrial(made)]
    if trial is None or trial.id != decision.trial:
        return []
    if step.kind == "published" and trial.stage == "gate":
        before = dict(index.weights)
        return [
            SetWeights(changed_weights(index, trial.weights)),
            SetTrial(
                Trial(
                    trial.id,
                    "ramp",
                    before,
                    step.solo_share,
                    step.why,
                    trial.moved_by,
                    judged_baseline=trial.judged_baseline,
                )
            ),
        ]
    if step.kind in ("ramped", "settled") and trial.stage == "ramp":
        return [SetTrial(msgspec.structs.replace(trial, solo_share=step.solo_share, decision=step.why))]
    if step.kind == "given_up" and trial.stage == "gate":
        return [SetTrial(on_the_ramp(trial.ramp, trial.judged_baseline) if trial.ramp is not None else None)]
    if step.kind == "frozen" and trial.stage == "ramp":
        return [SetTrial(None)]
    if step.kind == "rolled_back" and trial.stage == "ramp":
        return [SetWeights(changed_weights(index, trial.weights)), SetTrial(None)]
    return []


def changed_weights(index: IndexControl, weights: Mapping[str, float]) -> dict[str, float]:
    """Those that differ from what is in force; a bend that is not named is to have none."""
    wanted = {**dict.fromkeys(index.weights, 0.0), **weights}
    return {name: value for name, value in wanted.items() if value != index.weights.get(name, 0.0)}


def frozen(learning: Learning, *, why: str, now: datetime) -> Learning:
    """How an index is to learn after its guard gave alarm: not on, and not from what led to it."""
    window = Ignored(since=now - QUARANTINE, until=now, reason=why)
    return msgspec.structs.replace(learning, frozen=why, ignored=(*learning.ignored, window))


def _forget_oldest(held: OrderedDict[bytes, Any]) -> None:
    while len(held) > MAX_SEEN:
        held.popitem(last=False)


def _within(parts: Mapping[str, bytes], prefix: str) -> dict[str, bytes]:
    return {name.removeprefix(prefix): data for name, data in parts.items() if name.startswith(prefix)}


def _features(index: IndexControl) -> tuple[str, ...]:
    return tuple(name for name in index.weights if not is_hinge(name))


def _asked(ranking: RankingShown) -> str:
    """The same for the same query of the same user; of a query that cannot be told from others, its ranking."""
    return ranking.query_key or ranking.query or ranking.id


def _number(user: str) -> int:
    """A user in seven bytes."""
    return int.from_bytes(hashed(user)[:7])
