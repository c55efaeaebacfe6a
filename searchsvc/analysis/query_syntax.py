"""Read what a typed query says by signs: "words in quotes" are a phrase, and a -word must not be there. Pure."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_SIGNED: Final = re.compile(
    r"""(?<!\S)(?P<minus>[-\u2013\u2212])?
    (?:["\u201c\u201d\u201e\u00ab](?P<quoted>\S(?:.*?\S)??)["\u201c\u201d\u00bb](?=[\s,.;:!?)]|$)
    |(?P<word>(?<=[-\u2013\u2212])[^\W\d_]\S+))""",
    re.VERBOSE,
)


class TypedQuery(NamedTuple):
    """A query as typed.

    text: what is looked for, without signs
    phrases: parts of the text whose words must stand side by side
    excluded: words and phrases that must not stand in a document
    """

    text: str
    phrases: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    @property
    def has_signs(self) -> bool:
        return bool(self.phrases or self.excluded)

    def with_signs(self, text: str) -> str:
        """Return another text with the same signs. A phrase that is not in it has none."""
        for phrase in self.phrases:
            text = re.sub(rf"(?<!\S){re.escape(phrase)}(?!\S)", f'"{phrase}"', text, count=1)
        return " ".join([text, *(f'-"{words}"' if " " in words else f"-{words}" for words in self.excluded)]).strip()


def read_query(text: str) -> TypedQuery:
    """Read the signs of a query. A minus counts before a letter: a -20 is a number; a quote counts if it is closed."""
    if not _SIGNED.search(text):
        return TypedQuery(text.strip())
    phrases: list[str] = []
    excluded: list[str] = []

    def without_signs(match: re.Match[str]) -> str:
        words = match["quoted"] or match["word"]
        if match["minus"]:
            excluded.append(words)
            return " "
        phrases.append(words)
        return f" {words} "

    text = " ".join(_SIGNED.sub(without_signs, text).split())
    return TypedQuery(text, tuple(phrases), tuple(excluded))
