"""Foreign text made safe for one line of a terminal, a log or a report, and for a cell of a notebook.

Line breaks forge log lines, escape sequences drive a terminal, bidirectional controls reverse what is read, and some
characters are invisible. :meth:`str.isprintable` refuses the categories Cc, Cf, Cs, Co, Cn, Zl, Zp and Zs (except the
space); the characters below are letters or marks, and draw nothing (Unicode, *Default_Ignorable_Code_Point*).
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from logging import LogRecord

_INVISIBLE: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    + "".join(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)
_REPLACEMENT: Final = "�"
_NAMED: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


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


def escaped(text: str, *, lines: bool = False) -> str:
    """Return the text with every unprintable character as an escape sequence, as Python and JSON spell it.

    A line break is one of them, unless ``lines``: then line feeds and tabs stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if printable(char) or (lines and char in "\n\t") else _sequence(char) for char in text)


def _sequence(char: str) -> str:
    named = _NAMED.get(char)
    if named is not None:
        return named
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def escaped_json(text: str) -> str:
    """Return JSON that :func:`json.dumps` wrote in ASCII, without the one control character that it leaves: DEL."""
    return text.replace("\x7f", "\\u007f")


def escaped_record(record: LogRecord) -> bool:
    """Make a log message one line without unprintable characters: a filter for :mod:`logging`, which lets all pass."""
    record.msg, record.args = escaped(record.getMessage()), None
    return True


_MAX_ROWS: Final = 50
_MAX_CELL: Final = 300
_CELL: Final = ' style="text-align: left; vertical-align: top" dir="auto"'
"""Notebooks align cells to the right. Colours are those of the notebook, light or dark."""


class Html(str):
    """A cell that is HTML already."""

    __slots__ = ()


def html_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], *, note: str = "") -> str:
    """Return a table for the ``_repr_html_`` of a notebook: all text escaped, rows and cells bounded, no script.

    Columns without any text are left out.
    """
    used = [place for place in range(len(head)) if any(row[place] for row in rows)]
    head, rows = [head[place] for place in used], [[row[place] for place in used] for row in rows]
    shown = [f"<tr>{''.join(f'<td{_CELL}>{_cell(cell)}</td>' for cell in row)}</tr>" for row in rows[:_MAX_ROWS]]
    if len(rows) > _MAX_ROWS:
        more = f"… and {len(rows) - _MAX_ROWS:,} more"
        shown.append(f'<tr><td{_CELL} colspan="{len(head)}">{more}</td></tr>')
    heading = "".join(f"<th{_CELL}>{_cell(name)}</th>" for name in head)
    table = f"<table><thead><tr>{heading}</tr></thead><tbody>{''.join(shown)}</tbody></table>" if rows else ""
    notes = f"<div>{_cell(note)}</div>" if note else ""
    return f"<div><div><strong>{_cell(title)}</strong></div>{notes}{table}</div>"


def _cell(text: str) -> str:
    return text if isinstance(text, Html) else html.escape(one_line(" ".join(text[: 4 * _MAX_CELL].split()), _MAX_CELL))
