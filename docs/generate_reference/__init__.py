"""Generate the pages of ``docs/reference/`` from the code; ``make reference`` writes them.

The pages are committed, so that they can be read on a forge as well as on the site; ``tests/project/test_reference.py``
compares them with the code. They are plain Markdown rather than mkdocstrings, which shows reStructuredText roles as raw
text and leaves the pages empty on a forge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from docs.generate_reference import commands, configuration, dependencies, errors, lexicons, manifests, python

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PAGES"]

PAGES: Final[dict[str, Callable[[], str]]] = {
    "command-line.md": commands.page,
    "configuration.md": configuration.page,
    "manifests.md": manifests.page,
    "python.md": python.page,
    "lexicons.md": lexicons.records_page,
    "queries.md": lexicons.queries_page,
    "errors.md": errors.page,
    "dependencies.md": dependencies.page,
}
"""File name of each page, and the function that generates it."""
