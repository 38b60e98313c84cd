"""The data of a preview, and its serialized form in the cache and from the worker: u32 length, JSON, then the pictures.

The reader does not trust the data: file names are checked, and every text is escaped in the page.
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, TypeAlias, get_args

from catalog.errors import InvalidData

CellKind: TypeAlias = Literal["picture", "line", "bars", "text", "number", "word", "facts", "fault", "none"]
"""``line`` and ``bars`` are plots; ``facts`` summarize an array; ``none`` is an absent value."""

_KINDS: Final = frozenset(get_args(CellKind))
_FILE: Final = re.compile(r"preview-[0-9]{1,3}-[a-z0-9_]{1,40}\.(?:png|webp)")
_PATH: Final = re.compile(r"[MLHVhvz0-9. -]*")
_LENGTH: Final = struct.Struct(">I")
_MOST_JSON: Final = 4_000_000
_MISFIT: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A displayed value. ``text`` describes it, also for plots and pictures.

    ``file``, ``width`` and ``height`` (in CSS pixels) are for pictures; ``pixels`` disables smoothing. ``paths`` are
    for plots, one per channel, in a box of ``PLOT_WIDTH`` × ``PLOT_HEIGHT``.
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
    """The distribution of a field: a histogram (``path`` from ``low`` to ``high``), or ``counts`` of values."""

    text: str
    path: str = ""
    low: str = ""
    high: str = ""
    counts: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A field. ``kind`` is that of most of its cells, ``note`` a remark on its pictures."""

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
    """The first samples of a dataset.

    ``counted`` is the number of samples in the distributions, ``more`` the number of omitted fields. ``misfit`` says
    how samples differ from their schema.
    """

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    counted: int = 0
    more: int = 0
    misfit: str = ""
    files: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)

    @property
    def is_gallery(self) -> bool:
        """Return whether samples are displayed as tiles instead of rows of a table: those with pictures or plots.

        A line beside texts is most often an embedding, so such samples are rows.
        """
        kinds = {column.kind for column in self.columns}
        return "picture" in kinds or ("line" in kinds and "text" not in kinds)

    @property
    def looks(self) -> int:
        """Return the number of fields that are pictures or plots."""
        return sum(column.kind in {"picture", "line", "bars"} for column in self.columns)

    @property
    def is_small(self) -> bool:
        """Return whether tiles contain only a tiny picture and a few words, so that many fit side by side."""
        pictures = [cell for row in self.rows for cell in row.cells if cell.kind == "picture"]
        others = [column for column in self.columns if column.kind != "picture"]
        plain = all(column.kind in {"number", "word", "none"} for column in others)
        return plain and len(others) <= 3 and len(self.columns) - len(others) == 1 and all(p.pixels for p in pictures)

    def dump(self) -> bytes:
        """Serialize the preview."""
        plain = asdict(self)
        plain["files"] = [[name, len(data)] for name, data in self.files]
        head = json.dumps(plain, ensure_ascii=True, separators=(",", ":")).encode()
        return b"".join((_LENGTH.pack(len(head)), head, *(data for _, data in self.files)))

    @classmethod
    def load(cls, raw: bytes) -> Preview:
        """Deserialize a preview. Raises :class:`InvalidData` for anything that :meth:`dump` doesn't write."""
        try:
            (length,) = _LENGTH.unpack_from(raw)
            if length > min(_MOST_JSON, len(raw)):
                raise InvalidData("a truncated preview")
            plain = json.loads(raw[_LENGTH.size : _LENGTH.size + length])
            return cls(
                columns=tuple(_column(item) for item in plain["columns"]),
                rows=tuple(_row(item, len(plain["columns"])) for item in plain["rows"]),
                counted=int(plain["counted"]),
                more=int(plain["more"]),
                misfit=str(plain["misfit"])[:_MISFIT],
                files=_files(plain["files"], raw, _LENGTH.size + length),
            )
        except (ValueError, TypeError, KeyError, AttributeError, struct.error, RecursionError) as error:
            raise InvalidData(f"a preview that can't be read: {type(error).__name__}") from error


def _files(listed: list[list[Any]], raw: bytes, start: int) -> tuple[tuple[str, bytes], ...]:
    found: dict[str, bytes] = {}
    for name, size in listed:
        if not _FILE.fullmatch(name) or name in found or size < 0 or start + size > len(raw):
            raise InvalidData("a preview with an invalid file")
        found[name] = raw[start : start + size]
        start += size
    if start != len(raw):
        raise InvalidData("a preview with trailing data")
    return tuple(found.items())


def _kind(value: object) -> CellKind:
    if value not in _KINDS:
        raise InvalidData("a preview with a cell of an unknown kind")
    return value  # type: ignore[return-value] # it is one of them


def _path(value: object) -> str:
    if not isinstance(value, str) or not _PATH.fullmatch(value):
        raise InvalidData("a preview with an invalid path")
    return value


def _file(value: object) -> str:
    if value != "" and not _FILE.fullmatch(str(value)):
        raise InvalidData("a preview with an invalid file")
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
        raise InvalidData("a preview whose rows and columns differ in length")
    return Row(key=str(item["key"]), cells=cells)
