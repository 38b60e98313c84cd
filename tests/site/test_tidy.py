"""Rendered pages made lighter: white space that doesn't show goes, inline scripts move into files, all else stays."""

from __future__ import annotations

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from catalog.site.minify import root_of, tidy

LINK = '<link rel="stylesheet" href="../../assets/catalog/catalog.css">'
PAGE = f"""\

<!doctype html>
<html>
  <head>
    {LINK}
    <script>var a = 1;  // two  blanks</script>
    <script type="application/json">{{"b":  2}}</script>
    <style>a  {{ }}</style>
  </head>
  <body>
    <p>one
       <b>two</b>   <i title="x  >  y">three</i></p>
    <pre>  kept
    as it is </pre>
    <article class="cat-page cat-x">  <p>ours  stays</p>  </article>
    <script src="x.js"></script>
    <script>go("<b>  </b>")</script>
  </body>
</html>
"""


def test_white_space_between_words_and_inline_elements_stays_one_character() -> None:
    html = tidy(PAGE, "../../", {})
    assert '<p>one\n<b>two</b> <i title="x  >  y">three</i></p>' in html
    assert f"<!doctype html><html><head>{LINK}<script" in html
    assert "<pre>  kept\n    as it is </pre>" in html
    assert '<article class="cat-page cat-x">  <p>ours  stays</p>  </article>' in html
    assert "<style>a  { }</style>" in html


def test_inline_scripts_move_into_files_and_data_stays() -> None:
    scripts: dict[str, str] = {}
    html = tidy(PAGE, "../../", scripts)
    assert sorted(scripts.values()) == ['go("<b>  </b>")\n', "var a = 1;  // two  blanks\n"]
    for name in scripts:
        assert f'<script src="../../assets/catalog/{name}"></script>' in html
    assert '<script type="application/json">{"b":  2}</script>' in html
    assert '<script src="x.js"></script>' in html
    assert len(re.findall("<script", html)) == len(re.findall("<script", PAGE))


NAV = """<div class="md-sidebar md-sidebar--primary" data-md-type="navigation" hidden>
<div class="md-sidebar__scrollwrap"><div class="md-sidebar__inner"><nav class="md-nav" aria-label="Navigation"><ul>
<li><a href="../.." class="md-nav__link">Home</a></li>
<li><a href="../b/" class="md-nav__link">B "b"</a></li></ul></nav>
</div></div></div>
<div class="md-content">"""


def test_a_hidden_navigation_lies_once_in_a_script() -> None:
    scripts: dict[str, str] = {}
    html = tidy(PAGE.replace("<p>one", f"{NAV}<p>one"), "../../", scripts)
    ((name, source),) = [(name, text) for name, text in scripts.items() if "outerHTML" in text]
    assert "<nav" not in html
    assert f'<div class="md-sidebar__inner"><script src="../../assets/catalog/{name}"></script>' in html
    assert '<noscript><a href="../.." class="md-nav__link">Home</a></noscript>' in html
    nav = json.loads(source.partition(" = ")[2].rstrip(";\n"))
    assert nav.split() == NAV[NAV.index("<nav") : NAV.index("</nav>") + 6].split()
    for other in ('class="md-nav__link md-nav__link--active"', 'class="other"'):
        kept = tidy(PAGE.replace("<p>one", NAV.replace('class="md-nav__link"', other) + "<p>one"), "../../", {})
        assert "<nav" in kept, "a navigation that marks its page, or of another theme, stays"


def test_the_way_to_the_root_is_the_pages_own() -> None:
    assert root_of(PAGE) == "../../"
    assert root_of('<link href="/base/assets/catalog/catalog.css" rel="stylesheet">') == "/base/"
    assert root_of("<link rel=stylesheet href=assets/catalog/catalog.css>") == ""
    assert root_of("<p>not ours</p>") is None


@given(st.text(alphabet="<>/ab \n\"'=!-", max_size=200))
def test_tidying_again_changes_nothing_and_no_word_is_lost(inside: str) -> None:
    html = f"<html><head>{LINK}</head><body>{inside}</body></html>"
    once = tidy(html, "", {})
    assert tidy(once, "", {}) == once
    assert re.sub(r"\s", "", once) == re.sub(r"\s", "", html)
