"""What depends on the languages of an index: stems, stop words, and whether words are joined to longer ones. Pure.

Without languages, words of every script are found, and English is stemmed. Several languages stem a word one after
another, so that two words are one term if any of them takes them for one.
"""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec
import Stemmer
from stop_words import get_stop_words

from events.settings import IndexSettings
from searchsvc.analysis import stemming
from searchsvc.analysis.folding import fold

ENGLISH_CODE: Final = "en"
# Algorithms of Snowball by the codes of ISO 639-1. English has one of its own, see `searchsvc.analysis.stemming`.
ALGORITHMS: Final = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "eo": "esperanto",
    "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian", "fi": "finnish", "fr": "french", "ga": "irish",
    "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian",
    "nb": "norwegian", "ne": "nepali", "nl": "dutch", "nn": "norwegian", "no": "norwegian", "pl": "polish",
    "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian", "st": "sesotho", "sv": "swedish",
    "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}  # fmt: skip
# These join words to longer ones: Damenschuhe, kinderfiets.
_COMPOUNDING: Final = frozenset(("da", "de", "nb", "nl", "nn", "no", "sv"))
# How letters with marks are written without them. `fold` has removed the marks, so ue is made u, too.
_GERMAN: Final = re.compile(r"(?<=a)e(?!u)|(?<=o)e(?!u)|(?<![aeq]u)(?<=u)e")
_NORDIC: Final = re.compile(r"(?<=a)a|(?<=o)e")
_TRANSCRIPTIONS: Final = {"de": _GERMAN, "da": _NORDIC, "nb": _NORDIC, "nn": _NORDIC, "no": _NORDIC}
_ENGLISH_STOP_WORDS: Final = """
    a an and are as at be but by for from how i in into is it its me my no not of on or s so that the their then there
    these they this to was what when where which who will with you your
"""
# After these words a title says what the thing goes with: a bag for a laptop.
_PURPOSE_WORDS: Final = {
    "ca": "per", "cs": "pro", "da": "til", "de": "für", "en": "for", "es": "para", "fr": "pour", "id": "untuk",
    "it": "per", "nb": "til", "nl": "voor", "nn": "til", "no": "til", "pl": "do dla", "pt": "para", "ro": "pentru",
    "ru": "для", "sr": "за za", "sv": "för till",
}  # fmt: skip
_ENGLISH: Final = (ENGLISH_CODE,)
# Languages whose list is another's.
_LIST_OF: Final = {"nn": "nb", "no": "nb"}
_WITHOUT_LIST: Final = frozenset(("eo", "et", "eu", "ga", "hy", "lt", "ne", "sr", "st", "ta", "yi"))
# A query with so many different stop words of another language is in that language, if they are at least this share of
# its words: "la la land" and "gemini man will smith" are not.
MIN_FOREIGN_STOP_WORDS: Final = 3
MIN_FOREIGN_SHARE: Final = 0.4


class Languages(msgspec.Struct, frozen=True):
    """The languages of an index. codes: of ISO 639-1, each of `events.settings.LANGUAGES`; empty for the default"""

    codes: tuple[str, ...] = ()

    def stem(self, word: str) -> str:
        """Return the stem of a folded word; the word itself if it has a digit."""
        codes = self.codes
        return stemming.stem(word) if not codes or codes == _ENGLISH else _stem(word, codes)

    @property
    def stop_words(self) -> frozenset[str]:
        """Folded words that a document need not have."""
        return _stop_words(self.codes or (ENGLISH_CODE,))

    def is_foreign_sentence(self, words: Sequence[str]) -> bool:
        """Return whether the folded words of a query are a sentence in a language that is none of these.

        Of a language without a list of stop words no sentence can be told from others, so then none is foreign.
        """
        if len(words) < MIN_FOREIGN_STOP_WORDS or not _WITHOUT_LIST.isdisjoint(self.codes):
            return False
        codes_of_word, own = _codes_of_stop_words(), self.stop_words
        by_code = defaultdict[str, list[str]](list)
        for word in words:
            for code in codes_of_word.get(word, ()) if word not in own else ():
                by_code[code].append(word)
        return any(
            len(set(stop_words)) >= MIN_FOREIGN_STOP_WORDS and len(stop_words) >= MIN_FOREIGN_SHARE * len(words)
            for stop_words in by_code.values()
        )

    @property
    def purpose_words(self) -> frozenset[str]:
        """Folded words after which a title says what the thing goes with."""
        return _purpose_words(self.codes or _ENGLISH)

    @property
    def purpose_stems(self) -> frozenset[str]:
        """Stems of the same words."""
        return _purpose_stems(self.codes)

    @staticmethod
    def of_index(settings: IndexSettings) -> Languages:
        return Languages(tuple(settings.languages or ()))

    @property
    def has_compounds(self) -> bool:
        """Whether a word may be the beginning or the end of a longer one."""
        return not _COMPOUNDING.isdisjoint(self.codes)


DEFAULT: Final = Languages()


class _ThreadLocalStemmers(threading.local):
    """Stemmers of one thread: a stemmer changes its own buffers, so threads cannot share one."""

    def __init__(self) -> None:
        self.stemmers: dict[str, Stemmer.Stemmer] = {}


_local = _ThreadLocalStemmers()


@lru_cache(maxsize=50_000)
def _stem(word: str, codes: tuple[str, ...]) -> str:
    if not word.isalpha() and any(map(str.isdecimal, word)):
        return word
    for code in codes:
        if code == ENGLISH_CODE:
            word = stemming.stem(word)
            continue
        if code in _TRANSCRIPTIONS:
            word = _TRANSCRIPTIONS[code].sub("", word)
        stemmer = _local.stemmers.get(code)
        if stemmer is None:
            stemmer = _local.stemmers[code] = Stemmer.Stemmer(ALGORITHMS[code])
        word = stemmer.stemWord(word)
    return word


@lru_cache(maxsize=100)
def _purpose_words(codes: tuple[str, ...]) -> frozenset[str]:
    return frozenset(fold(word) for code in codes for word in _PURPOSE_WORDS.get(code, "").split())


@lru_cache(maxsize=100)
def _purpose_stems(codes: tuple[str, ...]) -> frozenset[str]:
    languages = Languages(codes)
    return frozenset(map(languages.stem, languages.purpose_words))


@lru_cache(maxsize=1)
def _codes_of_stop_words() -> Mapping[str, Sequence[str]]:
    """Return the languages that have each stop word, besides English."""
    codes = defaultdict[str, list[str]](list)
    for code in ALGORITHMS:
        if code not in _LIST_OF:
            for word in _stop_words((code,)):
                codes[word].append(code)
    return codes


@lru_cache(maxsize=100)
def _stop_words(codes: tuple[str, ...]) -> frozenset[str]:
    words: set[str] = set()
    for code in codes:
        if code == ENGLISH_CODE:
            words.update(_ENGLISH_STOP_WORDS.split())
        elif code not in _WITHOUT_LIST:
            words.update(map(fold, get_stop_words(_LIST_OF.get(code, code))))
    return frozenset(words)
