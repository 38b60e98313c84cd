"""What a build knows of the site it makes, beyond the catalog itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SiteSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSettings:
    """The site's own settings.

    ``url`` is where it will be served from, with a closing slash; None where nobody said. ``base`` is the folder that
    drafts name their local shards from. ``search`` gives the pages a search box.
    """

    name: str
    description: str = ""
    url: str | None = None
    base: Path | None = None
    search: bool = True

    def absolute(self, address: str) -> str | None:
        """The whole address of a page of this site; None where the site doesn't know its own."""
        return None if self.url is None else self.url + address
