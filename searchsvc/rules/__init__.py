"""Which rules fire for a search, and what do they request?

To add a kind of action:

1. `events/rules.py`: its struct, in `Action`, and its filter, if any, in `filters_of`; `events/rule_checks.py`: its
   limits, in `_check_action`.
2. What it does: `rewriting.rewrite_query` if it changes the words that are searched, else
   `directives.combine_actions`, which gives each action its `Effect`.
3. `checks.py`, if it names words or parts of an index that may not exist; `conflicts.py`, if two rules cannot both have
   what they ask for.
4. Only if it acts on candidates: `searchsvc/search/boosts_and_pins.py`; only if the answer shows it:
   `searchsvc/search/answer.py` and `assembly.py`; only if it is a synonym: `searchsvc/analysis/synonyms.py`.
5. `costs.py`, if it costs a search more than 1.
6. `describe_action` in `searchsvc/cli/rule_text.py`, `docs/how-to/rules.md`, and the tests of all these modules.
"""
