"""The text form of a filter: a recursive-descent parser. Pure.

any         = all ("OR" all)*
all         = term ("AND"? term)*
term        = "NOT"* ( "(" any ")" | comparison )
comparison  = field ":" value | field ":" "(" value ("OR" value)* ")" | field ":" range
            | field ("=" | "!=" | ">" | ">=" | "<" | "<=") value
range       = ("[" | "{") value "TO" value ("]" | "}")
"""

from __future__ import annotations

import re
from typing import Final, Literal, NoReturn

from events.errors import InvalidInput
from searchsvc.engines.filters.bounds import Bound, parse_bound, range_between
from searchsvc.engines.filters.errors import MAX_DEPTH
from searchsvc.engines.filters.tree import AllOf, AnyOf, Exists, Filter, Is, Not, Range

TokenKind = Literal["open", "close", "word", "operator", "bracket"]

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<open>\()|(?P<close>\))|(?P<word>(?:"(?:[^"\\]|\\.)*"|[^\s()\[\]{}":<>=!]+))"""
    r"""|(?P<operator>>=|<=|!=|>|<|=|:)|(?P<bracket>[\[\]{}])|(?P<bad>\S))"""
)
_BARE_VALUE: Final = re.compile(r'\s*([^\s()\[\]{}"]+)')
_SHOWN_CHARS: Final = 20


def parse_text(text: str, field: str) -> Filter:
    """Parse a text that is not blank.

    field: name of the filter in error messages

    Raises InvalidInput.
    """
    return _Parser(_Scanner(text, field)).parse()


class _Scanner:
    """Reads tokens from left to right. field: name of the filter in error messages."""

    def __init__(self, text: str, field: str) -> None:
        self.text = text
        self.position = 0
        self._field = field

    def rest(self) -> str:
        return self.text[self.position :].lstrip()

    def peek(self, kind: TokenKind) -> str | None:
        """Return the next token if it is of this kind."""
        match = _TOKEN.match(self.text, self.position)
        return match[kind] if match else None

    def take(self, kind: TokenKind) -> str | None:
        """Return and consume the next token if it is of this kind."""
        match = _TOKEN.match(self.text, self.position)
        if match is None or match[kind] is None:
            return None
        self.position = match.end()
        token: str = match[kind]
        return token

    def peek_keyword(self, keyword: str) -> bool:
        return self.peek("word") == keyword

    def take_keyword(self, keyword: str) -> bool:
        return self.peek_keyword(keyword) and self.take("word") is not None

    def take_value(self) -> str:
        """Consume a quoted text, or anything up to a space or bracket: 16:9 and -40 are values."""
        if self.rest().startswith('"'):
            word = self.take("word")
            if word is None:
                self.fail('a closing "')
            return _unquoted(word)
        match = _BARE_VALUE.match(self.text, self.position)
        if match is None:
            self.fail("a value")
        self.position = match.end()
        return match[1]

    def fail(self, expected: str) -> NoReturn:
        """Raise InvalidInput with what was expected here and what stands here."""
        rest = self.rest()
        position = len(self.text) - len(rest)
        actual = f"{rest[:_SHOWN_CHARS]!r} at character {position + 1}" if rest else "the end"
        raise InvalidInput(
            f"{self._field} is not a valid filter: expected {expected}, found {actual}",
            field=self._field,
            value=self.text,
            limit=expected,
        )


class _Parser:
    """One method for each rule of the grammar."""

    def __init__(self, scanner: _Scanner) -> None:
        self._scanner = scanner

    def parse(self) -> Filter:
        condition = self._any(0)
        if self._scanner.rest():
            self._scanner.fail("the end, AND, OR or NOT")
        return condition

    def _any(self, depth: int) -> Filter:
        if depth > MAX_DEPTH:
            self._scanner.fail(f"at most {MAX_DEPTH} levels of brackets")
        parts = [self._all(depth)]
        while self._scanner.take_keyword("OR"):
            parts.append(self._all(depth))
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _all(self, depth: int) -> Filter:
        parts = [self._term(depth)]
        while self._scanner.take_keyword("AND") or not self._at_end_of_all():
            parts.append(self._term(depth))
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _at_end_of_all(self) -> bool:
        scanner = self._scanner
        return not scanner.rest() or scanner.peek("close") is not None or scanner.peek_keyword("OR")

    def _term(self, depth: int) -> Filter:
        n_negations = 0
        while self._scanner.take_keyword("NOT"):
            n_negations += 1
        if self._scanner.take("open"):
            inner = self._any(depth + 1)
            if not self._scanner.take("close"):
                self._scanner.fail("a closing )")
        else:
            inner = self._comparison()
        return Not(inner) if n_negations % 2 else inner

    def _comparison(self) -> Filter:
        scanner = self._scanner
        name = scanner.take("word")
        if name is None:
            scanner.fail("a field, NOT or (")
        field = _unquoted(name)
        operator = scanner.take("operator")
        match operator:
            case None:
                scanner.fail(f"a comparison after {field}: one of : = != > >= < <=")
            case ">" | ">=":
                return range_between(field, self._bound(scanner.take_value()), None, operator == ">=", True)
            case "<" | "<=":
                return range_between(field, None, self._bound(scanner.take_value()), True, operator == "<=")
            case ":":
                if bracket := scanner.take("bracket"):
                    return self._range(field, bracket)
                if scanner.take("open"):
                    return self._one_of(field)
                if scanner.rest()[:1] in ("<", ">", "="):
                    scanner.fail("a value; a comparison is written without the colon, as in price>=100")
        return self._equality(field, negated=operator == "!=")

    def _one_of(self, field: str) -> Is:
        values = [self._scanner.take_value()]
        while self._scanner.take_keyword("OR"):
            values.append(self._scanner.take_value())
        if not self._scanner.take("close"):
            self._scanner.fail("OR or a closing )")
        return Is(field, tuple(values))

    def _equality(self, field: str, *, negated: bool) -> Filter:
        start = self._scanner.position
        value = self._scanner.take_value()
        quoted = '"' in self._scanner.text[start : self._scanner.position]
        condition: Filter = Exists(field) if value == "*" and not quoted else Is(field, (value,))
        return Not(condition) if negated else condition

    def _range(self, field: str, opening: str) -> Range | Exists:
        if opening not in "[{":
            self._scanner.fail("[ or { and a range")
        low = self._scanner.take_value()
        if not self._scanner.take_keyword("TO"):
            self._scanner.fail("TO between the bounds")
        high = self._scanner.take_value()
        closing = self._scanner.take("bracket")
        if closing is None or closing not in "]}":
            self._scanner.fail("a closing ] or }")
        if low == high == "*":
            return Exists(field)
        bottom = self._bound(low) if low != "*" else None
        top = self._bound(high) if high != "*" else None
        return range_between(field, bottom, top, opening == "[", closing == "]")

    def _bound(self, text: str) -> Bound:
        bound = parse_bound(text)
        if bound is None:
            self._scanner.fail(f"a number or a date instead of {text[:40]!r}")
        return bound


def _unquoted(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word[1:-1]) if word.startswith('"') else word
