"""The checks of `doctor`."""

from __future__ import annotations

from pathlib import Path

import pytest
import rich_click as click

from events.errors import Unavailable
from events.streams import FORMAT
from searchsvc.cli.checks import Finding, Result, run_check, run_checks
from searchsvc.runtime.config import Config, EmbeddingConfig


def test_a_check_gives_its_status_and_detail() -> None:
    assert run_check("disk", lambda: ("warn", "1 GB free")) == Finding("disk", "warn", "1 GB free")


@pytest.mark.parametrize("error", [Unavailable("away"), OSError("away"), click.ClickException("away")])
def test_an_error_of_a_check_is_a_failure_with_its_message(error: Exception) -> None:
    def check() -> Result:
        raise error

    assert run_check("service", check) == Finding("service", "fail", "away")


def test_every_check_is_run_and_a_failure_does_not_stop_the_others(tmp_path: Path) -> None:
    # Without a model to load, to be quick.
    config = Config(data_dir=str(tmp_path / "data"), embedding=EmbeddingConfig(model=str(tmp_path)))
    findings = {finding.check: finding for finding in run_checks(config, "http://127.0.0.1:9")}
    assert list(findings) == [
        "data folder",
        "disk",
        "fsync",
        "nats-server",
        "model",
        "torch",
        "clock",
        "service",
        "log",
    ]
    assert (findings["clock"].status, findings["data folder"].detail) == (
        "ok",
        f"{tmp_path / 'data'} does not exist yet",
    )
    assert [name for name in ("model", "service", "log") if findings[name].status == "fail"] == [
        "model",
        "service",
        "log",
    ]
    assert not (tmp_path / "data").exists(), "a check creates no data folder"


def test_the_format_of_a_data_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "format.json").write_text(f'{{"format": {FORMAT}}}')
    config = Config(data_dir=str(tmp_path), embedding=EmbeddingConfig(model=str(tmp_path)))
    (finding,) = [f for f in run_checks(config, "http://127.0.0.1:9") if f.check == "data folder"]
    assert (finding.status, finding.detail) == ("ok", f"{tmp_path} is of format {FORMAT}")
