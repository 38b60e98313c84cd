"""The theme's faults are mended, and nothing else is touched."""

from __future__ import annotations

import pytest

from catalog.site.theme_fixes import mended, with_ways_on


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ('<input type="checkbox" id="__drawer" autocomplete="off">', '<input type="checkbox" id="__drawer">'),
        ("<input autocomplete=off type=radio>", "<input type=radio>"),
        ('<input type="checkbox" disabled checked/>', '<input aria-label="done" type="checkbox" disabled checked/>'),
        ('<input type="checkbox" disabled/>', '<input aria-label="to do" type="checkbox" disabled/>'),
        (
            '<label class="md-header__button md-icon" for="__drawer">',
            '<label tabindex="0" class="md-header__button md-icon" for="__drawer"><span class="cat-hidden">Menu</span>',
        ),
        ('<div class="md-search" role="dialog">', '<div aria-label="Search" class="md-search" role="dialog">'),
    ],
)
def test_a_fault_is_mended_once(wrong: str, right: str) -> None:
    assert mended(wrong) == right
    assert mended(right) == right


@pytest.mark.parametrize(
    "fine",
    [
        '<input type="search" name="q" autocomplete="off">',
        '<div role="dialog" aria-label="Mine">',
        '<label class="md-overlay" for="__drawer"></label>',
        "<p>type=checkbox autocomplete=off</p>",
        "",
    ],
)
def test_what_is_right_stays(fine: str) -> None:
    assert mended(fine) == fine


def test_an_empty_tabindex_is_none() -> None:
    """A section of the navigation that is no page; one that is a number stays."""
    html = '<label class="md-nav__link" for="__nav_7" tabindex=""> <label tabindex="0"> <p>tabindex=""</p>'
    assert mended(html) == '<label class="md-nav__link" for="__nav_7"> <label tabindex="0"> <p>tabindex=""</p>'


def test_the_page_for_what_is_not_there_leads_on() -> None:
    """From wherever it is shown: by the way to the root that the theme gave it. Another page of this title stays."""
    lost = with_ways_on("<main><h1>404 - Not found</h1></main>", "/base/")
    assert 'href="/base/browse/"' in lost
    assert 'href="/base/."' in lost
    assert with_ways_on(lost, "/base/") == lost
    own = "<main><h1>Lost?</h1></main>"
    assert with_ways_on(own, "/") == own
