"""Format values of samples: numbers, texts, summaries of arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHORT: Final = 40
"""Maximum characters of a categorical value."""


def cut(text: str, most: int) -> str:
    """Return at most ``most`` characters of a text."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def is_word(text: str) -> bool:
    """Return whether a text is categorical: short and on one line."""
    return len(text) <= SHORT and "\n" not in text


def number(value: float) -> str:
    """Format a number with four significant digits; integers are exact."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer() and abs(value) < 1e15):
        whole = int(value)
        return f"{whole:,}".replace("-", "−") if abs(whole) >= 10_000 else str(whole).replace("-", "−")
    return f"{value:.4g}".replace("-", "−")


def shape(array: NDArray[Any]) -> str:
    """Format the shape of an array."""
    return " × ".join(f"{side:,}" for side in array.shape) if array.ndim else "a single value"


def facts(array: NDArray[Any]) -> str:
    """Summarize an array: ``float32, 3 × 40; 0.1 … 9.4, mean 3.2``."""
    dtype = array.dtype.name if array.dtype.names is None else "records of " + ", ".join(array.dtype.names)[:100]
    text = f"{dtype}, {shape(array)}"
    if array.size == 0:
        return f"{text}; empty"
    if array.dtype.kind == "c" or array.dtype.kind not in "buif":
        return f"{text}; {str(array.item())[:60]}" if array.size == 1 and array.dtype.names is None else text
    if array.dtype.kind == "b":
        return f"{text}; {int(array.sum()):,} true"
    with np.errstate(all="ignore"):
        known = array[np.isfinite(array)] if array.dtype.kind == "f" else array
        if known.size == 0:
            return f"{text}; no finite number"
        low, high, mean = known.min().item(), known.max().item(), float(known.mean(dtype=np.float64))
    strange = f", {array.size - known.size:,} not finite" if known.size < array.size else ""
    if array.size == 1:
        return f"{text}; {number(low)}"
    return f"{text}; {number(low)} … {number(high)}, mean {number(mean)}{strange}"
