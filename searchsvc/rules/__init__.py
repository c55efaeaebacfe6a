"""Which rules fire for a search, and what do they ask for?

To add a kind of action:

1. `events/rules.py`: its struct, in `Action`; its limits in `_check_action`; its filter, if any, in `filters_of`.
2. What it does: `rewriting.rewrite_query` if it changes the words that are searched, else
   `directives.combine_actions`, which gives each action its `Effect`.
3. `checks.py`, if it names words or parts of an index that may not exist; `conflicts.py`, if two rules cannot both have
   what they ask for.
4. Only if it acts on candidates: `searchsvc/search/boosts_and_pins.py`.
5. The tests of these modules, `docs/how-to/rules.md`, and `searchsvc/cli/rules.py` if it deserves a short command.
"""
