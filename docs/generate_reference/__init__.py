"""The pages of ``docs/reference/``, made from the code itself: ``make reference`` writes them.

They are committed, so that they read on a forge as on the site; ``tests/test_reference.py`` holds them against what
is made now. Plain Markdown and no plugin such as mkdocstrings: our docstrings are reStructuredText, whose roles that
one shows as they stand (``:class:StoreError``), and on a forge its pages would be empty.
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
