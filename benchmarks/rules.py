"""How long does it take to find the rules that fire for a search, and to combine what they ask for?

Question   among 10,000 rules of every kind, the time to find those that fire, to prepare all of them, and to change
           one; and the time to rank a hundred candidates with rules (benchmarks/reranking.py).
Data       random rules and queries over a vocabulary in which some words are far more frequent than others.
Baseline   testing each rule.
Command    searchsvc bench rules
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np

from benchmarks import report, reranking
from events.errors import require
from events.index_control import StoredRule
from events.rules import (
    BoostAction,
    Conditions,
    HideAction,
    PatternType,
    PinAction,
    QueryPattern,
    Rule,
    SynonymAction,
    UserDataAction,
)
from searchsvc.engines.filters import parse_filter
from searchsvc.rules.conditions import PreparedConditions, SearchContext, filter_conjuncts, stems_of
from searchsvc.rules.directives import combine_actions
from searchsvc.rules.rulebook import Rulebook

SEED: Final = 20261126
NOW: Final = datetime(2026, 11, 26, tzinfo=UTC)
N_WORDS: Final = 3000
N_CHANGES: Final = 50
FIND: Final = "rules that fire"
FIND_MS: Final = 0.3
RERANKED_MS: Final = 1.0
TYPES: Final[tuple[PatternType, ...]] = ("exact", "starts", "contains", "all_words")


def random_rules(n: int, rng: np.random.Generator) -> dict[str, StoredRule]:
    """Make n rules. Seven in ten have a condition on words; the others on a filter, a tag, a segment or nothing."""
    rules = {}
    for number in range(n):
        kind = rng.random()
        pattern = QueryPattern(TYPES[number % 4], " ".join(_words(rng, int(rng.integers(1, 4)))))
        conditions, actions = Conditions(query=pattern), _actions(rng, number)
        if kind < 0.1:
            conditions = Conditions(filters=f"category:c{number % 500}")
        elif kind < 0.15:
            conditions = Conditions(context=(f"tag{number % 200}",))
        elif kind < 0.2:
            conditions = Conditions(user_segment=f"s{number % 100}")
        elif kind < 0.3:
            conditions, actions = Conditions(), (SynonymAction(words=(_words(rng, 1)[0], f"other{number}")),)
        valid_from = NOW - timedelta(days=1) if number % 5 else NOW + timedelta(days=1)
        rule = Rule(actions, valid_from=valid_from, conditions=conditions, priority=int(rng.integers(0, 3)))
        rules[f"r{number}"] = StoredRule(f"r{number}", rule, number, number, NOW, "bench", False, "")
    return rules


def measure(*, n_rules: int, n_searches: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Match random searches with random rules; return the result as it is written to JSON."""
    require(n_rules >= 1, "rules", n_rules, "1 or more")
    require(n_searches >= 1, "searches", n_searches, "1 or more")
    rng = np.random.default_rng(SEED)
    rules = random_rules(n_rules, rng)
    say(f"preparing {n_rules:,} rules")
    started = time.perf_counter()
    book = Rulebook().with_rules(rules)
    prepared_s = time.perf_counter() - started
    change_ms = _change_ms(book, rules)
    contexts = [_context(rng) for _ in range(n_searches)]
    say(f"{n_searches:,} searches")
    find_ms, combine_ms, n_fired = [], [], []
    for context in contexts:
        started = time.perf_counter()
        fired = book.find_rules(context, NOW)
        find_ms.append((time.perf_counter() - started) * 1e3)
        combine_actions(fired, lambda _: True)
        combine_ms.append((time.perf_counter() - started) * 1e3)
        n_fired.append(len(fired))
    say(f"at most {max(n_fired)} fire")
    latency = {
        FIND: report.latency(find_ms),
        "rules that fire, and their directives": report.latency(combine_ms),
        "baseline: each rule tested": report.latency([_test_each_ms(rules, context) for context in contexts[:20]]),
        "a rule changed": report.latency(change_ms),
    }
    say("ranking with rules")
    reranked = reranking.measure(n_searches, rng)
    size = f"{reranking.N_CANDIDATES} candidates x {reranked.n_features} features"
    latency |= {f"{size}: {name}": report.latency(times) for name, times in reranked.milliseconds.items()}
    return {
        "benchmark": "rules",
        "question": "which of 10,000 rules fire for a search",
        **report.environment(SEED),
        "n_rules": n_rules,
        "n_searches": n_searches,
        "n_fired_mean": round(float(np.mean(n_fired)), 2),
        "n_fired_most": int(np.max(n_fired)),
        "preparing_all_s": round(prepared_s, 3),
        "latency_ms": latency,
        "reranking_n_fired_mean": round(reranked.n_fired, 2),
        "checks": [
            _check(f"{n_rules:,} rules matched", latency[FIND], FIND_MS),
            _check(f"{size}, re-ranked with rules", latency[f"{size}: {reranking.RERANKED}"], RERANKED_MS),
        ],
    }


def _check(question: str, latency: report.Latency, limit_ms: float) -> report.Check:
    p99 = latency.p99.value
    return report.Check(f"{question}, p99", f"<= {limit_ms} ms", f"{p99:.3f} ms", p99 <= limit_ms)


def print_result(result: dict[str, Any]) -> None:
    n_fired = result["n_fired_mean"]
    print(f"{result['n_rules']:,} rules, prepared in {result['preparing_all_s']} s; {n_fired} fire for a search")
    for name, figures in result["latency_ms"].items():
        report.print_latency(name, figures)
    report.print_checks(result["checks"])


def _words(rng: np.random.Generator, n: int) -> list[str]:
    """Draw words: low numbers are far more frequent than high ones."""
    return [f"word{int(N_WORDS * rng.random() ** 3)}x" for _ in range(n)]


def _actions(rng: np.random.Generator, number: int) -> tuple[Any, ...]:
    return (
        PinAction(f"d{number}", int(rng.integers(1, 10))),
        HideAction(f"h{number}"),
        BoostAction(2.0, f"brand:b{number % 50}"),
        UserDataAction({"banner": number}),
    )[: int(rng.integers(1, 5))]


def _context(rng: np.random.Generator) -> SearchContext:
    filters = parse_filter(f"category:c{int(rng.integers(0, 500))} AND price>10") if rng.random() < 0.5 else None
    query = stems_of(" ".join(_words(rng, int(rng.integers(1, 7)))))
    return SearchContext(
        queries=(query,),
        tags=frozenset([f"tag{int(rng.integers(0, 200))}"]),
        filters=filter_conjuncts(filters),
        user_segment="s7",
    )


def _test_each_ms(rules: dict[str, StoredRule], context: SearchContext) -> float:
    conditions = [(stored.rule, PreparedConditions.prepare(stored.rule.conditions)) for stored in rules.values()]
    started = time.perf_counter()
    sum(rule.in_force(NOW) and condition.are_met(context) for rule, condition in conditions)
    return (time.perf_counter() - started) * 1e3


def _change_ms(book: Rulebook, rules: dict[str, StoredRule]) -> list[float]:
    """Return the milliseconds of each change of one rule."""
    times = []
    for number in range(N_CHANGES):
        name = f"r{number * 7 % len(rules)}"
        stored = rules[name]
        changed = StoredRule(name, stored.rule, number + 1, stored.created_seq, NOW, "bench", False, "")
        new_rules = {**book.rules, name: changed}
        started = time.perf_counter()
        book = book.with_rules(new_rules)
        times.append((time.perf_counter() - started) * 1e3)
    return times
