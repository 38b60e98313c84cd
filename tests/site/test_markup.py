"""Somebody else's text: nothing hides, nothing runs, nothing loads."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from catalog.records import CodeReference
from catalog.sanitize import printable
from catalog.site.code_links import code_url
from catalog.site.highlight import highlight
from catalog.site.markup import is_web, link, markdown, plain, shown

ALLOWED = re.compile(
    r"</?(?:blockquote|br|code|del|em|h[3-6]|hr|li|ol|p|pre|s|strong|table|tbody|td|th|thead|tr|ul)>"
    r'|<ol start="\d+">|</a>|<a href="(?:https?://|mailto:)[^"<>]*" rel="nofollow ugc">'
    r'|<a rel="nofollow ugc">'
)


@pytest.mark.parametrize("hidden", "\u202e\u2066\u200b\u200f\u0007\x1b\u2028\ufeff\ud800\U000e0041\u00ad")
def test_what_cannot_be_seen_is_shown_by_its_number(hidden: str) -> None:
    assert shown(f"a{hidden}b") == f"a⟨U+{ord(hidden):04X}⟩b"
    assert shown(f"a{hidden}b", lines=True) == f"a⟨U+{ord(hidden):04X}⟩b"


def test_joiners_that_scripts_need_stay_and_newlines_do_where_lines_are_wanted() -> None:
    assert shown("می\u200cخواهم 👩\u200d🔬") == "می\u200cخواهم 👩\u200d🔬"
    assert shown("a\nb\t", lines=True) == "a\nb\t"
    assert shown("a\nb") == "a⟨U+000A⟩b"


@given(st.text())
def test_shown_text_can_be_written_as_utf8(text: str) -> None:
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u0000-\u0008]", shown(text, lines=True))
    shown(text).encode("utf-8")


@given(st.text(alphabet=st.sampled_from("<>[]()!\"'`*_#-|:/ \nahjsx&;.\\=1"), max_size=80))
def test_markdown_makes_only_the_tags_we_allow(text: str) -> None:
    html = str(markdown(text))
    assert "<" not in ALLOWED.sub("", html)


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[c](javascript:alert(1))",
        "[c](JaVaScRiPt:alert(1))",
        "[c](data:text/html,x)",
        "[c](//evil.example)",
        "[c](../../status/)",
        "<javascript:alert(1)>",
    ],
)
def test_hostile_markdown_shows_as_text(text: str) -> None:
    html = str(markdown(text))
    assert "href" not in html
    assert "<script" not in html
    assert "<img" not in html


def test_markdown_does_what_people_use_it_for() -> None:
    """The control of the tests above: links, emphasis, lists, tables and code come out as such."""
    html = str(markdown("# T\n\n**b** [x](https://example.org/a?b=1&c=2)\n\n- l\n\n|a|\n|-|\n|1|\n\n```py\nx\n```"))
    for part in (
        "<h3>T</h3>",
        "<strong>b</strong>",
        'href="https://example.org/a?b=1&amp;c=2"',
        "<li>l</li>",
        "<td>1</td>",
    ):
        assert part in html
    assert 'rel="nofollow ugc"' in html


def test_an_image_becomes_a_link_so_that_its_host_does_not_learn_who_reads() -> None:
    html = str(markdown("![a picture](https://evil.example/i.png)"))
    assert "<img" not in html
    assert ">a picture</a>" in html


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "https:", "http:///x", "https://a\nb", "https://a b", "ftp://a", "//a", "", "https://[",
     "data:,x"],
)  # fmt: skip
def test_what_is_no_web_address_is_text(url: str) -> None:
    assert not is_web(url)
    assert "<a" not in link(url)


def test_a_web_address_is_a_link() -> None:
    assert link('https://example.org/"', "x") == "x"
    assert link("https://example.org/?a=1&b", "<x>") == (
        '<a href="https://example.org/?a=1&amp;b" rel="nofollow ugc">&lt;x&gt;</a>'
    )


def test_a_summary_is_plain_words() -> None:
    assert (
        plain("# Title\n\nAt **48 kHz**, see [it](https://x.example), `snake_case`.")
        == "Title At 48 kHz, see it, snake_case."
    )
    assert len(plain("word " * 100, longest=50)) <= 50


@given(st.text(alphabet=st.sampled_from("abcdefgh01234567 \"'#\n<>&catlogier:/"), max_size=200))
def test_highlighting_changes_no_character(code: str) -> None:
    """Also where the code holds text that looks like the highlighter's own places."""
    html = str(highlight(code, "python"))
    bare = re.sub(r"</?span[^>]*>", "", html)
    assert bare.replace('"', "&#34;").replace("'", "&#39;") == str(escape(code))


@pytest.mark.parametrize("code", ['x = "catalogliteral0e" + "abcdefghij"', '# catalogliteral1e\ny = "abcdefghij"'])
def test_a_highlighted_text_is_not_led_astray_by_its_own_words(code: str) -> None:
    assert re.sub(r"</?span[^>]*>", "", str(highlight(code, "python"))) == code


@pytest.mark.parametrize(
    ("repository", "path", "url"),
    [
        ("https://github.com/a/b", "x/l.py:f", "https://github.com/a/b/blob/{c}/x/l.py"),
        ("https://github.com/a/b.git", "pkg.mod:f", "https://github.com/a/b/tree/{c}"),
        ("https://gitlab.com/a/b/", "l.py:f", "https://gitlab.com/a/b/-/blob/{c}/l.py"),
        ("https://codeberg.org/a/b", "l.py:f", "https://codeberg.org/a/b/src/commit/{c}/l.py"),
        ("https://github.com/a/b", "../../x.py", "https://github.com/a/b/tree/{c}"),
        ("https://git.example/a", "l.py:f", "https://git.example/a"),
        ("javascript:alert(1)", "l.py:f", None),
    ],
)
def test_code_is_linked_at_its_pinned_commit(repository: str, path: str, url: str | None) -> None:
    commit = "a" * 40
    found = code_url(CodeReference(repository=repository, commit=commit, path=path))
    assert found == (None if url is None else url.format(c=commit))


def test_what_may_not_be_linked_to_stays_as_words_with_its_address() -> None:
    html = str(markdown("[the status](../../status/) and ![a cat](cat.png) and [both ![in](https://a.example/i)](x)"))
    assert html == (
        "<p>the status (../../status/) and a cat (cat.png) and both "
        '<a href="https://a.example/i" rel="nofollow ugc">in</a> (x)</p>\n'
    )


@pytest.mark.parametrize(
    "text", ["> " * 100_000, "- " * 100_000 + "x", "1. " * 100_000 + "x", "**a *b " * 20_000, "[![" * 50_000]
)
def test_deep_nesting_loses_no_text(text: str) -> None:
    """A parser that is quadratic or worse in the depth would hang the test."""
    html = str(markdown(text))
    assert ("x" in html) == ("x" in text)


@given(st.from_regex(r"https?://[a-z0-9.:@\[\]/?#% é-]{0,20}", fullmatch=True))
def test_the_short_cut_for_addresses_agrees_with_the_parser(url: str) -> None:
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    assert is_web(url) == (bool(host) and not re.search(r"\s", url))


def test_bare_addresses_lead_somewhere() -> None:
    """As people write them in descriptions; schemes that aren't the web's stay words, in links or bare."""
    html = str(markdown("See https://example.org/a?b=1, www.example.org, a@example.org; javascript:alert(1) <b>"))
    assert re.findall(r'href="([^"]*)"', html) == [
        "https://example.org/a?b=1",
        "http://www.example.org",
        "mailto:a@example.org",
    ]
    assert "javascript:alert(1) &lt;b&gt;" in html


@pytest.mark.parametrize(
    "entity",
    [
        "&#x202E;", "&#8203;", "&lrm;", "&rlm;", "&ZeroWidthSpace;", "&#xE0041;", "&NoBreak;", "&shy;",
        "&InvisibleTimes;", "&#65279;", "&#x200D;&#x200D;", "&#xFE0F;&#xFE0E;", "&#x3164;", "&#x2028;", "&#133;",
        "&#7;", "&#0;",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "around",
    [
        "a{}b", "**a{}b**", "[a{}b](https://e.example/)", "![a{}b](https://e.example/x.png)",
        "| a{}b |\n|---|\n| c{}d |", "# a{}b", "- a{}b", "[x](https://e.example/{} 'a{}b')",
    ],
)  # fmt: skip
def test_an_entity_smuggles_no_invisible_character_into_a_page(entity: str, around: str) -> None:
    html = str(markdown(around.replace("{}", entity)))
    hidden = [char for char in unescape(html) if char not in "\n\u200d\ufe0f\ufe0e" and not printable(char)]
    assert hidden == []
    assert "\u200d\u200d" not in unescape(html)
    assert "\ufe0f\ufe0e" not in unescape(html)


def test_a_flood_of_blanks_is_one_blank() -> None:
    assert str(markdown("a" + "&nbsp;" * 5000 + "b")).strip() == "<p>a b</p>"
    assert str(markdown("a" + "&emsp;" * 5000 + "b")).strip() == "<p>a b</p>"


def test_scripts_and_emoji_keep_their_joiners_and_selectors() -> None:
    for text in (
        "\u2764\ufe0f\u200d\U0001f525",
        "\u0915\u094d\u200d\u0937",
        "\u845b\U000e0100",
        "\u0646\u0627\u0645\u0647\u200c\u0627\u06cc",
    ):
        assert shown(text) == text
    assert "200D" in shown("a\u200c\u200db")
    assert "FE0F" in shown("\ufe0f")
    assert "E0101" in shown("a\U000e0100\U000e0101")
