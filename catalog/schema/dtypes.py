"""The dtypes that the arrays of a sample type may name: NumPy's numbers, times with a unit, text and bytes of a length,
and those of the package ``ml_dtypes``.

Left out, because such arrays can't be read everywhere: ``longdouble`` and ``clongdouble`` (their bytes differ between
processors and compilers), Python objects, and ``StringDType`` (both need pickling). Structured arrays have the format
``structuredBytes``; their fields are in the header of each array.
"""

from __future__ import annotations

import re
from typing import Final

DTYPES: Final = (
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
)
"""The numeric dtypes of NumPy; generated code of every language reads them."""

ML_DTYPES: Final = (
    "bfloat16",
    "float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz", "float8_e4m3fn", "float8_e4m3fnuz",
    "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu",
    "float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn",
    "int1", "int2", "int4", "uint1", "uint2", "uint4",
    "complex32", "bcomplex32",
)  # fmt: skip
"""The dtypes of the package ``ml_dtypes``, which is needed only to read and write arrays of them."""

_OTHER: Final = re.compile(
    r"str|bytes|void|[USV][1-9][0-9]{0,8}|"
    r"(?:datetime64|timedelta64)(?:\[[0-9]{0,9}(?:Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\])?"
)
_NOT_PORTABLE: Final = frozenset({"longdouble", "clongdouble", "float96", "float128", "complex192", "complex256"})


def is_dtype(name: str) -> bool:
    """Return whether an array of this dtype can be written, and read on every machine."""
    return name in DTYPES or name in ML_DTYPES or _OTHER.fullmatch(name) is not None


def refusal(name: str) -> str | None:
    """Return why an existing dtype can't be stored, with what to use instead; ``None`` for all others."""
    if name in _NOT_PORTABLE:
        instead = "complex128" if name.startswith(("c", "complex")) else "float64"
        return f"its bytes differ between machines; use {instead}"
    return None
