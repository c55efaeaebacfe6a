"""HTML in texts: what is taken out, what stays, and that nothing moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.analysis.analyzer import analyze
from searchsvc.analysis.markup import shown, without_markup


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('<p class="strong">Warm&nbsp;wool<br>throw</p><script>var velvet</script>', "warm wool throw"),
        ("caf&eacute;s &amp; bars", "cafes bars"),
        ("<b>W</b>ord <H2>Title</H2><!-- not this -->", "word title"),
        ("say &quot;click&quot; or &#39;press&#39;", "say click or press"),
        ("<style>p {color: red}</style>red", "red"),
        ("a &lt; b", "a b"),
    ],
)
def test_only_what_is_read_is_words(text: str, words: str) -> None:
    assert " ".join(analyze(without_markup(text)).words) == words


@pytest.mark.parametrize("text", ["1 < 2 > 0", "List<String>", "AT&T; R&D", "a <- b", "&nosuchname;", "x &"])
def test_what_is_no_html_stays(text: str) -> None:
    assert without_markup(text) == text


@given(st.text(alphabet='<>/&;# abip"=!-é', max_size=60))
def test_no_character_moves(text: str) -> None:
    assert len(without_markup(text)) == len(text)
    assert len(shown(without_markup(text))) <= len(text)
