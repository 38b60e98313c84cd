"""The kinds of source: how each finds the accounts that are to be visited.

What a relay or a stream says is a hint: it makes us look at an account's own PDS, and never removes anything. What a
PDS lists is its word, about its own accounts only. An account that a PDS doesn't list any more may still be there: the
list may be cut, refused or empty by accident. So its document and its status are asked for before it is hidden.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from catalog.atproto import repo as wire
from catalog.crawl.accounts import host_of
from catalog.crawl.exports import crawl_exports
from catalog.crawl.manifests import crawl_manifests
from catalog.errors import CatalogError, NetworkError, StoreError, UnknownIdentity, contained
from catalog.records import COLLECTIONS
from catalog.syntax import Did

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from catalog.config import Source
    from catalog.crawl.accounts import Crawler
    from catalog.crawl.report import Tally

__all__ = ["begin", "guarded", "list_pds", "list_relay"]

_SHORTENED: Final = 500
"""Accounts that one server lists at most, and without a cursor."""


def begin(source: Source, base: Path, crawler: Crawler, tally: Tally) -> None:
    """Have a source crawled. Whatever is wrong with it ends only this source."""
    match source.kind:
        case "manifests":
            guarded(crawler, tally, "manifests", lambda: crawl_manifests(source, base, crawler.store, tally))
        case "car":
            guarded(crawler, tally, "exports", lambda: crawl_exports(source, base, crawler, tally))
        case "repo":
            guarded(crawler, tally, f"the name {source.value}", lambda: _repo(source, crawler, tally))
        case "pds":
            guarded(crawler, tally, host_of(source.value), lambda: list_pds(source.value, crawler, tally))
        case "relay":
            guarded(crawler, tally, host_of(source.value), lambda: list_relay(source.value, crawler, tally))
        case _:
            raise AssertionError(source.kind)  # the streams are catalog.crawl.streams's


def guarded(crawler: Crawler, tally: Tally, host: str, work: Callable[[], None]) -> None:
    """Have something done for a source; whatever is wrong with it ends only this source."""

    def done() -> bool:
        with tally.metered(crawler.client):
            try:
                with crawler.budgeted(host):
                    work()
            except StoreError:
                raise
            except Exception as failure:  # noqa: BLE001 — whatever it is, it ends this source alone
                tally.fail(crawler.late(host, failure) or contained(failure, where=tally.source))
                return False
        return True

    crawler.schedule.add(host, done)


def _repo(source: Source, crawler: Crawler, tally: Tally) -> None:
    """One account, by handle or DID, at its own PDS."""
    try:
        identity = crawler.resolver.resolve(source.value)
    except UnknownIdentity:
        for did in sorted(crawler.store.listed(tally.source)):  # the name leads nowhere; its account may be gone
            crawler.arrange(tally, Did(did))
        raise
    if crawler.claim(identity.did, tally.source, partial(crawler.arrange, tally, identity.did)):
        with crawler.budgeted(host_of(identity.pds), identity.did):
            crawler.visit(tally, identity)


def list_pds(pds: str, crawler: Crawler, tally: Tally) -> None:
    """Every repository of a PDS: those that changed are visited, and those that it doesn't list any more."""
    host = host_of(pds)
    before = crawler.store.listed(tally.source)
    listed: set[str] = set()
    states = wire.list_repos(crawler.client, pds, crawler.limits)
    try:
        for state in states:
            if state.did in listed:
                continue
            listed.add(state.did)
            tally.count(host, "seen")
            crawler.arrange_listed(tally, pds, state, listed=state.did in before)
    except NetworkError as error:
        if wire.is_refusal(error):
            _look_for(before - listed, pds, crawler, tally, doubted=False)
        raise
    missing = before - listed
    if states.fault is not None:
        tally.problem(f"{pds}: its list of accounts may lack some: {states.fault}; those that it doesn't name stay")
    whole = states.fault is None
    # A list of much fewer accounts than before may be shortened; and one server lists the newest 500 only.
    doubted = whole and 2 * len(missing) <= len(before) and len(listed) != _SHORTENED
    held = _look_for(missing, pds, crawler, tally, doubted=doubted)
    if whole:
        crawler.store.hide_missing(tally.source, listed | held)


def _look_for(missing: set[str], pds: str, crawler: Crawler, tally: Tally, *, doubted: bool) -> set[str]:
    """Have accounts looked at that a PDS doesn't list any more. Return those that have something to lose."""
    held = missing & crawler.store.holders() if missing else set()
    for did in sorted(held):
        with tally.containing(did):
            known = crawler.store.repo(did)
            if known is not None and known.active:
                crawler.arrange_unlisted(tally, pds, Did(did), doubted=doubted)
    return held


def list_relay(relay: str, crawler: Crawler, tally: Tally) -> None:
    """The accounts that a relay knows to have dataset records, and those it once knew.

    Raises the first ``NetworkError`` of its lists, one for each kind of record, after the others were read.
    """
    found = {Did(did) for did in crawler.store.listed(tally.source)}
    most = len(found) + crawler.limits.listing_entries
    failures: list[CatalogError] = []
    for collection in COLLECTIONS:
        try:
            fault = _add_listed(found, most, relay, collection, crawler)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 — what the other collections list is visited all the same
            failures.append(contained(error, where=relay))
        else:
            if fault is not None:
                tally.problem(f"{relay}: its list of accounts with {collection} may lack some: {fault}")
    for did in sorted(found):
        crawler.arrange(tally, did)
    if failures:
        raise failures[0]


def _add_listed(found: set[Did], most: int, relay: str, collection: str, crawler: Crawler) -> str | None:
    """Add the accounts that a relay lists for a collection, up to ``most``; why some may be missing."""
    listing = wire.list_repos_by_collection(crawler.client, relay, collection, crawler.limits)
    for did in listing:
        if len(found) >= most and did not in found:
            return "its lists have too many in all; raise limits.listing_entries"
        found.add(did)
    return listing.fault
