"""The snippet that applies a published lens to a dataset, pinned to the repository and commit of the lens's code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalog.codegen.layout import Group, laid_out
from catalog.codegen.snippets.library import INSTALL
from catalog.codegen.snippets.snippet import Snippet
from catalog.codegen.text import literal, one_line

if TYPE_CHECKING:
    from catalog.records import Lens

_PYTHON = (None, "python")


def lens_snippet(lens: Lens, uri: str, dataset: tuple[str, str] | None) -> Snippet | None:
    """Return a program that loads a lens and prints three samples through it; None if the lens isn't in Python.

    ``dataset`` is the name and the URI of a dataset with the lens's source schema. Without one, the program only loads
    the lens.
    """
    getter, putter = lens.getter, lens.putter
    if getter.language not in _PYTHON or putter.language not in _PYTHON:
        return None
    arguments = [f"repository={literal(getter.repository)}", f"commit={literal(getter.commit)}"]
    if putter.repository != getter.repository:
        arguments.append(f"putter_repository={literal(putter.repository)}")
    if putter.commit != getter.commit:
        arguments.append(f"putter_commit={literal(putter.commit)}")
    fetched = laid_out(Group("fetch_lens(", (literal(uri),), ")"), prefix="found = ")
    loaded = laid_out(Group("found.load(", tuple(arguments), ")"), prefix="lens = ")
    imported = "from catalog import fetch_lens\n" if dataset is None else "from catalog import Dataset, fetch_lens\n"
    head = f"{imported}\n# {one_line(lens.name)}: this runs its code, with your rights. Read it first.\n"
    parts = [head, f"{fetched}\n{loaded}\n"]
    if dataset is not None:
        name, address = dataset
        opened = laid_out(Group("Dataset.from_atproto(", (literal(address),), ")"), prefix="dataset = ")
        parts.append(f"\n# {one_line(name)}\n{opened}\n")
        parts.append("for sample in dataset.as_type(lens.target, through=lens).head(3):\n    print(sample)\n")
    return Snippet(label="Python", language="python", parts=tuple(parts), install=INSTALL)
