"""What a page shows of a dataset's first samples, and its form in the cache and on the way from the painter.

::

    Preview ─┬─ columns   one a field: its name, and what its values are like over the samples that were counted
             ├─ rows      one a sample: its key, and a cell for each column
             └─ files     the pictures, by name

As bytes: u32 length, JSON, then the pictures one after the other. Whoever reads that trusts nothing of it: names of
files are checked, and every word is escaped when it comes to a page.
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, TypeAlias, get_args

from catalog.errors import InvalidData

__all__ = ["Cell", "CellKind", "Column", "Preview", "Row", "Spread"]

CellKind: TypeAlias = Literal["picture", "line", "bars", "text", "number", "word", "facts", "fault", "none"]
"""``line`` and ``bars`` are plots; ``facts`` say what an array is like; ``none`` is a value that isn't there."""

_KINDS: Final = frozenset(get_args(CellKind))
_FILE: Final = re.compile(r"preview-[0-9]{1,3}-[a-z0-9_]{1,40}\.(?:png|webp)")
_PATH: Final = re.compile(r"[MLHVhvz0-9. -]*")
_LENGTH: Final = struct.Struct(">I")
_MOST_JSON: Final = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One value as it is shown. ``text`` says it in words, for plots and pictures too.

    ``file``, ``width`` and ``height`` (as shown, in CSS pixels) are a picture's; ``pixels`` are meant to be seen one
    by one. ``paths`` are a plot's, one a channel, in a box of ``PLOT_WIDTH`` × ``PLOT_HEIGHT``.
    """

    kind: CellKind
    text: str = ""
    file: str = ""
    width: int = 0
    height: int = 0
    pixels: bool = False
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """What the values of a field are like: a histogram (``path`` from ``low`` to ``high``), or ``counts`` of words."""

    text: str
    path: str = ""
    low: str = ""
    high: str = ""
    counts: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A field. ``kind`` is that of most of its cells, ``note`` what a reader of its pictures should know."""

    name: str
    kind: CellKind
    note: str = ""
    spread: Spread | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A sample."""

    key: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The first samples of a dataset. ``counted`` samples are behind the spreads, ``more`` fields were left out."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    counted: int = 0
    more: int = 0
    files: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)

    @property
    def is_gallery(self) -> bool:
        """Whether there is something to look at, so that samples stand as tiles and not as rows of a table.

        A line beside texts is most often an embedding: less to look at than they are to read.
        """
        kinds = {column.kind for column in self.columns}
        return "picture" in kinds or ("line" in kinds and "text" not in kinds)

    @property
    def looks(self) -> int:
        """How many of the fields are pictures or plots."""
        return sum(column.kind in {"picture", "line", "bars"} for column in self.columns)

    @property
    def is_small(self) -> bool:
        """Whether its tiles have no more than a tiny picture and a few words: then many stand side by side."""
        pictures = [cell for row in self.rows for cell in row.cells if cell.kind == "picture"]
        others = [column for column in self.columns if column.kind != "picture"]
        plain = all(column.kind in {"number", "word", "none"} for column in others)
        return plain and len(others) <= 3 and len(self.columns) - len(others) == 1 and all(p.pixels for p in pictures)

    def dump(self) -> bytes:
        """As bytes."""
        plain = asdict(self)
        plain["files"] = [[name, len(data)] for name, data in self.files]
        head = json.dumps(plain, ensure_ascii=True, separators=(",", ":")).encode()
        return b"".join((_LENGTH.pack(len(head)), head, *(data for _, data in self.files)))

    @classmethod
    def load(cls, raw: bytes) -> Preview:
        """From bytes. Raises :class:`InvalidData` for anything that :meth:`dump` doesn't write."""
        try:
            (length,) = _LENGTH.unpack_from(raw)
            if length > min(_MOST_JSON, len(raw)):
                raise InvalidData("a preview that is cut")
            plain = json.loads(raw[_LENGTH.size : _LENGTH.size + length])
            return cls(
                columns=tuple(_column(item) for item in plain["columns"]),
                rows=tuple(_row(item, len(plain["columns"])) for item in plain["rows"]),
                counted=int(plain["counted"]),
                more=int(plain["more"]),
                files=_files(plain["files"], raw, _LENGTH.size + length),
            )
        except (ValueError, TypeError, KeyError, AttributeError, struct.error, RecursionError) as error:
            raise InvalidData(f"a preview that can't be read: {type(error).__name__}") from error


def _files(listed: list[list[Any]], raw: bytes, start: int) -> tuple[tuple[str, bytes], ...]:
    found: dict[str, bytes] = {}
    for name, size in listed:
        if not _FILE.fullmatch(name) or name in found or size < 0 or start + size > len(raw):
            raise InvalidData("a preview with a file that is none of ours")
        found[name] = raw[start : start + size]
        start += size
    if start != len(raw):
        raise InvalidData("a preview with something behind it")
    return tuple(found.items())


def _kind(value: object) -> CellKind:
    if value not in _KINDS:
        raise InvalidData("a preview with a cell of an unknown kind")
    return value  # type: ignore[return-value] # it is one of them


def _path(value: object) -> str:
    if not isinstance(value, str) or not _PATH.fullmatch(value):
        raise InvalidData("a preview with a path that is none")
    return value


def _file(value: object) -> str:
    if value != "" and not _FILE.fullmatch(str(value)):
        raise InvalidData("a preview with a file that is none of ours")
    return str(value)


def _column(item: dict[str, Any]) -> Column:
    spread = item["spread"]
    return Column(
        name=str(item["name"]),
        kind=_kind(item["kind"]),
        note=str(item["note"]),
        spread=None if spread is None else _spread(spread),
    )


def _spread(item: dict[str, Any]) -> Spread:
    return Spread(
        text=str(item["text"]),
        path=_path(item["path"]),
        low=str(item["low"]),
        high=str(item["high"]),
        counts=tuple((str(word), int(number)) for word, number in item["counts"]),
    )


def _row(item: dict[str, Any], width: int) -> Row:
    cells = tuple(
        Cell(
            kind=_kind(cell["kind"]),
            text=str(cell["text"]),
            file=_file(cell["file"]),
            width=int(cell["width"]),
            height=int(cell["height"]),
            pixels=bool(cell["pixels"]),
            paths=tuple(_path(path) for path in cell["paths"]),
        )
        for cell in item["cells"]
    )
    if len(cells) != width:
        raise InvalidData("a preview whose rows are not as wide as it is")
    return Row(key=str(item["key"]), cells=cells)
