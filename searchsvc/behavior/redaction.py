"""Redaction of e-mail addresses and telephone numbers in queries, which must not be stored. Pure.

Only clear cases are replaced. Part numbers, bar codes and years stay, because shops are searched by them.
"""

from __future__ import annotations

import re
from typing import Final

REDACTED: Final = re.compile(r"\[(e-mail|phone)\]")
_EMAIL: Final = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_PHONE: Final = re.compile(
    r"""(?:
        (?<![\w+])\+\d(?:[\s./()-]*\d){7,14}                              # +41 44 123 45 67
      | (?<![\w+.-])(?:
            00\d(?=\d*[\s./()-])(?:[\s./()-]*\d){7,14}                    # 0041 44 123 45 67
          | 0\d(?:[\s.-]\d{2}){4}                                          # 06.12.34.56.78
          | 0\d{1,4}[\s/-](?:\d[\s-]?){5,9}\d                             # 044 123 45 67, 030/1234567
          | \(\d{2,5}\)[\s-]?\d(?:[\s.-]?\d){5,9}                        # (555) 123-4567
          | \d{3}[\s.-]\d{3}[\s.-]\d{4}                                   # 555-123-4567
        )
    )(?![\w-])""",
    re.VERBOSE,
)


def redacted(text: str) -> str:
    """Replace each e-mail address by `[e-mail]` and each telephone number by `[phone]`."""
    return _PHONE.sub("[phone]", _EMAIL.sub("[e-mail]", text))
