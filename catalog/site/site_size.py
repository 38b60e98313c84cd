"""The size of a built site, and the limits of GitHub Pages."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from catalog.formatting import byte_size, count

if TYPE_CHECKING:
    from pathlib import Path

HOST_LIMIT: Final = 1_000_000_000
"""Maximum bytes of a site on GitHub Pages (https://docs.github.com/pages/getting-started-with-github-pages/github-pages-limits)."""
_NEAR: Final = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Bytes and number of files of a site."""

    bytes: int
    files: int

    def __str__(self) -> str:
        return f"{byte_size(self.bytes)} in {count(self.files)} files"

    def warning(self, datasets: int) -> str | None:
        """Return a warning if the site is near the limit, else None."""
        if self.bytes < _NEAR * HOST_LIMIT:
            return None
        each = self.bytes / max(1, datasets)
        return (
            f"the site has {self}; GitHub Pages takes {byte_size(HOST_LIMIT)}, about {count(int(HOST_LIMIT / each))} "
            f"datasets of this kind ({byte_size(int(each))} each). Other hosts take more"
        )


def site_size(site_dir: Path) -> Size:
    """Return the size of a folder."""
    total = files = 0
    for folder, _, names in os.walk(site_dir):
        for name in names:
            total += os.path.getsize(f"{folder}/{name}")  # noqa: PTH202 - a million of them
            files += 1
    return Size(bytes=total, files=files)
