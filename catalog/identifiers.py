"""Any text as a Python name: for attributes and classes made from somebody else's schema.

The names are plain ASCII (no look-alikes, no bidi tricks), never a keyword, never a name that generated code needs
for itself, and never start with an underscore (which Python would mangle). The mapping loses nothing, because
whoever uses it keeps the wire name beside the Python name.
"""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["attribute_names", "class_name"]

MAX_LENGTH: Final = 60

_USED: Final = frozenset({
    # annotations of generated code: a field of that name with a default would hide them from later fields
    "str", "int", "float", "bool", "bytes", "list", "np", "wire",
    # what every sample has
    "as_wds", "packed", "from_bytes",
    # what generated scripts import or define
    "msgpack", "io", "wds", "dataset", "sample",
})  # fmt: skip

_USED_CLASSES: Final = frozenset({
    "PackableSample", "Dataset", "DictSample", "Array", "Annotated", "Any", "NDArray", "Ellipsis", "NotImplemented",
})  # fmt: skip


def attribute_names(wire_names: Iterable[str]) -> dict[str, str]:
    """Wire name → attribute name, all different, in the given order; the same names give the same answer.

    A name that is a good identifier stays as it is, whatever comes before it in the list.
    """
    wires = list(dict.fromkeys(wire_names))
    names = {wire: wire for wire in wires if _identifier(wire, fallback="field") == wire}
    taken = set(names)
    counts: dict[str, int] = {}
    for wire in wires:
        if wire not in names:
            base = _identifier(wire, fallback="field")
            name = base
            while name in taken:
                counts[base] = counts.get(base, 1) + 1
                name = f"{base}_{counts[base]}"
            names[wire] = name
            taken.add(name)
    return {wire: names[wire] for wire in wires}


def class_name(text: str) -> str:
    """A class name: ``digit sample`` → ``DigitSample``; a good name stays as it is."""
    words = re.split(r"[^A-Za-z0-9]+", _ascii(text))
    joined = text if _is_plain(text) else "".join(word[:1].upper() + word[1:] for word in words if word)
    name = _identifier(joined, fallback="Sample", prefix="Sample")
    return f"{name}Type" if hasattr(builtins, name) else name


def _identifier(text: str, *, fallback: str, prefix: str = "field_") -> str:
    name = text if _is_plain(text) else re.sub(r"[^A-Za-z0-9]+", "_", _ascii(text)).strip("_")
    name = name[:MAX_LENGTH].rstrip("_") if len(name) > MAX_LENGTH else name
    if not name:
        return fallback
    if name[0].isdigit():
        name = prefix + name
    return f"{name}_" if keyword.iskeyword(name) or name in _USED or name in _USED_CLASSES else name


def _is_plain(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", text) is not None


def _ascii(text: str) -> str:
    """Without accents (``café`` → ``cafe``); letters of other alphabets stay, and become underscores later."""
    decomposed = unicodedata.normalize("NFKD", text[:1000])
    return "".join(char for char in decomposed if not unicodedata.combining(char))
