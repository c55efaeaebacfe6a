"""Reaches the log: starts its server if it is our own, connects, creates the streams, replays CONTROL."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import Final

from events import server
from events.errors import Unavailable
from events.jetstream.event_log import JetStreamEventLog
from events.jetstream.session import Password
from searchsvc.app.background import BackgroundTasks
from searchsvc.app.health import HealthNotes
from searchsvc.runtime.config import NatsConfig
from searchsvc.state.control_follower import ControlFollower

# A start that has something on disk to serve waits no longer than this for the log.
START_WITHOUT_LOG_AFTER_S: Final = 1.0
# One that has nothing gives up after this.
GIVE_UP_AFTER_S: Final = 25.0
RETRY_S: Final = 0.25
CHECK_EVERY_S: Final = 0.025

log = logging.getLogger(__name__)


class LogConnection:
    """The connection of a service to its log.

    nats: our own server; None for a configured one
    reached: completes once the log is connected, has its streams, and CONTROL from it is served; fails with Corrupt
    without_log: set if the service starts without the log
    """

    def __init__(
        self,
        config: NatsConfig,
        event_log: JetStreamEventLog,
        nats: server.NatsServer | None,
        control: ControlFollower,
        background: BackgroundTasks,
        notes: HealthNotes,
    ) -> None:
        self._config = config
        self._log = event_log
        self._nats = nats
        self._control = control
        self._background = background
        self._notes = notes
        self._server_up = asyncio.Event()
        self._began_s = time.monotonic()
        self.without_log = asyncio.Event()
        self.reached = background.add(self._reach(), "reach log")

    async def wait(self, copy_seq: int) -> None:
        """Wait until the log is reached, or until it is clear that the service starts without it.

        copy_seq: last CONTROL sequence of the copy on disk; 0 if there is nothing to serve

        Raises Corrupt, and Unavailable if there is neither a log nor anything to serve.
        """
        timeout_s = START_WITHOUT_LOG_AFTER_S if copy_seq else GIVE_UP_AFTER_S
        deadline_s = self._began_s + timeout_s
        while not self.reached.done() and not self._obstacle and time.monotonic() < deadline_s:
            await asyncio.wait([self.reached], timeout=CHECK_EVERY_S)
        if self.reached.done():
            self.reached.result()
            return
        if not copy_seq:
            raise Unavailable(self._obstacle or f"the log was not reached within {timeout_s:g} s")
        log.warning("the log is not reached yet: serving what is on disk, up to CONTROL %d", copy_seq)
        self.without_log.set()

    async def _reach(self) -> None:
        url, user, password = await self._address()
        await self._log.connect(url, user=user, password=password)
        while True:
            try:
                await self._log.ensure_streams(replicas=self._config.replicas or self._log.default_replicas)
                self._notes.note("control", await self._control.replay())
                return
            except Unavailable as error:
                self._notes.note("log", str(error))
                await asyncio.sleep(RETRY_S)
                self._notes.note("log", "")

    async def _address(self) -> tuple[str, str, Password]:
        """Return URL, user and password of the server. Starts our own and waits until it answers."""
        if self._nats is None:
            return self._config.url, self._config.user, self._config.password
        # Started on this thread, which lives as long as the process: the child ends with the thread that started it.
        self._background.run(partial(server.supervise, self._nats, self._note_server), "nats-server")
        await self._server_up.wait()
        address = self._nats.address
        return address.url, address.accounts["service"].user, self._nats.service_password

    def _note_server(self, reason: str) -> None:
        """Note why our own server does not answer; '' once it does."""
        self._notes.note("nats-server", reason)
        if not reason:
            self._server_up.set()

    @property
    def _obstacle(self) -> str:
        """Why the server cannot be reached; '' if nothing is known to be wrong."""
        if self._nats is not None:
            return self._notes.reasons.get("nats-server", "")
        return f"no NATS answers at {self._config.url}: {self._log.connect_errors}" if self._log.connect_errors else ""
