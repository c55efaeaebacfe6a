"""Calls of a running service, for commands. A problem document becomes one plain sentence."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import rich_click as click

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

url_option = click.option(
    "--url", default="http://127.0.0.1:8000", show_default=True, envvar="SEARCHSVC_URL", help="The running service."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def actor() -> str:
    """Who a command says it is: SEARCHSVC_ACTOR, or the user of this machine."""
    return os.environ.get("SEARCHSVC_ACTOR") or getpass.getuser()


def contents(file: Path) -> bytes:
    """Of a file; - is standard input."""
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise click.BadParameter(f"{file} cannot be read: {error}", param_hint="FILE") from error


class ServiceClient:
    """A connection to a running service. Use it as a context manager."""

    def __init__(self, url: str, actor: str = "cli") -> None:
        # Here, because it takes a fifth of a second that `serve` need not spend.
        import httpx

        self._refusals = httpx.HTTPError
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.url, timeout=60.0, headers={"X-Searchsvc-Actor": actor}, trust_env=False
        )

    def __enter__(self) -> ServiceClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        answer: type[T],
        *,
        json: object = None,
        content: bytes | None = None,
        params: Mapping[str, str] | None = None,
    ) -> T:
        """Raises click.ClickException with the service's own words where it refuses, or where none answers."""
        body = msgspec.json.encode(json) if json is not None else content
        try:
            response = self._http.request(method, path, content=body, params=params)
        except self._refusals as error:
            raise click.ClickException(
                f"no service answers at {self.url} ({error}); start one with `searchsvc serve`"
            ) from error
        if response.status_code >= 400:
            raise click.ClickException(_problem(response))
        return msgspec.json.decode(response.content, type=answer)


def _problem(response: httpx.Response) -> str:
    try:
        said: dict[str, Any] = msgspec.json.decode(response.content)
        return f"{said.get('detail')} ({response.status_code})"
    except (msgspec.DecodeError, AttributeError):
        return f"the service answered {response.status_code}"
