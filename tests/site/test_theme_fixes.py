"""Faults of the theme are fixed, and nothing else is changed."""

from __future__ import annotations

import pytest

from catalog.site.theme_fixes import explain_404, fix_theme


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
def test_a_fault_is_fixed_once(wrong: str, right: str) -> None:
    assert fix_theme(wrong) == right
    assert fix_theme(right) == right


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
    assert fix_theme(fine) == fine


def test_an_empty_tabindex_is_none() -> None:
    """A section of the navigation that is no page; one that is a number stays."""
    html = '<label class="md-nav__link" for="__nav_7" tabindex=""> <label tabindex="0"> <p>tabindex=""</p>'
    assert fix_theme(html) == '<label class="md-nav__link" for="__nav_7"> <label tabindex="0"> <p>tabindex=""</p>'


def test_the_page_for_what_is_not_there_leads_on() -> None:
    """From wherever it is shown: by the way to the root that the theme gave it. Another page of this title stays."""
    lost = explain_404("<main><h1>404 - Not found</h1></main>", "/base/")
    assert 'href="/base/browse/"' in lost
    assert 'href="/base/."' in lost
    assert explain_404(lost, "/base/") == lost
    own = "<main><h1>Lost?</h1></main>"
    assert explain_404(own, "/") == own
