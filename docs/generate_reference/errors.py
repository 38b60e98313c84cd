"""Generate ``errors.md`` from the error classes and their docstrings."""

from __future__ import annotations

import inspect

import catalog.errors as source
from catalog.errors import CatalogError
from docs.generate_reference.markdown import anchor, fence, from_docstring, front

__all__ = ["LINKS", "classes", "page"]

_INTRO = """\
The package raises only these errors, which are classes of `catalog.errors`. A message says what is wrong, where,
and in most cases what to do. All mistakes in a file are reported at once.

The `catalog` command prints errors on standard error without a traceback and exits with 1. Mistakes on the command
line itself, such as an unknown option, exit with 2. In code, catch `CatalogError` to catch them all."""


def classes() -> list[type[Exception]]:
    """Return the public error classes in the order of the source, which is that of the hierarchy."""
    found = [getattr(source, name) for name in source.__all__]
    errors = [one for one in found if inspect.isclass(one) and issubclass(one, CatalogError | Warning)]
    return sorted(errors, key=lambda one: list(vars(source)).index(one.__name__))


LINKS = {one.__name__: f"errors.md#{anchor(one.__name__)}" for one in classes()}
"""Link to each class from the other pages."""


def page() -> str:
    """Return the page as Markdown."""
    parts = front("Errors", _INTRO, "`catalog/errors.py`")
    tree = inspect.getdoc(source) or ""
    drawing = [line[4:].replace("``", "") for line in tree.splitlines() if line.startswith("    ")]
    parts += ["", "## Hierarchy", "", fence("\n".join(drawing), "text")]
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
    parts.append("" if above is None else f"A subclass of [`{above.__name__}`](#{anchor(above.__name__)}).")
    return parts if parts[-1] else parts[:-2]


def _parent(one: type[Exception]) -> type[CatalogError] | None:
    return next((base for base in one.__mro__[1:] if base.__name__ in LINKS and issubclass(base, CatalogError)), None)
