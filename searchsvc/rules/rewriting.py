"""Rules that replace or remove words of a query. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from events.rules import RemoveWordsAction, ReplaceWordsAction
from searchsvc.analysis.analyzer import spans
from searchsvc.analysis.languages import DEFAULT, Languages
from searchsvc.rules.conditions import Stems, stems_of
from searchsvc.rules.directives import Effect, action_name
from searchsvc.rules.rulebook import PreparedRule

# As long as a query may be typed.
MAX_REWRITTEN_CHARS: Final = 512


def rewrite_query(text: str, fired: Sequence[PreparedRule], languages: Languages = DEFAULT) -> tuple[str, list[Effect]]:
    """Replace and remove words as rules ask for, in order of precedence: each sees what those before it left.

    Returns the text that is searched, and what each action did.
    """
    effects = []
    for prepared in fired:
        for action in prepared.stored.rule.actions:
            before = text
            match action:
                case ReplaceWordsAction(of=phrase, to=replacement):
                    text = (
                        _replace_phrase(text, stems_of(phrase, languages), replacement, languages)
                        if phrase
                        else replacement
                    )
                case RemoveWordsAction(words=words):
                    for word in words:
                        remaining = _replace_phrase(text, stems_of(word, languages), "", languages)
                        text = remaining if stems_of(remaining) else text
                case _:
                    continue
            note = "" if text != before else "the query does not hold these words, or nothing else"
            if len(text) > MAX_REWRITTEN_CHARS:
                text, note = before, f"it would make the query longer than {MAX_REWRITTEN_CHARS} characters"
            effects.append(Effect(prepared.stored.id, action_name(action), words=text, note=note))
    return text, effects


def _replace_phrase(text: str, phrase: Stems, replacement: str, languages: Languages) -> str:
    """Replace every place of a text where the stems of a phrase follow each other."""
    tokens = [(span.start, span.end, stems_of(text[span.start : span.end], languages)) for span in spans(text)]
    parts, copied_to, i = list[str](), 0, 0
    while i < len(tokens):
        n = _n_matching_tokens(tokens[i:], phrase)
        if n:
            parts += [text[copied_to : tokens[i][0]], replacement]
            copied_to = tokens[i + n - 1][1]
        i += n or 1
    return " ".join(" ".join([*parts, text[copied_to:]]).split())


def _n_matching_tokens(tokens: Sequence[tuple[int, int, Stems]], phrase: Stems) -> int:
    """Return how many of the first tokens make up the phrase exactly; 0 if they do not."""
    stems: Stems = ()
    for n, (_, _, token_stems) in enumerate(tokens, start=1):
        stems += token_stems
        if len(stems) >= len(phrase):
            return n if stems == phrase else 0
    return 0
