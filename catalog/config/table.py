"""Every setting there is, as a table: the keys of the ``catalog`` block and the variables of the environment.

The reader takes names and limits from here, and ``docs/reference/configuration.md`` is made of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["SETTINGS", "SOURCES", "VARIABLES", "Setting", "SourceKind", "Variable", "keys_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A key of the block, or one inside another: ``previews.samples``.

    ``kind`` says what it takes. ``default`` is what holds when nothing is said, ``None`` for nothing. A number is from
    ``least`` to ``most``. ``purpose`` and ``example`` (in YAML) are for people.
    """

    name: str
    kind: str
    default: object
    purpose: str
    example: str
    least: int | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceKind:
    """A kind of source: what its value is, what is read, and an example."""

    name: str
    value: str
    purpose: str
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A variable of the environment. ``others`` tells that not we made it up: other tools read it as well."""

    name: str
    value: str
    purpose: str
    default: str = "nothing"
    others: bool = False


SETTINGS: Final = (
    Setting(
        name="store", kind="path", default=".catalog/catalog.sqlite", example="store: .catalog/catalog.sqlite",
        purpose="The file that crawls write and pages are made from. Keep its folder between builds.",
    ),
    Setting(
        name="sources", kind="list of sources", default=[], example="sources: [{repo: alice.example.org}]",
        purpose="Where records come from; each is one `kind: value`, see below. None may stand twice.",
    ),
    Setting(
        name="deny", kind="list of DIDs", default=[], example="deny: ['did:web:alice.example.org']",
        purpose="Accounts whose records are never shown. DIDs, as handles change hands.",
    ),
    Setting(
        name="contact", kind="text, at most 200 printable ASCII characters", default=None,
        example="contact: https://example.org/about",
        purpose="Stands in the User-Agent, so that somebody who is bothered knows whom to tell. "
        "Goes before CATALOG_CONTACT.",
    ),
    Setting(
        name="allow_addresses", kind="list of addresses and networks", default=[],
        example="allow_addresses: [10.20.0.5, 'fd00:20::/32']",
        purpose="Private addresses that may be opened; no other is. Whatever a record points to may be asked there, so "
        "name as few as there are servers. Goes before CATALOG_ALLOW_ADDRESSES.",
    ),
    Setting(
        name="crawl", kind="true or false", default=True, example="crawl: false",
        purpose="Whether a build brings the store up to date first.",
    ),
    Setting(
        name="limits", kind="map", default=None, example="limits: {host_seconds: 600}",
        purpose="How much a crawl spends. What was read until then is kept, the rest is left for the next crawl.",
    ),
    Setting(
        name="limits.account_seconds", kind="whole number", default=900, least=1, most=86_400,
        example="limits: {account_seconds: 300}",
        purpose="At most so many seconds for one account, pauses that its server asks for included.",
    ),
    Setting(
        name="limits.host_seconds", kind="whole number", default=1800, least=1, most=604_800,
        example="limits: {host_seconds: 600}",
        purpose="At most so many seconds of work at one host in a crawl, pauses that it asks for included.",
    ),
    Setting(
        name="limits.crawl_seconds", kind="whole number", default=7200, least=1, most=604_800,
        example="limits: {crawl_seconds: 1800}", purpose="At most so many seconds for a whole crawl.",
    ),
    Setting(
        name="limits.cursor_hours", kind="whole number", default=24, least=1, most=8760,
        example="limits: {cursor_hours: 12}",
        purpose="When a stream was last followed more hours ago, all its accounts are looked at again, since servers "
        "keep events for a day or three.",
    ),
    Setting(
        name="limits.account_bytes", kind="whole number", default=1_000_000_000, least=100_000, most=10**12,
        example="limits: {account_bytes: 100000000}",
        purpose="At most so many bytes are downloaded for one account in a crawl. An answer that is larger by itself, "
        "such as a whole repository, is not downloaded.",
    ),
    Setting(
        name="limits.account_records", kind="whole number", default=100_000, least=1, most=1_000_000,
        example="limits: {account_records: 5000}",
        purpose="At most so many records of one account: those that the store has already, then the first by name.",
    ),
    Setting(
        name="limits.record_values", kind="whole number", default=200_000, least=1000, most=2**20,
        example="limits: {record_values: 20000}",
        purpose="Records of more values and keys are refused: a megabyte of empty lists takes eighty when it is read.",
    ),
    Setting(
        name="limits.record_versions", kind="whole number", default=1000, least=1, most=1_000_000,
        example="limits: {record_versions: 100}",
        purpose="At most so many versions of one record are kept, the newest; and at most 16 million characters.",
    ),
    Setting(
        name="limits.listing_entries", kind="whole number", default=200_000, least=1, most=100_000_000,
        example="limits: {listing_entries: 10000}",
        purpose="At most so many accounts of one server's list are read; each takes about two kilobytes of memory.",
    ),
    Setting(
        name="limits.listing_errors", kind="whole number", default=1000, least=0, most=1_000_000,
        example="limits: {listing_errors: 100}",
        purpose="A list of accounts or records with more entries that can't be understood is not read on.",
    ),
    Setting(
        name="search", kind="true, false, or a map", default=True, example="search: true",
        purpose="Whether pages have a search box.",
    ),
    Setting(
        name="search.appview", kind="URL of a server", default=None, example="search: {appview: https://appview.example.org}",
        purpose="An AppView that the search box asks as well; without an answer the site's own index stands alone.",
    ),
    Setting(
        name="previews", kind="true, false, or a map", default=False, example="previews: true",
        purpose="Whether the pages of datasets show their first samples; needs the extra `previews`.",
    ),
    Setting(
        name="previews.samples", kind="whole number", default=8, least=1, most=50, example="previews: {samples: 4}",
        purpose="So many samples of each dataset.",
    ),
    Setting(
        name="previews.shard_bytes", kind="whole number", default=2_000_000, least=10_000, most=100_000_000,
        example="previews: {shard_bytes: 500000}",
        purpose="At most so many bytes of a dataset's first shard are fetched.",
    ),
    Setting(
        name="previews.total_bytes", kind="whole number", default=500_000_000, least=0, most=10**12,
        example="previews: {total_bytes: 100000000}", purpose="At most so many bytes in one build.",
    ),
    Setting(
        name="previews.seconds", kind="whole number", default=300, least=0, most=86_400,
        example="previews: {seconds: 60}", purpose="At most so many seconds in one build; the next one goes on.",
    ),
    Setting(
        name="previews.datasets", kind="whole number", default=1000, least=0, most=1_000_000,
        example="previews: {datasets: 100}", purpose="Only the newest datasets, so many of them.",
    ),
    Setting(
        name="previews.cache_bytes", kind="whole number", default=500_000_000, least=0, most=10**12,
        example="previews: {cache_bytes: 100000000}",
        purpose="At most so many bytes of what was fetched are kept beside the store.",
    ),
    Setting(
        name="appview", kind="map", default=None, example="appview: {url: https://appview.example.org}",
        purpose="How `catalog appview` serves.",
    ),
    Setting(
        name="appview.url", kind="URL of a server", default=None, example="appview: {url: https://appview.example.org}",
        purpose="The public address that others reach it by; with it, it has a did:web document.",
    ),
    Setting(
        name="appview.index", kind="path", default=None, example="appview: {index: /var/lib/catalog/index}",
        purpose="The folder of the search index; beside the store when nothing is said.",
    ),
    Setting(
        name="appview.trusted_proxies", kind="list of addresses and networks", default=[],
        example="appview: {trusted_proxies: [127.0.0.1, 10.0.0.0/8]}",
        purpose="Who may say in X-Forwarded-For for whom they ask; nobody else is believed.",
    ),
    Setting(
        name="appview.rate_limit", kind="map, or false", default={"requests": 3000, "seconds": 300},
        example="appview: {rate_limit: {requests: 300, seconds: 60}}",
        purpose="How often one client may ask; false for no limit. Both of its keys are needed.",
    ),
    Setting(
        name="appview.rate_limit.requests", kind="whole number", default=3000, least=1, most=1_000_000,
        example="appview: {rate_limit: {requests: 300, seconds: 60}}", purpose="So many requests …",
    ),
    Setting(
        name="appview.rate_limit.seconds", kind="whole number", default=300, least=1, most=86_400,
        example="appview: {rate_limit: {requests: 300, seconds: 60}}", purpose="… in so many seconds.",
    ),
    Setting(
        name="appview.origins", kind="list of origins", default=["*"],
        example="appview: {origins: ['https://data.example.org']}",
        purpose="The web pages that may ask from a browser; `*` for all.",
    ),
)  # fmt: skip
"""The keys of the block, each before those inside it."""

SOURCES: Final = (
    SourceKind(
        name="manifests", value="a folder, or one file", example="manifests: manifests",
        purpose="Drafts, straight from YAML. They are marked as such.",
    ),
    SourceKind(
        name="car", value="a file, or a pattern of files", example="car: exports/*.car",
        purpose="Exported repositories; with `alice.did.json` beside `alice.car` they are checked offline.",
    ),
    SourceKind(
        name="repo", value="a handle or DID", example="repo: alice.example.org", purpose="One account, at its own PDS.",
    ),
    SourceKind(
        name="pds", value="https URL of a server", example="pds: https://pds.example.org",
        purpose="Every account of a server.",
    ),
    SourceKind(
        name="relay", value="https URL of a server", example="relay: https://relay.example.org",
        purpose="The accounts that a relay knows to have datasets, each at its own PDS.",
    ),
    SourceKind(
        name="firehose", value="wss URL of a server", example="firehose: wss://pds.example.org",
        purpose="The event stream of a PDS or relay; each commit is proven from the event itself.",
    ),
    SourceKind(
        name="jetstream", value="wss URL of a server", example="jetstream: wss://jetstream.example.org",
        purpose="A light stream without proofs; each event is confirmed at the account's PDS. It lists no accounts: a "
        "second key of the entry, `relay: https://relay.example.org`, names a relay that lists earlier publishers.",
    ),
)  # fmt: skip
"""The kinds of source."""

VARIABLES: Final = (
    Variable(
        name="CATALOG_HANDLE", value="a handle or DID",
        purpose="The account that publishes and withdraws, where none is named on the command line.",
    ),
    Variable(
        name="CATALOG_APP_PASSWORD", value="an app password",
        purpose="Its password. Never an argument, never in a file.",
    ),
    Variable(
        name="CATALOG_SESSION", value="a session string",
        purpose="A session in a password's place; goes before CATALOG_APP_PASSWORD.",
    ),
    Variable(
        name="CATALOG_LOGIN_CODE", value="a code",
        purpose="The code of a second factor, where the account's server asks for one and there is no terminal.",
    ),
    Variable(
        name="CATALOG_SEARCH", value="store, a path, pds, or an address", default="the store of ./mkdocs.yml",
        purpose="Where `catalog search` looks without `--in`.",
    ),
    Variable(
        name="CATALOG_CACHE", value="a folder", default="~/.cache/atdata-catalog",
        purpose="Where things are kept that can be had again: checksums of shards, code of lenses.",
    ),
    Variable(
        name="CATALOG_CONTACT", value="text",
        purpose="As `contact` in the block, for commands that read no mkdocs.yml.",
    ),
    Variable(
        name="CATALOG_PLC_URL", value="URL of a server", default="https://plc.directory",
        purpose="The directory that `did:plc` identities are asked of.",
    ),
    Variable(
        name="CATALOG_HANDLE_RESOLVER", value="URL of a server",
        purpose="A server that is asked for handles, instead of DNS and the handle's own host.",
    ),
    Variable(
        name="CATALOG_ALLOW_LOOPBACK", value="1 or 0", default="0",
        purpose="Opens addresses of this machine, also by plain http. For tests, and servers on the same machine.",
    ),
    Variable(
        name="CATALOG_ALLOW_ADDRESSES", value="addresses and networks, with commas between",
        purpose="As `allow_addresses` in the block, for commands that read no mkdocs.yml.",
    ),
    Variable(
        name="CATALOG_NO_CRAWL", value="anything but 0", purpose="A build takes the store as it is.",
    ),
    Variable(
        name="SOURCE_DATE_EPOCH", value="seconds since 1970", default="946684800, the year 2000", others=True,
        purpose="The time that drafts carry, so that the same manifests give the same site.",
    ),
    Variable(
        name="GITHUB_OUTPUT", value="a file", others=True,
        purpose="Where `catalog build --if-changed-since` tells later steps whether there is a site to deploy.",
    ),
    Variable(
        name="SSL_CERT_FILE", value="a file of certificates", default="certifi's", others=True,
        purpose="The authorities that TLS trusts, in the place of the usual ones.",
    ),
    Variable(name="SSL_CERT_DIR", value="a folder of certificates", others=True, purpose="The same, as a folder."),
    Variable(
        name="AWS_ENDPOINT_URL_S3", value="URL of a server", default="AWS", others=True,
        purpose="The store of buckets whose record names none. Only there, and at AWS, are credentials used.",
    ),
    Variable(
        name="AWS_ENDPOINT_URL", value="URL of a server", others=True,
        purpose="The same, where the one above isn't set.",
    ),
    Variable(name="AWS_REGION", value="a region", others=True, purpose="The region at that store."),
    Variable(
        name="AWS_DEFAULT_REGION", value="a region", others=True, purpose="The same, where the one above isn't set.",
    ),
    Variable(
        name="AWS_ACCESS_KEY_ID", value="a key", others=True,
        purpose="With AWS_SECRET_ACCESS_KEY: credentials, for the extra `s3`. botocore finds them elsewhere, too.",
    ),
    Variable(name="AWS_PROFILE", value="a name", others=True, purpose="The profile of `~/.aws` that has them."),
)  # fmt: skip
"""What is read from the environment. An empty variable counts as unset."""


def keys_of(inside: str = "") -> tuple[str, ...]:
    """The keys of the block, or of a map in it (``"previews"``)."""
    prefix = f"{inside}." if inside else ""
    rest = [setting.name.removeprefix(prefix) for setting in SETTINGS if setting.name.startswith(prefix)]
    return tuple(name for name in rest if "." not in name)
