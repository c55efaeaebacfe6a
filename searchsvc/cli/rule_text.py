"""Rules as text for tables: conditions, actions and effects."""

from __future__ import annotations

from events.rules import (
    Action,
    BoostAction,
    BuryAction,
    Conditions,
    FilterAction,
    HideAction,
    PinAction,
    RedirectAction,
    RemoveWordsAction,
    ReplaceWordsAction,
    SynonymAction,
    UserDataAction,
)
from searchsvc.rules.cost_checks import RuleCost
from searchsvc.rules.directives import Effect


def describe_conditions(conditions: Conditions) -> str:
    """Return when a rule fires; "always" without conditions."""
    patterns = [f"{pattern.type} {pattern.text!r}" for pattern in conditions.patterns]
    phrases = [" or ".join(patterns)] if patterns else []
    phrases += [f"context {tag}" for tag in conditions.context]
    phrases += [f"scope {conditions.scope}"] if conditions.scope else []
    phrases += [f"filters {conditions.filters}"] if conditions.filters else []
    phrases += [f"{name} {value}" for name in ("user_segment", "experiment") if (value := getattr(conditions, name))]
    return "; ".join(phrases) or "always"


def describe_action(action: Action) -> str:
    """Return what an action does."""
    match action:
        case SynonymAction(words=words, of=from_words, to=to_words):
            return " = ".join(words) if words else f"{' / '.join(from_words)} → {' / '.join(to_words)}"
        case PinAction(document_id=document_id, rank=rank):
            return f"pin {document_id} at {rank}"
        case HideAction(document_id=document_id, filter=condition):
            return f"hide {document_id or condition}"
        case BoostAction() | BuryAction():
            kind = "boost" if isinstance(action, BoostAction) else "bury"
            documents = f" of {action.filter}" if action.filter else ""
            signal = f" by {action.signal}" if action.signal else ""
            return f"{kind} x {action.factor:g}{documents}{signal}"
        case FilterAction(filter=condition):
            return f"filter {condition}"
        case ReplaceWordsAction(of=replaced, to=replacement):
            return f"{replaced or 'the query'} → {replacement}"
        case RemoveWordsAction(words=removed):
            return f"without {', '.join(removed)}"
        case RedirectAction(url=url):
            return f"redirect to {url}"
        case UserDataAction():
            return "user data"


def describe_cost(cost: RuleCost) -> str:
    """Return what a rule costs searches."""
    phrases = [f"a search that just meets it costs {cost.search} of {cost.max_search}"] if cost.search else []
    if cost.synonym_words:
        phrases.append(f"a phrase has {cost.synonym_words} of {cost.max_synonym_words} words of synonyms")
    return "; ".join(phrases) or "it costs searches nothing"


def describe_effect(effect: Effect) -> str:
    """Return what an action did to an answer."""
    phrases = [
        effect.document_id,
        f"rank {effect.rank}" if effect.rank is not None else "",
        f"x {effect.factor:g}" if effect.factor is not None else "",
        f"{effect.n_candidates} candidates" if effect.n_candidates is not None else "",
        f"searched for {effect.words!r}" if effect.words is not None else "",
    ]
    return " ".join(phrase for phrase in phrases if phrase)
