"""Run a command: in the process of the test, which takes half a second less, or in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final, NamedTuple

from click.testing import CliRunner

from benchmarks.running import RUN
from searchsvc.cli import main

SERVING: Final = ("serve", "demo", "worker")
# Only a hang reaches it.
LIMIT_S: Final = 300.0


class Done(NamedTuple):
    """What a command ended with."""

    status: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        return self.stdout + self.stderr


def run(*words: str, stdin: str | bytes | None = None, **environment: str) -> Done:
    """Run a command in this process, or in one of its own if it serves: that changes what the process shares."""
    if words[0] in SERVING and "--help" not in words:
        return run_process(*words, **environment)
    result = CliRunner().invoke(main, words, input=stdin, env=environment)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


def run_process(*words: str, **environment: str) -> Done:
    """Run a command as a user's shell does."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, *words],
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
        text=True,
        env={**os.environ, **environment},
    )
    return Done(done.returncode, done.stdout, done.stderr)
