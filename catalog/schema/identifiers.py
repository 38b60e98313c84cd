"""Python identifiers from arbitrary text: names of attributes and classes for a schema's fields and types.

The names are plain ASCII (no look-alikes, no bidi characters), never a keyword, never a name that generated code uses
itself, and never start with an underscore (which Python would mangle). Callers keep the wire name beside the
identifier, so the mapping may lose characters.
"""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from catalog.schema.types import Scalar

if TYPE_CHECKING:
    from catalog.schema.types import Field

MAX_LENGTH: Final = 60

_USED: Final = frozenset({
    # annotations of generated code: a field of that name with a default would hide them from later fields
    "str", "int", "float", "bool", "bytes", "list", "dict", "np", "wire",
    # attributes of every sample
    "as_wds", "packed", "from_bytes", "publish_to_atproto",
    # names that generated scripts import or define
    "msgpack", "io", "wds", "dataset", "sample",
})  # fmt: skip

_USED_CLASSES: Final = frozenset({
    "PackableSample", "Dataset", "DictSample", "Array", "Annotated", "Any", "NDArray", "Ellipsis", "NotImplemented",
})  # fmt: skip

_BESIDE_CLASSES: Final = frozenset({"SampleBatch", "DataLoader", "Media", "batch", "columns", "loader"})
"""Names that snippets import or define beside a class. Fields may have them."""


def attribute_names(wire_names: Iterable[str], *, reserved: frozenset[str] = frozenset()) -> dict[str, str]:
    """Map wire names to distinct attribute names, in the given order and deterministically.

    A wire name that is a valid identifier is kept, regardless of its position. ``reserved`` names are never used.
    """
    return distinct(wire_names, lambda wire: _identifier(wire, fallback="field", reserved=reserved))


def field_attributes(fields: Iterable[Field], *, reserved: frozenset[str] = frozenset()) -> dict[str, str]:
    """Wire name → attribute name of the class for these fields.

    A name that the annotations of the class use is reserved only if they do: ``datetime`` and ``Media``.
    """
    fields = tuple(fields)
    scalars = [type_ for field in fields for type_ in field.types() if isinstance(type_, Scalar)]
    used = {"datetime"} if any(scalar.kind == "datetime" for scalar in scalars) else set()
    used |= {"Media"} if any(scalar.media is not None for scalar in scalars) else set()
    return attribute_names((field.name for field in fields), reserved=reserved | used)


def distinct(texts: Iterable[str], spelled: Callable[[str], str]) -> dict[str, str]:
    """Map texts to distinct spellings; a collision gets a number appended.

    A text that is its own spelling takes precedence; the others follow in their order.
    """
    wanted = {text: spelled(text) for text in texts}
    names = {text: name for text, name in wanted.items() if text == name}
    taken = set(names)
    counts: dict[str, int] = {}
    for text, base in wanted.items():
        if text not in names:
            name = base
            while name in taken:
                counts[base] = counts.get(base, 1) + 1
                name = f"{base}_{counts[base]}"
            names[text] = name
            taken.add(name)
    return {text: names[text] for text in wanted}


def class_name(text: str) -> str:
    """A class name: ``digit sample`` → ``DigitSample``; a valid name is kept."""
    words = re.split(r"[^A-Za-z0-9]+", _ascii(text))
    joined = text if _is_plain(text) else "".join(word[:1].upper() + word[1:] for word in words if word)
    name = _identifier(joined, fallback="Sample", prefix="Sample")
    return f"{name}Type" if hasattr(builtins, name) or name in _BESIDE_CLASSES else name


def pascal_case(text: str) -> str:
    """``my digit`` and ``my_digit`` → ``MyDigit``: a class name without underscores."""
    return "".join(word[:1].upper() + word[1:] for word in class_name(text).split("_"))


def snake_case(text: str) -> str:
    """``DigitSample`` and ``digit sample`` → ``digit_sample``. May be empty or start with a digit."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", _ascii(text))
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", plain)
    return apart.lower().strip("_")[:MAX_LENGTH].rstrip("_")


def _identifier(text: str, *, fallback: str, prefix: str = "field_", reserved: frozenset[str] = frozenset()) -> str:
    name = text if _is_plain(text) else re.sub(r"[^A-Za-z0-9]+", "_", _ascii(text)).strip("_")
    name = name[:MAX_LENGTH].rstrip("_") if len(name) > MAX_LENGTH else name
    if not name:
        return fallback
    if name[0].isdigit():
        name = prefix + name
    used = keyword.iskeyword(name) or name in _USED or name in _USED_CLASSES or name in reserved
    return f"{name}_" if used else name


def _is_plain(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", text) is not None


def _ascii(text: str) -> str:
    """Text without accents (``café`` → ``cafe``); letters of other alphabets stay, and become underscores later."""
    decomposed = unicodedata.normalize("NFKD", text[:1000])
    return "".join(char for char in decomposed if not unicodedata.combining(char))
