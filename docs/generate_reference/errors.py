"""``errors.md``, from the classes and their docstrings."""

from __future__ import annotations

import inspect

import catalog.errors as source
from catalog.errors import CatalogError
from docs.generate_reference.markdown import anchor, fence, from_docstring, front

__all__ = ["LINKS", "classes", "page"]

_INTRO = """\
Every error that this package raises on purpose is one of these; each is a class of `catalog.errors`. An error says what
is wrong, where, and mostly what to do. Where a text has several mistakes, all are reported at once.

On the command line each of them is printed on standard error, without a traceback, and the exit code is 1. What is
wrong with the command line itself (an unknown option, a missing argument) is not among them: its exit code is 2.
In code, catch `CatalogError` to catch them all."""


def classes() -> list[type[Exception]]:
    """The public classes, in the order in which they are written, which is that of the tree."""
    found = [getattr(source, name) for name in source.__all__]
    errors = [one for one in found if inspect.isclass(one) and issubclass(one, CatalogError | Warning)]
    return sorted(errors, key=lambda one: list(vars(source)).index(one.__name__))


LINKS = {one.__name__: f"errors.md#{anchor(one.__name__)}" for one in classes()}
"""The place of each class, as seen from the other pages."""


def page() -> str:
    """The page."""
    parts = front("Errors", _INTRO, "`catalog/errors.py`")
    tree = inspect.getdoc(source) or ""
    drawing = [line[4:].replace("``", "") for line in tree.splitlines() if line.startswith("    ")]
    parts += ["", "## The tree", "", fence("\n".join(drawing), "text")]
    for one in classes():
        parts += ["", f"## `{one.__name__}`", "", *_error(one)]
    return "\n".join(parts) + "\n"


def _error(one: type[Exception]) -> list[str]:
    parts: list[str] = []
    for block in from_docstring(one.__doc__ or "", {}):
        word, colon, rest = block.partition(": ")
        marked = colon and word in ("Cause", "Cure")
        parts += [f"**{word}:** {rest[0].upper()}{rest[1:]}" if marked else block, ""]
    above = _parent(one)
    parts.append("" if above is None else f"It is a kind of [`{above.__name__}`](#{anchor(above.__name__)}).")
    return parts if parts[-1] else parts[:-2]


def _parent(one: type[Exception]) -> type[CatalogError] | None:
    return next((base for base in one.__mro__[1:] if base.__name__ in LINKS and issubclass(base, CatalogError)), None)
