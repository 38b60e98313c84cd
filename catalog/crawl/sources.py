"""The kinds of source, and how each finds the accounts to visit.

A relay or stream only gives hints: it causes a visit at the account's own PDS, and never removes anything. A PDS is
trusted about its own accounts only. An account that a PDS no longer lists may still exist, as lists can be cut, refused
or empty by accident, so its document and status are checked before it is hidden.
"""

from __future__ import annotations

from collections.abc import Callable
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
    from catalog.config import CatalogSettings, Source
    from catalog.crawl.accounts import Crawler
    from catalog.crawl.report import Tally

_LIST_LIMIT: Final = 500
"""Maximum number of accounts that one server implementation lists, without a cursor."""


def begin(source: Source, settings: CatalogSettings, crawler: Crawler, tally: Tally) -> None:
    """Schedule the crawl of a source. An error ends only this source."""
    base, compare = settings.base, settings.compare
    match source.kind:
        case "manifests":
            crawl = partial(crawl_manifests, source, base, crawler.store, tally, compare=compare)
            guarded(crawler, tally, "manifests", crawl)
        case "car":
            guarded(crawler, tally, "exports", lambda: crawl_exports(source, base, crawler, tally))
        case "repo":
            guarded(crawler, tally, f"the name {source.value}", lambda: _repo(source, crawler, tally))
        case "pds":
            guarded(crawler, tally, host_of(source.value), lambda: list_pds(source.value, crawler, tally))
        case "relay":
            guarded(crawler, tally, host_of(source.value), lambda: list_relay(source.value, crawler, tally))
        case _:
            raise AssertionError(source.kind)  # streams are in catalog.crawl.streams


def guarded(crawler: Crawler, tally: Tally, host: str, work: Callable[[], None]) -> None:
    """Schedule work for a source; an error ends only this source."""

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
    """Visit one account, by handle or DID, at its own PDS."""
    try:
        identity = crawler.resolver.resolve(source.value)
    except UnknownIdentity:
        for did in sorted(crawler.store.listed(tally.source)):  # the name doesn't resolve; its account may be gone
            crawler.schedule_account(tally, Did(did))
        raise
    if crawler.claim(identity.did, tally.source, partial(crawler.schedule_account, tally, identity.did)):
        with crawler.budgeted(host_of(identity.pds), identity.did):
            crawler.visit(tally, identity)


def list_pds(pds: str, crawler: Crawler, tally: Tally) -> None:
    """Schedule the repositories of a PDS: those that changed, and those that it no longer lists."""
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
            crawler.schedule_listed(tally, pds, state, listed=state.did in before)
    except NetworkError as error:
        if wire.is_refusal(error):
            _check_unlisted(before - listed, pds, crawler, tally, doubted=False)
        raise
    missing = before - listed
    if states.fault is not None:
        tally.problem(f"{pds}: its list of accounts may lack some: {states.fault}; those that it doesn't name stay")
    whole = states.fault is None
    # A much shorter list than before may be cut; one server implementation lists only the newest 500.
    doubted = whole and 2 * len(missing) <= len(before) and len(listed) != _LIST_LIMIT
    held = _check_unlisted(missing, pds, crawler, tally, doubted=doubted)
    if whole:
        crawler.store.hide_missing(tally.source, listed | held)


def _check_unlisted(missing: set[str], pds: str, crawler: Crawler, tally: Tally, *, doubted: bool) -> set[str]:
    """Schedule a check of accounts that a PDS no longer lists. Return those with stored records."""
    held = missing & crawler.store.holders() if missing else set()
    for did in sorted(held):
        with tally.containing(did):
            known = crawler.store.repo(did)
            if known is not None and known.active:
                crawler.schedule_unlisted(tally, pds, Did(did), doubted=doubted)
    return held


def list_relay(relay: str, crawler: Crawler, tally: Tally) -> None:
    """Schedule the accounts that a relay lists with dataset records, and those that it listed before.

    Raises the first ``NetworkError`` of its lists, one for each collection, after the others were read.
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
        crawler.schedule_account(tally, did)
    if failures:
        raise failures[0]


def _add_listed(found: set[Did], most: int, relay: str, collection: str, crawler: Crawler) -> str | None:
    """Add the accounts that a relay lists for a collection, up to ``most``. Return why some may be missing."""
    listing = wire.list_repos_by_collection(crawler.client, relay, collection, crawler.limits)
    for did in listing:
        if len(found) >= most and did not in found:
            return "its lists have too many in all; raise limits.listing_entries"
        found.add(did)
    return listing.fault
