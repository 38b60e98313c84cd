"""The sitemap: MkDocs's own pages and every record (https://www.sitemaps.org/protocol.html)."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote
from xml.sax.saxutils import escape

from catalog.formatting import day

MOST: Final = 50_000
"""Maximum addresses in a file; for more the protocol requires an index of files."""

_HEAD: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_XMLNS: Final = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


def write_sitemap(site_dir: Path, base: str, entries: Iterable[tuple[str, datetime | None]]) -> None:
    """Write ``sitemap.xml`` (also gzipped) for addresses below ``base``, each with the date of its last change."""
    lines = [_line(base, address, changed) for address, changed in entries]
    parts = [lines[start : start + MOST] for start in range(0, len(lines), MOST)] or [[]]
    if len(parts) == 1:
        _write(site_dir, "sitemap", _urlset(parts[0]))
        return
    names = [f"sitemap-{number}" for number in range(1, len(parts) + 1)]
    for name, part in zip(names, parts, strict=True):
        _write(site_dir, name, _urlset(part))
    places = "".join(f"<sitemap><loc>{escape(base + name)}.xml</loc></sitemap>\n" for name in names)
    _write(site_dir, "sitemap", f"{_HEAD}<sitemapindex {_XMLNS}>\n{places}</sitemapindex>\n")


def drop_empty_sitemap(site_dir: Path) -> None:
    """Remove the empty sitemap that MkDocs writes for a site without an address; it is invalid."""
    file = site_dir / "sitemap.xml"
    if file.exists() and "<loc>" not in file.read_text(encoding="utf-8"):
        file.unlink()
        file.with_name("sitemap.xml.gz").unlink(missing_ok=True)


def _line(base: str, address: str, changed: datetime | None) -> str:
    modified = "" if changed is None else f"<lastmod>{day(changed)}</lastmod>"
    return f"<url><loc>{escape(base + quote(address, safe='/~'))}</loc>{modified}</url>\n"


def _urlset(lines: list[str]) -> str:
    return f"{_HEAD}<urlset {_XMLNS}>\n{''.join(lines)}</urlset>\n"


def _write(site_dir: Path, name: str, text: str) -> None:
    raw = text.encode("utf-8")
    (site_dir / f"{name}.xml").write_bytes(raw)
    # No time and no name in the header: two builds are the same, byte for byte.
    (site_dir / f"{name}.xml.gz").write_bytes(gzip.compress(raw, mtime=0))
