"""Subject tokens, and how CONTROL is kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from events.streams import MAX_SUBJECT_TOKEN_BYTES, STREAMS, subject_token


@given(st.text(min_size=1))
def test_a_subject_token_is_safe_and_bounded(text: str) -> None:
    try:
        token = subject_token(text)
    except UnicodeEncodeError:  # a lone surrogate: ids are decoded from UTF-8, which has none
        return
    assert len(token) <= MAX_SUBJECT_TOKEN_BYTES
    assert token.replace("-", "").replace("_", "").isalnum()


@given(st.lists(st.text(alphabet="abc/. ", min_size=1), min_size=2, max_size=2, unique=True))
def test_two_ids_never_share_a_subject_token(ids: list[str]) -> None:
    assert subject_token(ids[0]) != subject_token(ids[1])


def test_control_can_neither_be_deleted_nor_purged_nor_aged() -> None:
    assert STREAMS["CONTROL"].append_only
    assert STREAMS["CONTROL"].max_age_s == 0
    assert not STREAMS["CONTROL"].compacted
