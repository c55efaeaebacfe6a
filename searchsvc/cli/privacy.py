"""`privacy`: what a shopper may ask of whoever runs the service."""

from __future__ import annotations

import msgspec
import rich_click as click

from searchsvc.cli.client import ServiceClient, json_option, url_option
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

    The log keeps its messages: they cannot be tied to USER any more, nor can what USER typed be read. Later events of
    USER count as those of somebody new. Other services with data folders of their own have keys of their own.
    """
    with ServiceClient(url) as client:
        erased = client.call("POST", "/v1/privacy/erase", Erased, json={"user_token": user})
    if as_json:
        click.echo(msgspec.json.encode(erased))
    elif erased.n_keys:
        click.echo(f"{erased.n_keys} key{'s' if erased.n_keys > 1 else ''} destroyed")
    else:
        click.echo("nothing is known of this user")
