"""Cutting and stamping a rendered page: every value lands where it belongs, escaped for its place."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import BuildError
from catalog.site.shell import BODY, DESCRIPTION, SECTION_MARK, TITLE, Shell, archetype

ADDRESS = "datasets/catalog-shell/dataset/"
PAGE = (
    f"<html><head><title>{TITLE} - Site</title><meta name=description content={DESCRIPTION}>"
    f'<link rel="canonical" href="https://s.example/{ADDRESS}"><meta property="og:title" content="{TITLE}">'
    f'<script>var page = {{"title": "{TITLE}"}};</script></head>'
    f'<body><nav>{TITLE}</nav><main><h1 id="x">{BODY}</h1></main></body></html>'
)


def test_each_value_is_escaped_for_its_place() -> None:
    nasty = "\"'><script>alert(1)</script>\\"
    html = Shell.cut(PAGE, address=ADDRESS).stamp(
        body="<article>B</article>", title=nasty, description="two words", address="datasets/did-x/a~b/"
    )
    assert "<main><article>B</article></main>" in html
    assert "<title>&quot;&#x27;&gt;&lt;script&gt;alert(1)&lt;/script&gt;\\ - Site</title>" in html
    assert 'content="two words">' in html, "quotes that a minifier dropped are put back"
    assert 'href="https://s.example/datasets/did-x/a~b/"' in html
    script = re.search(r"<script>var page = (.*?);</script>", html)
    assert script is not None
    assert json.loads(script[1]) == {"title": nasty}
    assert html.count("<script>") == 1


@given(st.text(), st.text())
def test_a_value_that_looks_like_a_token_is_only_text(title: str, description: str) -> None:
    shell = Shell.cut(PAGE, address=ADDRESS)
    for words in (title, TITLE, BODY, ADDRESS):
        html = shell.stamp(body=BODY + DESCRIPTION, title=words, description=description, address="a/")
        assert f"<main>{BODY}{DESCRIPTION}</main>" in html


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (PAGE.replace(BODY, "gone"), "no page body"),
        (PAGE.replace("<main>", f"<main><h1>{BODY}</h1>"), "more than one"),
        (PAGE.replace(TITLE, "gone"), "no title"),
    ],
)
def test_a_theme_that_loses_a_token_stops_the_build(page: str, words: str) -> None:
    with pytest.raises(BuildError, match=words):
        Shell.cut(page, address=ADDRESS)


def test_a_page_in_place_keeps_its_own_title() -> None:
    html = Shell.cut(f"<title>Tags</title><h1 id=tags>Tags</h1>\n<p>All.</p>\n{SECTION_MARK}").stamp(body="B")
    assert html == "<title>Tags</title>B"


def test_the_archetype_holds_each_token_once() -> None:
    source = archetype()
    assert [source.count(token) for token in (TITLE, DESCRIPTION, BODY)] == [1, 1, 1]
