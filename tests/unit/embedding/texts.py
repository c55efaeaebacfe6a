"""Texts to encode, and the model that encodes them."""

from __future__ import annotations

from typing import Final

MODEL: Final = "all-MiniLM-L6-v2"
TEXTS: Final = ("wireless mouse", "HP toner cartridge black, 2,300 pages", "Zahnbürste für Kinder", "x " * 300)
