"""How to pass a dataset through a published lens: whoever runs its code says whose and which it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalog.codegen.layout import Group, laid_out
from catalog.codegen.snippets.ours import INSTALL
from catalog.codegen.snippets.snippet import Snippet
from catalog.codegen.text import literal, one_line

if TYPE_CHECKING:
    from catalog.records import Lens

__all__ = ["lens_snippet"]

_PYTHON = (None, "python")


def lens_snippet(lens: Lens, uri: str, dataset: tuple[str, str] | None) -> Snippet | None:
    """A program that loads a lens and shows three samples through it; None where this library can't run its code.

    ``dataset`` is the name and the URI of one of the lens's source schema; without one the program ends at the lens.
    """
    getter, putter = lens.getter, lens.putter
    if getter.language not in _PYTHON or putter.language not in _PYTHON:
        return None
    what = [f"repository={literal(getter.repository)}", f"commit={literal(getter.commit)}"]
    if putter.repository != getter.repository:
        what.append(f"putter_repository={literal(putter.repository)}")
    if putter.commit != getter.commit:
        what.append(f"putter_commit={literal(putter.commit)}")
    fetched = laid_out(Group("fetch_lens(", (literal(uri),), ")"), prefix="found = ")
    loaded = laid_out(Group("found.load(", tuple(what), ")"), prefix="lens = ")
    imported = "from catalog import fetch_lens\n" if dataset is None else "from catalog import Dataset, fetch_lens\n"
    head = f"{imported}\n# {one_line(lens.name)}: this runs its code, with your rights. Read it first.\n"
    parts = [head, f"{fetched}\n{loaded}\n"]
    if dataset is not None:
        name, address = dataset
        opened = laid_out(Group("Dataset.from_atproto(", (literal(address),), ")"), prefix="dataset = ")
        parts.append(f"\n# {one_line(name)}\n{opened}\n")
        parts.append("for sample in dataset.as_type(lens.target, through=lens).head(3):\n    print(sample)\n")
    return Snippet(label="Python", language="python", parts=tuple(parts), install=INSTALL)
