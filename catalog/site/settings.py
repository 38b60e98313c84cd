"""Settings of the site for a build."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from catalog.config import base_url
from catalog.errors import InvalidConfig
from catalog.site.languages import ENGLISH, Language

FORMATS: Final = ("ro-crate", "datacite")
"""Formats that a dataset has only on request, because each is a further file."""
_HOST: Final = re.compile(r"\*|[A-Za-z0-9.-]+(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSettings:
    """The site's own settings.

    ``url`` is the address of the site with a trailing slash, None if unknown. ``base`` is the folder for relative
    paths of drafts. ``search`` adds a search box, which also queries the server at ``appview``, if any. A row viewer
    requests ``row_hosts`` unasked, ``*`` for all; None for no viewer. Files in ``templates`` override ours of the same
    name. ``formats`` are the further formats of :data:`FORMATS` that each dataset has. ``language`` is that of the
    interface. Without ``directory_urls`` links to pages name their file ``index.html``.
    """

    name: str
    description: str = ""
    url: str | None = None
    base: Path | None = None
    search: bool = True
    appview: str | None = None
    row_hosts: frozenset[str] | None = frozenset()
    templates: Path | None = None
    language: Language = ENGLISH
    directory_urls: bool = True
    formats: frozenset[str] = frozenset()

    def absolute(self, address: str) -> str | None:
        """Return the absolute URL of a page; None if the site's address is unknown."""
        return None if self.url is None else self.url + address


def read_formats(value: object) -> frozenset[str]:
    """Read the option ``formats``. Raises :class:`InvalidConfig` for an unknown one."""
    listed = [] if value is None else value
    if not isinstance(listed, list) or not all(isinstance(name, str) and name in FORMATS for name in listed):
        hint = f"a list of: {', '.join(FORMATS)}"
        raise InvalidConfig("must be a list of known formats", where="formats", hint=hint)
    return frozenset(listed)


def overrides(custom_dir: str | Path | None) -> Path | None:
    """Return the folder of overridden templates: ``catalog/`` in ``theme.custom_dir``."""
    folder = None if custom_dir is None else Path(custom_dir) / "catalog"
    return folder if folder is not None and folder.is_dir() else None


def read_search(value: object) -> tuple[bool, str | None]:
    """Read the option ``search``: True for a search box, and the URL of an AppView. Raises :class:`InvalidConfig`.

    ``true``, ``false``, or ``{appview: https://appview.example.org}``.
    """
    if value is None or isinstance(value, bool):
        return value is not False, None
    if not isinstance(value, Mapping) or set(value) != {"appview"}:
        hint = "true, false, or {appview: https://appview.example.org}"
        raise InvalidConfig("must be true, false or an AppView", where="search", hint=hint)
    return True, _server(value["appview"])


def read_row_viewer(value: object) -> frozenset[str] | None:
    """Read the option ``row_viewer``: the hosts that pages request unasked, None for no viewer.

    ``true``, ``false``, or ``{hosts: [data.example.org]}``; ``"*"`` is every host. Raises :class:`InvalidConfig`.
    """
    if value is None or isinstance(value, bool):
        return None if value is False else frozenset()
    hosts = value.get("hosts") if isinstance(value, Mapping) and set(value) == {"hosts"} else None
    if not isinstance(hosts, list) or not all(isinstance(host, str) and _HOST.fullmatch(host) for host in hosts):
        hint = "true, false, or {hosts: [data.example.org]}"
        raise InvalidConfig("must be true, false or a list of hosts", where="row_viewer", hint=hint)
    return frozenset(host.lower() for host in hosts)


def _server(text: object) -> str:
    where, hint = "search.appview", "https://appview.example.org"
    url = base_url(text, where) if isinstance(text, str) else ""
    if not re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]+", url):
        raise InvalidConfig("must be the URL of a server", where=where, hint=hint)
    return url
