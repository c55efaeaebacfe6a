"""Services that are forked from a process which has imported everything.

A start takes a quarter of the processor time of the command's, and most tests are not about what comes before it.
Benchmarks, and tests of the command itself, start the command. The forked process has one thread of onnxruntime less,
which waits for work that no service gives it.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Final

from benchmarks import running
from benchmarks.checkout import Checkout
from searchsvc.cli import main

NEVER_DEGRADED: Final = {"SEARCHSVC_SEARCH_VECTOR_DEADLINE_MS": "60000"}
FORKING: Final = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(["tests.preloaded"])


class RunningService(running.RunningService):
    """The same as that of the benchmarks, forked. It answers late rather than without the vector leg."""

    def __init__(
        self,
        data_dir: Path,
        port: int = 0,
        environment: Mapping[str, str] | None = None,
        *,
        ready_timeout_s: float = running.START_TIMEOUT_S,
        checkout: Checkout | None = None,
    ) -> None:
        whole = {**NEVER_DEGRADED, **(environment or {})}
        super().__init__(data_dir, port, whole, ready_timeout_s=ready_timeout_s, checkout=checkout)

    def _launch(self, words: Sequence[str], environment: Mapping[str, str]) -> running.Process:
        # The linker reads its variable at the start of a process only.
        if self.checkout is not None or "LD_PRELOAD" in environment:
            return super()._launch(words, environment)
        return _Forked(words, environment, Path(self._log.name))


class _Forked:
    """A forked process, with what is used of Popen.

    log: file that its standard error is added to
    """

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        reader, writer = FORKING.Pipe(duplex=False)
        # A daemon ends with the tests, also where one did not stop it.
        self._process = FORKING.Process(target=_serve, args=(words, dict(environment), log, writer), daemon=True)
        self._process.start()
        writer.close()
        with reader:
            self.stdout: IO[str] | None = os.fdopen(os.dup(reader.fileno()))

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("serve", timeout or 0.0)
        return self._process.exitcode

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()


def _serve(words: Sequence[str], environment: Mapping[str, str], log: Path, output: Connection) -> None:
    """Become the command, in the forked process."""
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(output.fileno(), sys.stdout.fileno())
    with log.open("ab") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
    output.close()
    main(words, prog_name="searchsvc")
