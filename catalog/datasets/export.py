"""Samples as columns, tables and rows."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, TypeVar

from catalog.errors import InvalidSample, MissingExtra
from catalog.samples.annotations import plan_of
from catalog.samples.packable import DictSample

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

__all__ = ["columns_of", "frame_of", "without_key"]

T = TypeVar("T")


def columns_of(samples: Iterable[Any]) -> dict[str, list[Any]]:
    """Return field → values of all samples; a field that a dict lacks is None. Raises :class:`InvalidSample`."""
    columns: dict[str, list[Any]] = {}
    for count, sample in enumerate(samples):
        row = _row(sample)
        for name in row:
            columns.setdefault(name, [None] * count)
        for name, values in columns.items():
            values.append(row.get(name))
    return columns


def _row(sample: Any) -> Mapping[str, Any]:  # noqa: ANN401 - samples and what a step makes of them
    if isinstance(sample, dict):
        return sample
    if not hasattr(type(sample), "__packable__"):
        hint = "return dicts or samples from the function of map"
        raise InvalidSample(f"a {type(sample).__name__} has no fields to make columns of", hint=hint)
    return {entry.attribute: getattr(sample, entry.attribute) for entry in plan_of(type(sample)).entries}


def frame_of(columns: Mapping[str, list[Any]]) -> pd.DataFrame:
    """Return columns as a table of pandas. Raises :class:`~catalog.errors.MissingExtra` without it."""
    try:
        import pandas as pd
    except ImportError:
        raise MissingExtra("pandas is not installed", hint="pip install pandas") from None
    return pd.DataFrame({name: pd.Series(values) for name, values in columns.items()})


def without_key(sample: T) -> T:
    """Return a copy of a sample that has no key, if it has one."""
    if not getattr(sample, "__key__", ""):
        return sample
    if isinstance(sample, dict):
        return DictSample(sample)  # type: ignore[return-value] # read samples without a class are DictSamples
    plain = copy(sample)
    object.__setattr__(plain, "__key__", "")
    return plain
