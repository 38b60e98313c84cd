"""The manifest of ``catalog init`` with something in the place of its placeholders, without which it is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catalog.cli.scaffold import MANIFEST

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["fill_in"]

_WORDS: Final = {
    "One measurement of a sensor.": "One reading of a thermometer.",
    "What the sensor heard in one second.": "A second of sound beside it.",
    "What it is, how it was made, what it is good for. Markdown.": "Temperatures of a cellar. Markdown.",
    "https://example.org/": "https://data.example/",
    "A. Author": "B. Bell",
}


def fill_in(folder: Path) -> None:
    """Replace every placeholder of a new repository's first manifest."""
    file = folder / MANIFEST
    text = file.read_text(encoding="utf-8")
    for placeholder, word in _WORDS.items():
        assert placeholder in text, placeholder
        text = text.replace(placeholder, word)
    file.write_text(text, encoding="utf-8")
