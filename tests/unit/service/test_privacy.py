"""Erasing users, and what was learnt from them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from events.errors import InvalidInput, NotFound
from searchsvc.behavior.keyring import Keyring
from searchsvc.service.privacy import Privacy
from tests.changing import ADA, ChangingShop, changing_shop


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[ChangingShop]:
    async with changing_shop(tmp_path) as changing:
        yield changing


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path / "privacy.sqlite")


@pytest.mark.anyio
async def test_an_erased_user_has_no_keys_left(shop: ChangingShop, keyring: Keyring) -> None:
    privacy = Privacy(keyring, shop.commands)
    keyring.user("anna", datetime.now(UTC))
    assert await privacy.erase_user("anna") == 1
    assert await privacy.erase_user("anna") == 0
    with pytest.raises(InvalidInput) as refused:
        await privacy.erase_user("")
    assert refused.value.field == "user_token"


@pytest.mark.anyio
async def test_the_behavior_of_one_user_or_of_all_is_ignored_for_a_period(shop: ChangingShop, keyring: Keyring) -> None:
    privacy, until = Privacy(keyring, shop.commands), datetime.now(UTC)
    since = until - timedelta(days=1)
    pseudonym = keyring.user("anna", until).pseudonym
    await privacy.forget_behavior("shop", since, until, "anna", ADA)
    await privacy.forget_behavior("shop", since, until, "", ADA)
    ignored = shop.index.learning.ignored
    assert [(period.since, period.until, period.user) for period in ignored] == [
        (since, until, pseudonym),
        (since, until, ""),
    ]
    assert {period.reason for period in ignored} == {ADA.reason}
    with pytest.raises(NotFound) as unknown:
        await privacy.forget_behavior("shop", since, until, "nobody", ADA)
    assert unknown.value.field == "user_token"
