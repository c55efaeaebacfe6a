"""Redaction of what is personal in queries, which must not be stored or suggested to others. Pure.

That is e-mail addresses, also disguised ones such as `anna (at) example dot com`, telephone numbers, and numbers of
bank accounts (IBAN) and of cards, whose check digits are right. Only clear cases are replaced. Part numbers, bar codes
and years stay, because shops are searched by them.
"""

from __future__ import annotations

import re
from typing import Final

REDACTED: Final = re.compile(r"\[(e-mail|phone|iban|card)\]")
# What ends a domain whose dot is written as a word: Echo Dot is a product.
_ENDINGS: Final = (
    "com|net|org|info|biz|edu|gov|io|me|app|dev|eu|at|au|be|br|ca|ch|cn|cz|de|dk|es|fi|fr|gr|hu|ie|in|it|jp|kr|mx|nl|no|nz|"
    "pl|pt|ro|ru|se|sk|tr|ua|uk|us|za"
)
_OPEN: Final = r"\s*[(\[{<]\s*"
_CLOSE: Final = r"\s*[)\]}>]\s*"
_CLEAR_AT: Final = rf"(?:\s?[@\uff20\ufe6b]\s?|{_OPEN}(?:at|@|ät|arroba){_CLOSE})"
# Before a domain that is written as usual, "at" may be a shop, laptop at amazon.de, but not one where people have mail.
_MAIL: Final = "aol|fastmail|gmail|gmx|googlemail|hotmail|icloud|live|mail|outlook|proton|protonmail|web|yahoo|ymail"
_AT: Final = rf"(?:{_CLEAR_AT}|\s+at\s+)"
_DOT: Final = rf"(?:{_OPEN}(?:dot|punkt|\.){_CLOSE}|\s+(?:dot|punkt)\s+|\s\.\s)"
_EMAIL: Final = re.compile(
    rf"""(?<![\w.+-])[\w.+-]++(?:
        @[\w-]+(?:\.[\w-]+)+
      | {_AT}[\w-]+(?:(?:\.|{_DOT})[\w-]+)*?{_DOT}(?:{_ENDINGS})(?![\w-])
      | {_CLEAR_AT}(?:[\w-]+\.)+[^\W\d_]{{2,}}(?![\w-])
      | \s+at\s+(?:{_MAIL})\.[^\W\d_]{{2,}}(?![\w-])
    )""",
    re.VERBOSE | re.IGNORECASE,
)
# Countries and how many letters and digits their account numbers have.
_IBANS: Final = """
    AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18
    FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20
    LU20 LV21 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SE24 SI19
    SK24 SM27 TN24 TR26 UA29 VA22 VG24 XK20
"""
_ACCOUNTS: Final = "|".join(
    rf"{code[:2]}(?:[\s-]?\d){{2}}(?:[\s-]?[a-z0-9]){{{int(code[2:]) - 4}}}" for code in _IBANS.split()
)
_IBAN: Final = re.compile(rf"(?<!\w)(?:{_ACCOUNTS})(?!\w)", re.IGNORECASE | re.ASCII)
_CARD: Final = re.compile(
    r"(?<![\w.-])(?:[2-6]\d{3}([\s-]?)\d{4}\1\d{4}\1\d{4}|3[47]\d{2}([\s-]?)\d{6}\2\d{5})(?![\w-])", re.ASCII
)
_PHONE: Final = re.compile(
    r"""(?:
        (?<![\w+])\+\s?\d(?:[\s./()-]*\d){7,14}                           # +41 44 123 45 67
      | (?<![\w+.-])(?:
            00\d(?=\d*[\s./()-])(?:[\s./()-]*\d){7,14}                    # 0041 44 123 45 67
          | 0\d(?:[\s.-]\d{2}){4}                                          # 06.12.34.56.78
          | 0\d{1,4}[\s/-](?:\d[\s-]?){5,9}\d                             # 044 123 45 67, 030/1234567
          | \(\d{2,5}\)[\s-]?\d(?:[\s.-]?\d){5,9}                        # (555) 123-4567
          | \d{3}[\s.-]\d{3}[\s.-]\d{4}                                   # 555-123-4567
          | \d(?:[\s.-]\d){8,14}                                          # 0 4 4 1 2 3 4 5 6 7
        )
    )(?![\w-])""",
    re.VERBOSE,
)


def redacted(text: str) -> str:
    """Replace what is personal by `[e-mail]`, `[phone]`, `[iban]` and `[card]`."""
    text = _EMAIL.sub("[e-mail]", text)
    text = _IBAN.sub(lambda match: "[iban]" if _is_account(match[0]) else match[0], text)
    text = _CARD.sub(lambda match: "[card]" if _is_card(match[0]) else match[0], text)
    return _PHONE.sub("[phone]", text)


def is_personal(text: str) -> bool:
    """Return whether something in a text is personal, or was replaced as such."""
    return REDACTED.search(redacted(text)) is not None


def _is_account(text: str) -> bool:
    """Whether the check digits of an account number are right. Source: ISO 13616-1, by ISO/IEC 7064, MOD 97-10."""
    characters = [character for character in text if character.isalnum()]
    return int("".join(str(int(character, 36)) for character in [*characters[4:], *characters[:4]])) % 97 == 1


def _is_card(text: str) -> bool:
    """Whether the check digit of a card number is right. Source: ISO/IEC 7812-1, annex B."""
    digits = [int(character) for character in reversed(text) if character.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
