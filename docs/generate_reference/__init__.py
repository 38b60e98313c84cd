"""The pages of ``docs/reference/``, made from the code itself: ``make reference`` writes them.

They are committed, so that they read on a forge as on the site; ``tests/project/test_reference.py`` compares
them with the code. They are plain Markdown, not mkdocstrings: that plugin shows the roles of our reStructuredText
docstrings as raw text, and on a forge its pages would be empty.
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
"""Each page by its file name."""
