"""Metrics for Prometheus: requests, their durations, and bytes sent.

Each process counts in its own file; a scrape adds up the files, so it shows the whole service, and no count is lost
when a process ends. The labels are fixed: nothing that a client sends becomes one.
"""

from __future__ import annotations

import mmap
import os
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from struct import iter_unpack
from typing import Final

from catalog.appview.xrpc import METHODS

OTHER: Final = "other"
"""The method of requests that are no query; and the status of answers that we don't give."""
_METHODS: Final = (*METHODS, OTHER)
_STATUSES: Final = ("200", "304", "400", "404", "405", "414", "429", "500", "501", "503", OTHER)
_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Seconds; the last bucket is open."""
_BUCKETS: Final = len(_BOUNDS) + 1
_WIDTH: Final = len(_STATUSES) + _BUCKETS + 2
"""Numbers for each method: by status, by bucket, seconds in all, bytes in all."""


class Metrics:
    """The counts of a service's processes. ``folder`` is shared by them, and theirs alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        file = folder / f"{os.getpid()}.counts"
        size = _WIDTH * len(_METHODS) * 8
        with file.open("a+b") as opened:
            opened.truncate(size)
            self._map = mmap.mmap(opened.fileno(), size)
        self._numbers = memoryview(self._map).cast("d")

    def close(self) -> None:
        """Stop counting; the counts stay in the file."""
        self._numbers.release()
        self._map.close()

    def count(self, method: str, status: int, seconds: float, sent: int) -> None:
        """Count a request. A method or status that isn't known counts as other."""
        start = _METHODS.index(method if method in METHODS else OTHER) * _WIDTH
        text = str(status)
        self._numbers[start + _STATUSES.index(text if text in _STATUSES else OTHER)] += 1
        self._numbers[start + len(_STATUSES) + bisect_left(_BOUNDS, seconds)] += 1
        self._numbers[start + _WIDTH - 2] += seconds
        self._numbers[start + _WIDTH - 1] += sent

    def text(self, gauges: Mapping[str, tuple[str, float | None]]) -> str:
        """Return all metrics in Prometheus's text format; ``gauges`` without a value are left out."""
        return "\n".join([*_counted(self._sums()), *_gauged(gauges), ""])

    def _sums(self) -> list[float]:
        sums = [0.0] * (_WIDTH * len(_METHODS))
        for file in sorted(self._folder.glob("*.counts")):
            raw = file.read_bytes()
            if len(raw) == len(sums) * 8:
                sums = [had + number for had, (number,) in zip(sums, iter_unpack("d", raw), strict=True)]
        return sums


def _counted(sums: Sequence[float]) -> Iterator[str]:
    rows = {name: sums[at * _WIDTH : (at + 1) * _WIDTH] for at, name in enumerate(_METHODS)}
    yield from _head("catalog_requests_total", "counter", "Requests, by query and status.")
    for name, row in rows.items():
        for status, number in zip(_STATUSES, row, strict=False):
            if number:
                yield f'catalog_requests_total{{method="{name}",status="{status}"}} {number:.0f}'
    yield from _head("catalog_request_seconds", "histogram", "How long requests took, until the answer was out.")
    for name, row in rows.items():
        buckets = row[len(_STATUSES) : len(_STATUSES) + _BUCKETS]
        done = 0.0
        for bound, number in zip((*_BOUNDS, None), buckets, strict=True):
            done += number
            most = "+Inf" if bound is None else f"{bound:g}"
            yield f'catalog_request_seconds_bucket{{method="{name}",le="{most}"}} {done:.0f}'
        yield f'catalog_request_seconds_sum{{method="{name}"}} {row[-2]:.6f}'
        yield f'catalog_request_seconds_count{{method="{name}"}} {done:.0f}'
    yield from _head("catalog_response_bytes_total", "counter", "Bytes of answers, without their heads.")
    for name, row in rows.items():
        yield f'catalog_response_bytes_total{{method="{name}"}} {row[-1]:.0f}'


def _gauged(gauges: Mapping[str, tuple[str, float | None]]) -> Iterator[str]:
    for name, (meaning, value) in gauges.items():
        if value is not None:
            yield from _head(name.partition("{")[0], "gauge", meaning)
            yield f"{name} {value:.15g}"


def _head(name: str, kind: str, meaning: str) -> Iterator[str]:
    yield f"# HELP {name} {meaning}"
    yield f"# TYPE {name} {kind}"
