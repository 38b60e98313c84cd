"""What a build knows of the site it makes, beyond the catalog itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from catalog.errors import InvalidConfig

__all__ = ["SiteSettings", "overrides", "read_search"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSettings:
    """The site's own settings.

    ``url`` is where it will be served from, with a closing slash; None where nobody said. ``base`` is the folder that
    drafts name their local shards from. ``search`` gives the pages a search box, which asks the
    server at ``appview``, too, where there is one. ``templates`` is a folder whose files take the place of ours of the
    same name.
    """

    name: str
    description: str = ""
    url: str | None = None
    base: Path | None = None
    search: bool = True
    appview: str | None = None
    templates: Path | None = None

    def absolute(self, address: str) -> str | None:
        """The whole address of a page of this site; None where the site doesn't know its own."""
        return None if self.url is None else self.url + address


def overrides(custom_dir: str | Path | None) -> Path | None:
    """Where a theme's own folder (``theme.custom_dir``) keeps templates of the catalog: in ``catalog/``."""
    folder = None if custom_dir is None else Path(custom_dir) / "catalog"
    return folder if folder is not None and folder.is_dir() else None


def read_search(value: object) -> tuple[bool, str | None]:
    """The option ``search``: whether there is a box, and the AppView that it asks. Raises :class:`InvalidConfig`.

    ``true``, ``false``, or ``{appview: https://appview.example.org}``.
    """
    if value is None or isinstance(value, bool):
        return value is not False, None
    if not isinstance(value, Mapping) or set(value) != {"appview"}:
        hint = "true, false, or {appview: https://appview.example.org}"
        raise InvalidConfig("must say whether, or which AppView is asked", where="search", hint=hint)
    return True, _server(value["appview"])


def _server(text: object) -> str:
    try:
        parts = urlsplit(text) if isinstance(text, str) else urlsplit("")
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    host = parts.hostname or ""
    plain = host.isascii() and all(char.isalnum() or char in "-.:" for char in host)
    if parts.scheme not in ("https", "http") or not host or not plain or parts.username is not None:
        raise InvalidConfig("must be the URL of a server", where="search.appview", hint="https://appview.example.org")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise InvalidConfig("must be a server without a path", where="search.appview", hint=f"{parts.scheme}://{host}")
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}" + ("" if port is None else f":{port}")
