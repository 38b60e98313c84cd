"""Brace expansion of shard names: what bash makes of a pattern, within a limit that is checked beforehand."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import RefusedUrl
from catalog.shards.braces import MAX_NAMES, count_ranges, expand, expand_ranges

_TEXTS = st.text("a,0.1-\\", max_size=3) | st.sampled_from(["0..3", "01..3", "-1..2", "a..d", "d..A..7", "9..11..0"])
_PATTERNS = st.recursive(
    _TEXTS,
    lambda part: (
        st.lists(part, max_size=4).map(lambda parts: "{" + ",".join(parts) + "}")
        | st.lists(part, max_size=3).map("".join)
    ),
    max_leaves=8,
) | st.text("{},.01a\0-", max_size=14)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a.tar", ["a.tar"]),
        ("a-{000..002}.tar", ["a-000.tar", "a-001.tar", "a-002.tar"]),
        ("a-{9..11}", ["a-9", "a-10", "a-11"]),
        ("a-{0..10}", [f"a-{number}" for number in range(11)]),
        ("{08..10}", ["08", "09", "10"]),
        ("{0..6..3}", ["0", "3", "6"]),
        ("{2..0}", ["2", "1", "0"]),
        ("{a,b}-{1..2}", ["a-1", "a-2", "b-1", "b-2"]),
        ("{train-{0..1},test}.tar", ["train-0.tar", "train-1.tar", "test.tar"]),
        (r"C:\data\{a,b}", [r"C:\data\a", r"C:\data\b"]),
        ("{x}", ["{x}"]),
        ("{", ["{"]),
        ("{a,b", ["{a,b"]),
        ("", [""]),
    ],
)
def test_a_pattern_expands_to_its_names(pattern: str, names: list[str]) -> None:
    assert list(expand(pattern)) == names


@pytest.mark.parametrize("pattern", ["a-{0..10}", "{a,b{1..3}}", "{09..11}-{x,y}", "{a..e..2}", "{5..1..2}", "x{y}z"])
def test_bash_expands_the_same(pattern: str) -> None:
    printed = subprocess.run(["bash", "-c", f"printf '%s\\n' {pattern}"], capture_output=True, text=True, check=True)
    assert list(expand(pattern)) == printed.stdout.splitlines()


@pytest.mark.parametrize(
    "pattern",
    [
        "{0..999999999999}", "{0..999}" * 3, "{0,1}" * 60, "{{0..999}{0..999}{0..999},x}", "{" * 5000 + "}" * 5000,
        "{" + "9" * 5000 + ".." + "9" * 5000 + "}",
    ],
)  # fmt: skip
def test_a_pattern_bomb_is_refused(pattern: str) -> None:
    with pytest.raises(RefusedUrl, match="more than 100000"):
        expand(pattern)


@settings(max_examples=500, deadline=None)
@given(pattern=_PATTERNS)
def test_any_text_expands_within_the_limit_or_is_refused(pattern: str) -> None:
    try:
        names = expand(pattern)
    except RefusedUrl:
        assert pattern.count("{") > 1
        return
    assert 1 <= len(names) <= MAX_NAMES


def test_the_limit_counts_every_kind_of_group() -> None:
    assert len(expand("{a,b}{0..49999}")) == MAX_NAMES
    for pattern in ("{a,b}{0..50000}", "{{0..49999},{0..49999},x}", "{a..z}" * 4, "{0..200001..2}"):
        with pytest.raises(RefusedUrl):
            expand(pattern)


@given(pattern=st.text("{}.,019a\\*", max_size=16))
def test_a_manifest_expands_ranges_only(pattern: str) -> None:
    """Braces that aren't a range stay; a range that descends has no names."""
    if count_ranges(pattern) in range(1, 1000):
        assert len(expand_ranges(pattern)) == count_ranges(pattern)
    if ".." not in pattern:
        assert expand_ranges(pattern) == [pattern]
