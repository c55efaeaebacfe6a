"""What modules say of themselves is checked: `lint-imports` sees to it that a module which says "Pure." is."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("searchsvc", "events", "tuning", "benchmarks")
CONTRACT = "Pure packages touch no loop, logger, environment or client"


def test_every_module_that_says_it_is_pure_is_held_to_it() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (held,) = [contract["source_modules"] for contract in contracts if contract["name"] == CONTRACT]
    pure = []
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            said = ast.get_docstring(ast.parse(file.read_text())) or ""
            if re.search(r"\bPure\.", said):
                pure.append(".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
    assert len(pure) > 50
    assert [name for name in pure if not any(f"{name}.".startswith(f"{module}.") for module in held)] == []


def test_commands_print_through_one_module_that_lets_no_control_character_through() -> None:
    for file in (ROOT / "searchsvc" / "cli").glob("*.py"):
        if file.name != "output.py":
            assert not re.search(r"(?m)click\.s?echo\(|^\s+print\(|Console\(", file.read_text()), file.name
