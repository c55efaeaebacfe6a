"""How the report of a what-if is printed."""

from __future__ import annotations

from searchsvc.cli.output import print_table, say
from searchsvc.rehearsal.what_if.report import WhatIfReport
from tuning.clicks.offpolicy import Estimate


def print_report(report: WhatIfReport) -> None:
    """Print which searches were repeated, what would move, and the expected effect."""
    _print_searches(report)
    _print_movements(report)
    _print_expected(report)


def _print_searches(report: WhatIfReport) -> None:
    if report.since is not None and report.until is not None:
        period = f"{report.since:%Y-%m-%d %H:%M} to {report.until:%Y-%m-%d %H:%M} (UTC)"
        sealed = f", {report.n_sealed} of them sealed" if report.n_sealed else ""
        say(f"{report.n_rankings} searches from {period}{sealed}")
        say(f"repeated: the {report.n_queries} most frequent, which are {report.coverage:.1%} of them")
    else:
        say("the log has no searches of this index in that time")


def _print_movements(report: WhatIfReport) -> None:
    say(f"{report.overlap:.1%} of the first ten hits stay; the first three change in {report.top_changed:.1%}")
    for title, documents in (("wins", report.winners), ("loses", report.losers)):
        if documents:
            rows = [(moved.id, f"{moved.exposure_change:+.4f}", str(moved.n_searches)) for moved in documents]
            print_table(("document", "looks per search", "searches"), rows, title)
    if report.most_changed:
        changed = [
            (
                query.query,
                str(query.n),
                f"{query.overlap:.0%}",
                " ".join(query.before[:3]),
                " ".join(query.after[:3]),
            )
            for query in report.most_changed
        ]
        print_table(("query", "times", "stays", "first before", "first after"), changed, "changes most")


def _print_expected(report: WhatIfReport) -> None:
    for kind, estimate in report.expected.items():
        if isinstance(estimate, Estimate):
            interval = f"95 % from {estimate.low:+.4f} to {estimate.high:+.4f}"
            say(f"{kind} per search: {estimate.now:.4f} now, {estimate.change:+.4f} ({interval})")
        else:
            say(f"{kind} per search: no estimate: {estimate.reason}")
    if report.ndcg is not None:
        ndcg = report.ndcg
        say(f"nDCG@10 of {ndcg.n} judged queries: {ndcg.before:.4f} before, {ndcg.after:.4f} after")
