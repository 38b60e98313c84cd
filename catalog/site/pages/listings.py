"""Pages of many records: the sections, the records of a tag, licence or publisher, and the catalog as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from itertools import islice
from typing import TYPE_CHECKING, Final

from catalog import formatting
from catalog.records import licences
from catalog.site import addresses
from catalog.site.exports.feeds import FEED, feed, newest
from catalog.site.exports.meta_tags import ATOM, alternate
from catalog.site.exports.record_json import group_json
from catalog.site.nodes import kind_of

if TYPE_CHECKING:
    from catalog.site.groups import Group
    from catalog.site.omitted import LeftOut
    from catalog.site.templates import Page, Templates
    from catalog.store.graph import DatasetNode, Node
    from catalog.store.rows import Publisher

PER_PAGE: Final = 60
"""Records on one page of a listing."""
PER_GROUP: Final = 24
"""Records of a kind on the page of a tag, licence or publisher; the browse page has all."""
GROUPS_PER_PAGE: Final = 300
GROUPS: Final = {"publishers": "publisher", "tags": "tag", "licences": "licence"}
"""Section → name of one of its groups, also the parameter of the browse page."""
FRESH: Final = 3
"""Maximum number of schemas on the home page, each in its newest version."""


def page_count(things: Sized, each: int = PER_PAGE) -> int:
    """Return the number of pages of a listing, at least one."""
    return max(1, -(-len(things) // each))


def listing(templates: Templates, kind: str, nodes: Sequence[Node], number: int) -> Page:
    """Return a page of a section, newest records first; page 1 has the section's address."""
    section, last = addresses.SECTIONS[kind], page_count(nodes)
    address = _numbered(section, number)
    part = nodes[(number - 1) * PER_PAGE : number * PER_PAGE]
    body = templates.render(
        "listing", address, kind=kind, section=section, nodes=part, total=len(nodes), number=number, last=last
    )
    words = f"{formatting.counted(len(nodes), kind)}, newest first"
    return templates.page(address, _title(section, number), words, body)


def groups_of(templates: Templates, section: str) -> Mapping[str, Group]:
    """Return the groups of ``publishers``, ``tags`` or ``licences``."""
    groups = templates.groups
    return {"publishers": groups.publishers, "tags": groups.tags, "licences": groups.licences}[section]


def group_listing(templates: Templates, section: str, number: int) -> Page:
    """Return a page of the list of publishers, tags or licences, the largest first."""
    groups = list(groups_of(templates, section).items())
    last = page_count(groups, GROUPS_PER_PAGE)
    address = _numbered(section, number)
    part = groups[(number - 1) * GROUPS_PER_PAGE : number * GROUPS_PER_PAGE]
    body = templates.render(
        "groups", address, section=section, groups=part, total=len(groups), number=number, last=last,
        licence_names=licences.NAMES,
    )  # fmt: skip
    words = f"{formatting.counted(len(groups), GROUPS[section])}, sorted by number of records"
    return templates.page(address, _title(section, number), words, body)


def group_page(templates: Templates, section: str, group: Group) -> Page:
    """Return the page of a tag or licence: the newest records of each kind."""
    kind = GROUPS[section]
    body = templates.render(
        "group", group.address, kind=kind, section=section, group=group, groups=_by_kind(group.nodes), most=PER_GROUP,
        full_name=licences.title(group.name) if kind == "licence" else None, texts=licences.TEXTS,
    )  # fmt: skip
    words = "tagged" if kind == "tag" else "licensed under"
    description = f"{formatting.counted(len(group.nodes), 'record')} {words} {group.name}"
    return _with_forms(
        templates, group, title=f"{group.name} ({kind})", words=description, body=body, beside=group_json(kind, group)
    )


def publisher_page(templates: Templates, publisher: Publisher, group: Group) -> Page:
    """Return the page of an account with its newest records."""
    datasets: Sequence[DatasetNode] = [node for node in group.nodes if kind_of(node) == "dataset"]  # type: ignore[misc]
    sizes = [node.size for node in datasets if node.size is not None]
    body = templates.render(
        "publisher", group.address, publisher=publisher, groups=_by_kind(group.nodes), most=PER_GROUP,
        samples=sum(size.samples or 0 for size in sizes), weight=sum(size.bytes or 0 for size in sizes),
        short=publisher.handle is not None and any(not node.draft for node in datasets),
    )  # fmt: skip
    words = f"{formatting.counted(len(group.nodes), 'record')} published by {group.name}"
    beside = group_json("publisher", group, publisher)
    return _with_forms(templates, group, title=group.name, words=words, body=body, beside=beside)


def section_body(templates: Templates, template: str, address: str, *, left_out: Sequence[LeftOut] = ()) -> str:
    """Return the body of a page that the theme renders in place. ``left_out`` is for the status page."""
    graph = templates.graph
    fresh = tuple(islice((schema for schema in graph.schemas if schema.versions[0] is schema), FRESH))
    return templates.render(
        template, address, graph=graph, groups=templates.groups, crawls=graph.crawls, fresh=fresh, left_out=left_out
    )


def _with_forms(templates: Templates, group: Group, *, title: str, words: str, body: str, beside: str) -> Page:
    """Return the page with its other formats: JSON, and a feed if the site's address is known."""
    files: list[tuple[str, str | bytes]] = [("index.json", beside)]
    head = ""
    entries = newest(group.nodes)
    if templates.settings.url is not None and entries:
        files.append(
            (FEED, feed(f"{group.name} – {templates.settings.name}", group.address, entries, templates.settings))
        )
        head = alternate(ATOM, FEED, group.name)
    return templates.page(group.address, title, words, body, files=tuple(files), head=head)


def _by_kind(nodes: Sequence[Node]) -> list[tuple[str, list[Node]]]:
    groups = [(kind, [node for node in nodes if kind_of(node) == kind]) for kind in addresses.SECTIONS]
    return [(kind, found) for kind, found in groups if found]


def _numbered(section: str, number: int) -> str:
    return f"{section}/" if number == 1 else f"{section}/page/{number}/"


def _title(section: str, number: int) -> str:
    return section.capitalize() if number == 1 else f"{section.capitalize()}, page {number}"
