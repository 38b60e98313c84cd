"""Skipping of damaged samples and shards: which errors, how many, and their report."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from catalog.errors import CatalogError, SkippedWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


__all__ = ["SkipRule", "Skips"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipRule:
    """The limit of damaged samples and shards that are skipped (``None``: any), and the function that reports them."""

    limit: int | None
    report: Callable[[CatalogError], object] | None


class Skips:
    """The samples and shards that one iteration has skipped."""

    def __init__(self, rule: SkipRule, *, silent: bool) -> None:
        self._rule, self._silent = rule, silent
        self._count = 0

    def skip(self, error: CatalogError) -> None:
        """Count and report an error. Raises it if there were as many as the limit before."""
        if self._rule.limit is not None and self._count >= self._rule.limit:
            error.hint = f"{self._count} skipped before, which is the limit" + (f"; {error.hint}" if error.hint else "")
            raise error
        self._count += 1
        if self._silent:
            return
        if self._rule.report is not None:
            self._rule.report(error)
        else:
            warnings.warn(SkippedWarning(f"skipped: {error}"), stacklevel=2)

    def readable(self, placed: Iterator[Any]) -> Iterator[Any]:
        """Yield the samples as they are stored, without the rest of a shard that can't be read on."""
        while True:
            try:
                one = next(placed, None)
            except CatalogError as error:
                self.skip(error)
                continue
            if one is None:
                return
            yield one
