"""Counts and sizes as text."""

from __future__ import annotations

import pytest

from catalog.formatting import byte_size, counted


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (5_678_901, "5.68 MB"), (2 * 10**12, "2 TB")]
)
def test_sizes_are_in_decimal_units(number: int, text: str) -> None:
    assert byte_size(number) == text


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (1, "lens", "1 lens"),
        (3, "lens", "3 lenses"),
        (1797, "sample", "1,797 samples"),
        (2, "repository", "2 repositories"),
    ],
)
def test_nouns_are_counted_in_the_plural(number: int, noun: str, text: str) -> None:
    assert counted(number, noun) == text
