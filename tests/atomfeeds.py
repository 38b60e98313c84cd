"""A strict reader of Atom (RFC 4287): what a feed of ours must bear."""

from __future__ import annotations

import re
from collections import Counter
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

ATOM = "{http://www.w3.org/2005/Atom}"
LIMITS = {
    "feed": {"id": (1, 1), "title": (1, 1), "updated": (1, 1), "author": (0, 99), "link": (1, 99), "entry": (0, 50)},
    "entry": {
        "id": (1, 1), "title": (1, 1), "updated": (1, 1), "published": (0, 1), "author": (0, 99), "link": (1, 99),
        "category": (0, 99), "summary": (0, 1),
    },
    "author": {"name": (1, 1), "uri": (0, 1), "email": (0, 1)},
}  # fmt: skip
"""RFC 4287, section 4: what may stand in what, how often at least and at most; of it what our feeds use."""
ATTRIBUTES = {"link": {"href", "rel", "type"}, "category": {"term", "scheme"}}
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})")


def check_feed(text: str, own: str) -> None:
    """Everything in its place as often as it may be; whole addresses, dates as RFC 3339 has them, no id twice."""
    root = ET.fromstring(text)  # noqa: S314 - our own file
    assert root.tag == f"{ATOM}feed"
    _check_element(root)
    links = {link.get("rel", "alternate"): link.get("href") for link in root.findall(f"{ATOM}link")}
    assert links["self"] == own
    ids = [found.text for found in root.iter(f"{ATOM}id")]
    assert len(set(ids)) == len(ids)
    authored = root.find(f"{ATOM}author") is not None
    assert authored or all(entry.find(f"{ATOM}author") is not None for entry in root.iter(f"{ATOM}entry"))


def _check_element(element: ET.Element) -> None:
    name = element.tag.removeprefix(ATOM)
    assert set(element.attrib) <= ATTRIBUTES.get(name, set())
    limits = LIMITS.get(name, {})
    found = Counter(child.tag.removeprefix(ATOM) for child in element)
    assert set(found) <= set(limits), f"{name} holds {set(found) - set(limits)}"
    assert all(low <= found[part] <= high for part, (low, high) in limits.items()), (name, found)
    text = element.text or ""
    if name in {"updated", "published"}:
        assert DATE.fullmatch(text)
    if name in {"id", "uri"}:
        assert urlsplit(text).scheme in {"https", "at"}
    if name in {"title", "name"}:
        assert text.strip()
    if name == "link":
        assert urlsplit(element.attrib["href"]).scheme == "https"
    if name == "category":
        assert element.attrib["term"]
    for child in element:
        _check_element(child)
