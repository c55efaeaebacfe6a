"""Calls of a running service. An error of the service becomes one sentence."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import msgspec
import rich_click as click

from searchsvc.app.health import Health

if TYPE_CHECKING:
    import httpx

TIMEOUT_S: Final = 60.0
# Answers that mean "not now": too much at once, or a part that is away.
TEMPORARY: Final = (429, 503)
RETRY_S: Final = 0.5
MAX_WAIT_S: Final = 10.0

T = TypeVar("T")


class ListPage(Protocol):
    """A page of a list. next_after: where the next one begins; None if this is the last one"""

    @property
    def next_after(self) -> int | str | None: ...


P = TypeVar("P", bound=ListPage)


class ServiceClient:
    """A connection to a running service. Use it as a context manager.

    url: address of the service.
    actor: the name that changes are made under.
    """

    def __init__(self, url: str, actor: str = "cli") -> None:
        # Imported here, because it takes 0.2 s that `serve` need not spend.
        import httpx

        self._connection_error = httpx.HTTPError
        self._has_answered = False
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
        patience_s: float = 0.0,
        on_wait: Callable[[str], None] = lambda reason: None,
    ) -> T:
        """Call the service and return its answer.

        answer: type to decode the answer as.
        json: body, encoded as JSON.
        content: body as it is, if `json` is None.
        patience_s: how long to try again while the service answers that it cannot do it now, or, once it has answered
            a call, not at all. Only for calls that may be repeated.
        on_wait: called with the reason before each wait.
        Raises click.ClickException with the service's message if it refuses, or if no service answers.
        """
        body = msgspec.json.encode(json) if json is not None else content
        deadline_s = time.monotonic() + patience_s
        while True:
            try:
                response = self._http.request(method, path, content=body, params=params)
            except self._connection_error as error:
                reason = f"no service answers at {self.url} ({error}); start one with `searchsvc serve`"
                if not self._has_answered or time.monotonic() > deadline_s:
                    raise click.ClickException(reason) from error
                wait_s = RETRY_S
            else:
                self._has_answered = True
                if response.status_code < 400:
                    return msgspec.json.decode(response.content, type=answer)
                reason = _error_message(response)
                if response.status_code not in TEMPORARY or time.monotonic() > deadline_s:
                    raise click.ClickException(reason)
                wait_s = _retry_after_s(response)
            on_wait(reason)
            time.sleep(wait_s)

    def pages(self, path: str, answer: type[P], *, params: Mapping[str, str] = MappingProxyType({})) -> Iterator[P]:
        """Yield the pages of a list. Raises click.ClickException as `call` does."""
        page = self.call("GET", path, answer, params=params)
        while page.next_after is not None:
            yield page
            page = self.call("GET", path, answer, params={**params, "after": str(page.next_after)})
        yield page

    def health(self) -> Health:
        """Return the health of the service, well or not. Raises click.ClickException if no service answers."""
        try:
            response = self._http.get("/health/ready")
            return msgspec.json.decode(response.content, type=Health)
        except (self._connection_error, msgspec.DecodeError) as error:
            raise click.ClickException(f"no service answers at {self.url} ({error})") from error


def _retry_after_s(response: httpx.Response) -> float:
    try:
        return min(max(float(response.headers.get("Retry-After", RETRY_S)), RETRY_S), MAX_WAIT_S)
    except ValueError:
        return RETRY_S


def _error_message(response: httpx.Response) -> str:
    try:
        problem: dict[str, Any] = msgspec.json.decode(response.content)
        return f"{problem.get('detail')} ({response.status_code})"
    except (msgspec.DecodeError, AttributeError):
        return f"the service answered {response.status_code}"
