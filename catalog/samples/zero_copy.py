"""Long byte strings of a msgpack map as views instead of copies.

Only the part before the first list, map or extension is parsed here; msgpack parses the rest, with empty strings in
place of the long ones. Nothing here raises: msgpack decides whether the bytes are well-formed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from catalog.samples.arrays import Buffer

LARGE: Final = 1 << 16
"""Bytes from which a view is faster: copying so many takes 2 µs, as long as finding them."""

_MAX_FIELDS: Final = 64

# First byte → bytes of the value after it; for the others its length follows, in so many bytes.
_FIXED: Final = {
    **dict.fromkeys((*range(0x80), *range(0xE0, 0x100), 0xC0, 0xC2, 0xC3), 0),
    **{0xA0 + length: length for length in range(32)},
    0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8,
}  # fmt: skip
_COUNTED: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_TEXT: Final = frozenset((*range(0xA0, 0xC0), 0xD9, 0xDA, 0xDB))
_BIN_32: Final = 0xC6


def without_large(raw: Buffer) -> tuple[bytes, dict[str, memoryview], int] | None:
    """Return a msgpack map with its large byte strings emptied, these by name, and the number of entries of the map.

    ``None`` if there are none. A duplicate name has only one of its values here; the number of entries shows it.
    """
    view = memoryview(raw)
    count, at = _entries(view)
    if not count or not view.c_contiguous or view.format != "B" or view.ndim != 1:
        return None
    large: dict[str, memoryview] = {}
    pieces: list[bytes | memoryview] = []
    done = 0
    for _ in range(count):
        is_text = at < len(view) and view[at] in _TEXT
        name, value_at = _value(view, at) if is_text else (None, at)
        after = -1 if name is None else _value(view, value_at)[1]
        if name is None or not value_at < after <= len(view):
            break
        if after - value_at > LARGE and view[value_at] == _BIN_32:
            large[str(name, "utf-8", "replace")] = view[value_at + 5 : after]
            pieces += (view[done:value_at], b"\xc4\0")
            done = after
        at = after
    return (b"".join((*pieces, view[done:])), large, count) if large else None


def _entries(view: memoryview) -> tuple[int, int]:
    """Return the number of entries of a map and the offset of the first; 0 for other values and for large maps."""
    if len(view) > 3 and view[0] & 0xF0 == 0x80:
        return view[0] & 0x0F, 1
    if len(view) > 3 and view[0] == 0xDE and view[1] == 0 and view[2] <= _MAX_FIELDS:
        return view[2], 3
    return 0, 0


def _value(view: memoryview, at: int) -> tuple[memoryview | None, int]:
    """Return the bytes of the value at an offset, and the offset of the next one; ``None`` for a container."""
    if at >= len(view):
        return None, at
    first = view[at]
    start, size = at + 1, _FIXED.get(first)
    if size is None:
        width = _COUNTED.get(first)
        if width is None:
            return None, at
        start += width
        size = int.from_bytes(view[at + 1 : start], "big")
    return view[start : start + size], start + size
