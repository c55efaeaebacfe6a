"""Pseudonyms and keys of users, and that nothing of an erased user can be read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from events.errors import Corrupt
from searchsvc.behavior.keyring import EPOCH_DAYS, KEYRING_NAME, Keyring, open_ranking, seal_ranking
from tests.factories import NOW, ranking


@pytest.fixture
def keyring(tmp_path: Path) -> Iterator[Keyring]:
    opened = Keyring(tmp_path / KEYRING_NAME)
    yield opened
    opened.close()


def test_a_user_has_one_pseudonym_per_epoch_and_keeps_it_after_a_restart(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / KEYRING_NAME)
    anna = keyring.user("anna", NOW)
    assert keyring.user("anna", NOW + timedelta(seconds=1)) == anna
    assert keyring.user("bert", NOW).pseudonym != anna.pseudonym
    assert keyring.pseudonym("", NOW) == ""
    later = keyring.user("anna", NOW + timedelta(days=EPOCH_DAYS))
    assert later.pseudonym != anna.pseudonym
    assert keyring.pseudonyms("anna", NOW + timedelta(days=EPOCH_DAYS)) == [anna.pseudonym, later.pseudonym]
    keyring.close()
    reopened = Keyring(tmp_path / KEYRING_NAME)
    assert (reopened.user("anna", NOW), reopened.by_pseudonym(later.pseudonym)) == (anna, later)
    reopened.close()


def test_a_sealed_text_can_be_opened_with_its_users_key_only(keyring: Keyring) -> None:
    anna, bert = keyring.user("anna", NOW), keyring.user("bert", NOW)
    sealed = anna.seal("rote Schuhe")
    assert anna.open(sealed) == "rote Schuhe"
    assert anna.seal("rote Schuhe") != sealed
    for user, text in ((bert, sealed), (anna, sealed[:-8] + "AAAAAAA="), (anna, "no base64")):
        with pytest.raises(Corrupt):
            user.open(text)


def test_a_sealed_ranking_can_be_opened_with_its_users_key_only(keyring: Keyring) -> None:
    anna, bert = keyring.user("anna", NOW), keyring.user("bert", NOW)
    shown = msgspec.structs.replace(ranking(), query="Red  Shoe", request='{"query":"Red  Shoe"}')
    sealed = seal_ranking(shown, anna)
    assert (sealed.user, sealed.query, sealed.request) == (anna.pseudonym, "", "")
    assert sealed.query_key == seal_ranking(msgspec.structs.replace(shown, query="red shoe"), anna).query_key
    opened = open_ranking(sealed, anna)
    assert opened is not None
    assert (opened.query, opened.request) == (shown.query, shown.request)
    assert open_ranking(sealed, None) is None
    assert open_ranking(shown, None) is shown
    with pytest.raises(Corrupt):
        open_ranking(sealed, bert)


def test_a_pseudonym_in_place_of_a_token_stays_the_same(keyring: Keyring) -> None:
    anna = keyring.user("anna", NOW)
    keyring.flush()
    assert keyring.as_pseudonym(anna.pseudonym, NOW) == anna.pseudonym
    assert keyring.as_pseudonym("anna", NOW) == anna.pseudonym
    assert keyring.as_pseudonym("", NOW) == ""


@pytest.mark.parametrize("on_disk", [True, False])
def test_an_erased_user_is_gone_from_every_file_and_returns_as_a_new_user(tmp_path: Path, on_disk: bool) -> None:
    keyring = Keyring(tmp_path / KEYRING_NAME)
    before = keyring.user("anna", NOW)
    bert = keyring.user("bert", NOW)
    if on_disk:
        keyring.flush()
    assert keyring.erase("anna", NOW + timedelta(days=1)) == 1
    assert keyring.erase("anna", NOW) == 0
    assert keyring.by_pseudonym(before.pseudonym) is None
    assert keyring.user("anna", NOW).pseudonym != before.pseudonym
    keyring.flush()
    assert keyring.by_pseudonym(bert.pseudonym) == bert
    for file in tmp_path.iterdir():
        content = file.read_bytes()
        assert before.key not in content
        assert before.pseudonym.encode() not in content
        assert b"anna" not in content
    keyring.close()


def test_keys_are_destroyed_once_the_log_no_longer_covers_their_epoch(keyring: Keyring) -> None:
    anna = keyring.user("anna", NOW)
    keyring.flush()
    assert keyring.forget(NOW + timedelta(days=2 * EPOCH_DAYS)) == 0
    assert keyring.forget(NOW + timedelta(days=3 * EPOCH_DAYS)) == 1
    assert keyring.by_pseudonym(anna.pseudonym) is None
