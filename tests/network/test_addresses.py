"""Page addresses: permanent, one for each record, safe as file names on every system."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.site.addresses import of_licence, of_publisher, of_record, of_tag, safe, safe_did

if TYPE_CHECKING:
    from collections.abc import Callable

RKEYS = st.from_regex(r"[A-Za-z0-9._~:-]{1,512}", fullmatch=True)
DIDS = st.one_of(
    st.from_regex(r"did:plc:[a-z2-7]{24}", fullmatch=True),
    st.from_regex(r"did:web:[A-Za-z0-9.%:-]{1,60}[a-z]", fullmatch=True),
)
WINDOWS = {"con", "prn", "aux", "nul", *(f"{name}{digit}" for name in ("com", "lpt") for digit in range(10))}


@given(st.lists(RKEYS, unique=True, max_size=20))
def test_no_two_record_keys_share_a_file_name_where_case_is_ignored(keys: list[str]) -> None:
    assert len({safe(key).casefold() for key in keys}) == len(keys)


@given(RKEYS)
def test_keys_that_differ_only_in_case_have_two_pages(key: str) -> None:
    if key.lower() != key:
        assert safe(key).casefold() != safe(key.lower()).casefold()


@given(st.one_of(RKEYS, DIDS, st.text()))
def test_a_segment_is_short_and_a_file_name_everywhere(text: str) -> None:
    segment = safe(text)
    assert re.fullmatch(r"[a-z0-9][a-z0-9._~-]{0,79}", segment)
    assert not segment.endswith(".")
    assert segment.split(".")[0] not in WINDOWS


@given(st.lists(DIDS, unique=True, max_size=20))
def test_no_two_accounts_share_a_folder(dids: list[str]) -> None:
    assert len({safe_did(did) for did in dids}) == len(dids)


@given(DIDS, RKEYS)
def test_the_whole_path_is_bounded(did: str, rkey: str) -> None:
    assert len(of_record("dataset", did, rkey)) <= len("datasets/") + 2 * 81


@pytest.mark.parametrize(
    ("did", "folder"),
    [
        ("did:plc:ewvi7nxzyoun6zhxrhs64oiz", "did-plc-ewvi7nxzyoun6zhxrhs64oiz"),
        ("did:web:example.org", "did-web-example.org"),
        ("did:web:a-b.example", "did-web-a-b.example"),
    ],
)
def test_a_plain_did_stays_readable(did: str, folder: str) -> None:
    assert of_publisher(did) == f"publishers/{folder}/"


@pytest.mark.parametrize("text", ["con", "nul.txt", "a.", "A", "a~b", "page:1", ".hidden", "-x", "", "x" * 81])
def test_what_is_not_plain_gets_a_hash(text: str) -> None:
    assert re.search(r"~[0-9a-f]{16}$", safe(text))


@pytest.mark.parametrize("text", ["index.html", "index.json", "catalog-shell"])
@pytest.mark.parametrize("address", [of_tag, of_licence])
def test_a_group_named_like_a_file_of_its_section_gets_a_hash(address: Callable[[str], str], text: str) -> None:
    assert re.search(rf"/{re.escape(text)}~[0-9a-f]{{16}}/$", address(text))


def test_the_other_names_of_groups_keep_their_addresses() -> None:
    """Golden values: ``page`` and names of files that lie elsewhere never were in the way."""
    assert of_tag("page") == "tags/page/"
    assert of_tag("feed.xml") == "tags/feed.xml/"
    assert of_licence("CC-BY-4.0") == "licences/cc-by-4.0/"
    assert of_record("dataset", "did:plc:ewvi7nxzyoun6zhxrhs64oiz", "index.html").endswith("/index.html/")


def test_twins_have_two_addresses_on_every_file_system() -> None:
    """Also where case, normalisation, and dots and spaces at the end of a name don't count."""
    twins = ["vision", "Vision", "VISION", "caf\u00e9", "cafe\u0301", "a", "a.", "a ", " a", ".", "..", "con", "con ",
             "x" * 300, "x" * 301, "\u212a", "k", "K", "index.html", "INDEX.HTML", "index.html."]  # fmt: skip
    found = {of_tag(tag) for tag in twins}
    assert len({address.casefold() for address in found}) == len(twins)
    assert all(address.isascii() and len(address) < 100 for address in found)


def test_the_address_of_a_record_is_this_for_ever() -> None:
    """A golden value: changing it breaks every link to every catalog."""
    did = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
    assert of_record("dataset", did, "3kabc") == "datasets/did-plc-ewvi7nxzyoun6zhxrhs64oiz/3kabc/"
    assert of_record("schema", did, "Wave:1.0.0").endswith("/wave-1.0.0~20822ef8e6e73571/")
