"""Foreign text made safe for one line of a terminal, a log or a report.

A record, a server or a file can put anything into a text: line breaks that forge a log line, escape sequences that
drive a terminal, bidirectional controls that reverse what is read, and characters that are not visible at all. Python's
:meth:`str.isprintable` refuses the categories Cc, Cf, Cs, Co, Cn, Zl, Zp and Zs (except the space). The characters
below are letters or marks by category, and draw nothing (Unicode, *Default_Ignorable_Code_Point*).
"""

from __future__ import annotations

from typing import Final

__all__ = ["one_line", "printable"]

_INVISIBLE: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    + "".join(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)
_REPLACEMENT: Final = "�"


def printable(char: str) -> bool:
    """Return whether a character is visible, and can neither break a line nor control a terminal."""
    return char.isprintable() and char not in _INVISIBLE


def one_line(text: str, most: int = 500) -> str:
    """Return the text as one line of at most ``most`` characters; every unprintable character becomes U+FFFD.

    A longer text is cut and ends with an ellipsis.
    """
    cut = text[:most]
    if not (cut.isascii() and cut.isprintable()):
        cut = "".join(char if printable(char) else _REPLACEMENT for char in cut)
    return cut if len(text) <= most else cut[:-1] + "…"
