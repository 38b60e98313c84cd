"""Write all reference pages: ``python -m docs.generate_reference``."""

from __future__ import annotations

from pathlib import Path

from docs.generate_reference import PAGES

folder = Path(__file__).resolve().parents[1] / "reference"
folder.mkdir(exist_ok=True)
for name, make in PAGES.items():
    (folder / name).write_text(make(), encoding="utf-8", newline="\n")
