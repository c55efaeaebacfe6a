"""`privacy`: requests of shoppers about their data."""

from __future__ import annotations

import rich_click as click

from searchsvc.cli.client import ServiceClient
from searchsvc.cli.options import json_option, url_option
from searchsvc.cli.output import print_answer
from searchsvc.http.shapes.events import Erased


@click.group()
def privacy() -> None:
    """Erase what ties the log to a shopper."""


@privacy.command()
@click.argument("user")
@url_option
@json_option
def erase(user: str, url: str, as_json: bool) -> None:
    """Destroy the pseudonym and the key of USER, the token that the website sends for them.

    The log keeps its messages, but they can no longer be tied to USER, and the queries that USER typed can no longer
    be read. Later events of USER count as those of a new user. Services with other data folders have keys of their
    own: erase USER there too.
    """
    with ServiceClient(url) as client:
        erased = client.call("POST", "/v1/privacy/erase", Erased, json={"user_token": user})
    destroyed = f"{erased.n_keys} key{'s' if erased.n_keys > 1 else ''} destroyed"
    print_answer(erased, destroyed if erased.n_keys else "nothing is known of this user", as_json)
