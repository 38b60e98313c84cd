"""What a build knows of the site it makes, beyond the catalog itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["SiteSettings", "overrides"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSettings:
    """The site's own settings.

    ``url`` is where it will be served from, with a closing slash; None where nobody said. ``base`` is the folder that
    drafts name their local shards from. ``search`` gives the pages a search box. ``templates``
    is a folder whose files take the place of ours of the same name.
    """

    name: str
    description: str = ""
    url: str | None = None
    base: Path | None = None
    search: bool = True
    templates: Path | None = None

    def absolute(self, address: str) -> str | None:
        """The whole address of a page of this site; None where the site doesn't know its own."""
        return None if self.url is None else self.url + address


def overrides(custom_dir: str | Path | None) -> Path | None:
    """Where a theme's own folder (``theme.custom_dir``) keeps templates of the catalog: in ``catalog/``."""
    folder = None if custom_dir is None else Path(custom_dir) / "catalog"
    return folder if folder is not None and folder.is_dir() else None
