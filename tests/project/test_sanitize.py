"""Foreign text on one line, and any exception as one of ours."""

from __future__ import annotations

import pytest

from catalog.errors import CatalogError, InternalError, InvalidData, contained
from catalog.sanitize import one_line, printable


@pytest.mark.parametrize(
    "hostile",
    [
        "\x1b[2J", "\x1b]8;;https://evil.example\x07", "\r\n", "\x00", "\x7f", "\x9b31m", "\u202e", "\u2066", "\u200b",
        "\u2028", "\ufeff", "\u3164", "\u115f", "\u2800", "\U000e0041", "\ufe0f", "\ud800", "\u00ad", "\ue000",
    ],
)  # fmt: skip
def test_what_is_not_visible_is_replaced(hostile: str) -> None:
    line = one_line(f"a{hostile}b")
    assert (line[0], line[-1]) == ("a", "b")
    assert all(printable(char) for char in line)
    assert "�" in line


@pytest.mark.parametrize("text", ["", "a b", "Zürich", "東京", "नमस्ते", "العربية", "🦊"])
def test_visible_text_stays(text: str) -> None:
    assert one_line(text) == text


def test_a_long_text_is_cut() -> None:
    assert one_line("x" * 20, 10) == "x" * 9 + "…"
    assert one_line("x" * 10, 10) == "x" * 10


@pytest.mark.parametrize("error", [ValueError("odd"), MemoryError(), RecursionError("deep"), OSError(28, "no space")])
def test_a_foreign_exception_becomes_ours(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        raise error
    found = contained(caught.value, where="at://did:plc:x/c/r")
    assert isinstance(found, InternalError)
    assert type(error).__name__ in found.what
    assert found.where == "at://did:plc:x/c/r"
    assert found.origin


def test_our_own_error_stays() -> None:
    error = InvalidData("a float")
    assert contained(error, where="elsewhere") is error
    assert isinstance(error, CatalogError)
