"""How long does it take to find the rules that fire for a search, and what comes of them?

Question   among 10,000 rules of every kind, how long until those that fire are known, and what a book of them costs;
           and how long it takes to rank a hundred candidates with some (benchmarks/reranking.py).
Data       made-up rules and queries over a vocabulary in which some words are far more frequent than others.
Baseline   looking at each rule.
Command    searchsvc bench rules
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np

from benchmarks import report, reranking
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
LIMIT_MS: Final = 0.3
RERANKED_MS: Final = 1.0
TYPES: Final[tuple[PatternType, ...]] = ("exact", "starts", "contains", "all_words")


def made_up_rules(n: int, rng: np.random.Generator) -> dict[str, StoredRule]:
    """Seven in ten ask for words; the others for a filter, a tag or a segment, or are synonyms for all."""
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
        begins = NOW - timedelta(days=1) if number % 5 else NOW + timedelta(days=1)
        rule = Rule(actions, valid_from=begins, conditions=conditions, priority=int(rng.integers(0, 3)))
        rules[f"r{number}"] = StoredRule(f"r{number}", rule, number, number, NOW, "bench", False, "")
    return rules


def measure(*, n_rules: int, n_searches: int, say: Callable[[str], None]) -> dict[str, Any]:
    """The result as JSON would have it."""
    rng = np.random.default_rng(SEED)
    rules = made_up_rules(n_rules, rng)
    say(f"preparing {n_rules:,} rules")
    started = time.perf_counter()
    book = Rulebook().with_rules(rules)
    prepared_s = time.perf_counter() - started
    changed_ms = _changed_ms(book, rules)
    contexts = [_context(rng) for _ in range(n_searches)]
    say(f"{n_searches:,} searches")
    fired_ms, whole_ms, n_fired = [], [], []
    for context in contexts:
        started = time.perf_counter()
        fired = book.find_rules(context, NOW)
        fired_ms.append((time.perf_counter() - started) * 1e3)
        combine_actions(fired, lambda _: True)
        whole_ms.append((time.perf_counter() - started) * 1e3)
        n_fired.append(len(fired))
    say(f"at most {max(n_fired)} fire")
    each_ms = [_one_by_one_ms(rules, context) for context in contexts[:20]]
    latency = {
        "which fire": report.latency(fired_ms),
        "which fire, and what comes of them": report.latency(whole_ms),
        "baseline: each rule looked at": report.latency(each_ms),
        "a rule changed": report.latency(changed_ms),
    }
    say("ranking with rules")
    reranked = reranking.measure(n_searches, rng)
    size = f"{reranking.N_CANDIDATES} candidates x {reranked.n_features} features"
    names = {name: f"{size}: {name}" for name in reranked.milliseconds}
    latency |= {names[name]: report.latency(times) for name, times in reranked.milliseconds.items()}
    checks = []
    for what, name, limit in (
        (f"{n_rules:,} rules matched", "which fire", LIMIT_MS),
        (f"{size}, re-ranked with rules", names["re-ranked"], RERANKED_MS),
    ):
        p99 = latency[name].p99.value
        checks.append(report.Check(f"{what}, p99", f"<= {limit} ms", f"{p99:.3f} ms", p99 <= limit))
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
        "checks": checks,
    }


def print_result(result: dict[str, Any]) -> None:
    fire = result["n_fired_mean"]
    print(f"{result['n_rules']:,} rules, prepared in {result['preparing_all_s']} s; {fire} fire for a search")
    for name, figures in result["latency_ms"].items():
        report.print_latency(name, figures)
    report.print_checks(result["checks"])


def _words(rng: np.random.Generator, n: int) -> list[str]:
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
    return SearchContext((query,), frozenset([f"tag{int(rng.integers(0, 200))}"]), filter_conjuncts(filters), "s7")


def _one_by_one_ms(rules: dict[str, StoredRule], context: SearchContext) -> float:
    conditions = [(stored.rule, PreparedConditions.prepare(stored.rule.conditions)) for stored in rules.values()]
    started = time.perf_counter()
    sum(rule.in_force(NOW) and condition.are_met(context) for rule, condition in conditions)
    return (time.perf_counter() - started) * 1e3


def _changed_ms(book: Rulebook, rules: dict[str, StoredRule]) -> list[float]:
    times = []
    for number in range(50):
        name = f"r{number * 7 % len(rules)}"
        stored = rules[name]
        changed = StoredRule(name, stored.rule, number + 1, stored.created_seq, NOW, "bench", False, "")
        later = {**book.rules, name: changed}
        started = time.perf_counter()
        book = book.with_rules(later)
        times.append((time.perf_counter() - started) * 1e3)
    return times
