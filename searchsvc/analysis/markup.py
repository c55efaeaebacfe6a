"""Take HTML out of a text without moving a character, so that positions stay those of the text. Pure."""

from __future__ import annotations

import html
import re
from typing import Final

from searchsvc.analysis.folding import FILLER

# Within a sentence, words go on through these.
_INLINE: Final = """
    a abbr b bdi bdo big cite code em font i ins kbd mark q s samp small span strike strong sub sup tt u wbr
"""
_BLOCKS: Final = """
    address article aside audio blockquote body br button canvas caption center col colgroup dd del details dfn dialog
    dir div dl dt fieldset figcaption figure footer form frame h1 h2 h3 h4 h5 h6 head header hr html iframe img input
    label legend li link main map meta nav noscript object ol optgroup option p param picture pre section select source
    summary svg table tbody td template textarea tfoot th thead time title tr track ul var video
"""
_NAMES: Final = "|".join(sorted(f"{_INLINE} {_BLOCKS}".split(), key=len, reverse=True))
_MARKUP: Final = re.compile(
    rf"<(script|style)\b[^>]*>.*?</\1\s*>|<!--.*?-->|<!doctype[^>]*>|</?({_NAMES})(?:\s[^<>]*)?/?>|&#?\w{{2,31}};",
    re.DOTALL | re.IGNORECASE,
)
_SPACES: Final = re.compile(r" {2,}")
_INLINE_NAMES: Final = frozenset(_INLINE.split())


def without_markup(text: str) -> str:
    """Return a text of the same length: spaces in place of tags, and characters in place of their entities.

    What an inline tag or an entity took more than its character is `FILLER`, which is not seen and ends no word.
    """
    if "<" not in text and "&" not in text:
        return text
    return _MARKUP.sub(_in_place, text)


def shown(text: str) -> str:
    """Return a text as it is read: without `FILLER`, and with one space for many."""
    return _SPACES.sub(" ", text.replace(FILLER, ""))


def _in_place(match: re.Match[str]) -> str:
    entity = match[0]
    if entity[0] == "&":
        character = html.unescape(entity)
        # Not every word between & and ; is the name of a character, and some stand for two.
        return entity if len(character) > len(entity) or character == entity else character.ljust(len(entity), FILLER)
    return (FILLER if match[2] and match[2].lower() in _INLINE_NAMES else " ") * len(entity)
