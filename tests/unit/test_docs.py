"""The documentation matches the code: its links lead somewhere, and it names every command and setting."""

from __future__ import annotations

import ast
import re
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import rich_click as click

from searchsvc.runtime.config_sources import SECRETS, keys

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    targets = [target for target in LINK.findall(page.read_text()) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_page_is_on_the_map() -> None:
    linked = {(ROOT / "docs" / target).resolve() for target in LINK.findall((ROOT / "docs/README.md").read_text())}
    decisions = ROOT / "docs" / "decisions"
    linked |= {(decisions / target).resolve() for target in LINK.findall((decisions / "README.md").read_text())}
    assert [str(page.relative_to(ROOT)) for page in PAGES[1:] if page not in linked and page.name != "README.md"] == []


def test_every_configuration_key_is_documented() -> None:
    page = (ROOT / "docs/reference/configuration.md").read_text()
    assert set(keys()) > SECRETS
    assert [key for key in keys() if f"`{key}`" not in page] == []


def test_every_command_is_documented() -> None:
    page = (ROOT / "docs/reference/cli.md").read_text()
    points = entry_points(group="searchsvc.commands")
    assert len(points) > 10
    for point in points:
        command = point.load()
        row = re.search(rf"^\| `{point.name}[ `].*$", page, re.MULTILINE)
        assert row is not None, point.name
        if isinstance(command, click.Group):
            missing = [name for name in command.commands if not re.search(rf"\b{name}\b", row[0])]
            assert missing == [], point.name


CODE = re.compile(r"`((?:searchsvc|events|tuning|benchmarks)/[\w/]+\.py)(?::([\w.]+))?`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_module_and_definition_that_a_page_names_exists(page: Path) -> None:
    for file, name in CODE.findall(page.read_text()):
        assert (ROOT / file).exists(), file
        scope: list[ast.stmt] = ast.parse((ROOT / file).read_text()).body
        for part in name.split(".") if name else []:
            definitions = {
                node.name: node
                for node in scope
                if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            }
            assert part in definitions, f"{file}:{name}"
            scope = definitions[part].body
