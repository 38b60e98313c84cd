"""What the theme's HTML gets wrong, put right in the rendered page; its colours are put right in ``catalog.css``.

Material for MkDocs 9.8: ``autocomplete`` on checkboxes, which HTML doesn't allow; a search dialogue without a name; a
button of the drawer that has no name either, and that no keyboard reaches (its script takes Enter on a label); the
boxes of task lists, nameless too; sections of the navigation with an empty ``tabindex``.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["mended", "with_ways_on"]

_INPUT: Final = re.compile(r"<input\b[^>]*>", re.IGNORECASE)
_TICKED: Final = re.compile(r"""\stype=["']?(?:checkbox|radio)\b""", re.IGNORECASE)
_AUTOCOMPLETE: Final = re.compile(r"""\sautocomplete=(?:"[^"]*"|'[^']*'|[^\s>]*)""", re.IGNORECASE)
_NAMELESS: Final = re.compile(r"""<(?![^>]*\saria-label)([a-z]+)(?=\s[^>]*\brole=["']?dialog\b)""", re.IGNORECASE)
_DRAWER: Final = re.compile(
    r"""<label(?![^>]*\stabindex)(?=[^>]*\bmd-header__button\b)([^>]*\bfor=["']?__drawer\b[^>]*>)"""
)
_NO_TABINDEX: Final = re.compile(r"""(<label\b[^>]*?)\stabindex=(?:""|'')""", re.IGNORECASE)

_LOST: Final = re.compile(r"<h1>404 - Not found</h1>(?!<p)")
_WAYS_ON: Final = (
    "<h1>404 - Not found</h1><p>There is no such page. What its publisher deleted, or published from an account that "
    "is closed, is gone from the catalog, too. An address that was typed or copied may lack its end.</p>"
    '<p><a href="{root}browse/">Browse and search</a>, or begin at the <a href="{root}.">home page</a>.</p>'
)


def mended(html: str) -> str:
    """A page as the theme should have rendered it. Mending again changes nothing."""
    html = _NO_TABINDEX.sub(r"\1", html)
    html = _NAMELESS.sub(r'<\1 aria-label="Search"', html)
    html = _DRAWER.sub(r'<label tabindex="0"\1<span class="cat-hidden">Menu</span>', html)
    return _INPUT.sub(_input, html)


def with_ways_on(html: str, root: str) -> str:
    """The theme's page for what isn't there, with words on why, and ways on. Other pages, and it again, stay."""
    return _LOST.sub(lambda _: _WAYS_ON.format(root=root), html, count=1)


def _input(match: re.Match[str]) -> str:
    html = match[0]
    if not _TICKED.search(html):
        return html
    if " disabled" in html and " aria-label" not in html:  # a task's: nothing else has a box that can't be ticked
        html = f'<input aria-label="{"done" if " checked" in html else "to do"}"{html[6:]}'
    return _AUTOCOMPLETE.sub("", html)
