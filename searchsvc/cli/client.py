"""Calls of a running service. An error of the service becomes one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
import rich_click as click

if TYPE_CHECKING:
    import httpx

TIMEOUT_S: Final = 60.0

T = TypeVar("T")


class ServiceClient:
    """A connection to a running service. Use it as a context manager.

    url: address of the service.
    actor: the name that changes are made under.
    """

    def __init__(self, url: str, actor: str = "cli") -> None:
        # Imported here, because it takes 0.2 s that `serve` need not spend.
        import httpx

        self._connection_error = httpx.HTTPError
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.url, timeout=TIMEOUT_S, headers={"X-Searchsvc-Actor": actor}, trust_env=False
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
        """Call the service and return its answer.

        answer: type to decode the answer as.
        json: body, encoded as JSON.
        content: body as it is, if `json` is None.
        Raises click.ClickException with the service's message if it refuses, or if no service answers.
        """
        body = msgspec.json.encode(json) if json is not None else content
        try:
            response = self._http.request(method, path, content=body, params=params)
        except self._connection_error as error:
            raise click.ClickException(
                f"no service answers at {self.url} ({error}); start one with `searchsvc serve`"
            ) from error
        if response.status_code >= 400:
            raise click.ClickException(_error_message(response))
        return msgspec.json.decode(response.content, type=answer)


def _error_message(response: httpx.Response) -> str:
    try:
        problem: dict[str, Any] = msgspec.json.decode(response.content)
        return f"{problem.get('detail')} ({response.status_code})"
    except (msgspec.DecodeError, AttributeError):
        return f"the service answered {response.status_code}"
