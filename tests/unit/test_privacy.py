"""What the log may hold of a shopper, and that nobody can read it once they are erased."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import Corrupt
from searchsvc.behavior.keyring import EPOCH_DAYS, Keyring
from searchsvc.behavior.redaction import redacted
from tests.factories import NOW


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("write to Anna.Muster+x@mail.example.com please", "write to [e-mail] please"),
        ("call +41 44 123 45 67", "call [phone]"),
        ("0041 44 123 45 67 shoes", "[phone] shoes"),
        ("044 123 45 67", "[phone]"),
        ("(555) 123-4567", "[phone]"),
        ("555-123-4567", "[phone]"),
        ("030/1234567", "[phone]"),
        ("06.12.34.56.78", "[phone]"),
        ("555 123 4567", "[phone]"),
        ("tel.+41 44 123 45 67", "tel.[phone]"),
        ("+4915112345678", "[phone]"),
    ],
)
def test_addresses_and_numbers_are_redacted(typed: str, kept: str) -> None:
    assert redacted(typed) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "hp ce505a toner",
        "4006381333931",
        "0012345678905",
        "iphone 15 128gb",
        "movies of 1994",
        "60w e27 led 2700k",
        "3,5 inch 1000 GB",
        "lego 10251",
        "samsung ue55-ku6000 2016-2017",
        "10 x 15 x 20 cm",
        "a@b",
        "size 41 / 42 / 43",
        "usb 3.0 100-240v",
    ],
)
def test_what_shops_are_searched_by_stays(typed: str) -> None:
    assert redacted(typed) == typed


@given(st.text(max_size=200))
def test_redacting_twice_is_redacting_once(text: str) -> None:
    assert redacted(redacted(text)) == redacted(text)


def test_a_user_has_one_pseudonym_an_epoch_and_a_restart_does_not_change_it(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "privacy.sqlite")
    anna = keyring.user("anna", NOW)
    assert keyring.user("anna", NOW + timedelta(seconds=1)) == anna
    assert keyring.user("bert", NOW).pseudonym != anna.pseudonym
    assert keyring.pseudonym("", NOW) == ""
    later = keyring.user("anna", NOW + timedelta(days=EPOCH_DAYS))
    assert later.pseudonym != anna.pseudonym
    keyring.close()
    again = Keyring(tmp_path / "privacy.sqlite")
    assert (again.user("anna", NOW), again.by_pseudonym(later.pseudonym)) == (anna, later)
    again.close()


def test_what_was_sealed_can_be_opened_with_its_users_key_only(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "privacy.sqlite")
    anna, bert = keyring.user("anna", NOW), keyring.user("bert", NOW)
    sealed = anna.seal("rote Schuhe")
    assert anna.open(sealed) == "rote Schuhe"
    assert anna.seal("rote Schuhe") != sealed
    for user, text in ((bert, sealed), (anna, sealed[:-8] + "AAAAAAA="), (anna, "no base64")):
        with pytest.raises(Corrupt):
            user.open(text)
    keyring.close()


@pytest.mark.parametrize("on_disk", [True, False])
def test_an_erased_user_is_gone_from_every_file_and_comes_back_as_somebody_new(tmp_path: Path, on_disk: bool) -> None:
    keyring = Keyring(tmp_path / "privacy.sqlite")
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


def test_keys_are_destroyed_once_the_log_has_forgotten_what_they_were_for(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "privacy.sqlite")
    anna = keyring.user("anna", NOW)
    keyring.flush()
    assert keyring.forget(NOW + timedelta(days=2 * EPOCH_DAYS)) == 0
    assert keyring.forget(NOW + timedelta(days=3 * EPOCH_DAYS)) == 1
    assert keyring.by_pseudonym(anna.pseudonym) is None
    keyring.close()
