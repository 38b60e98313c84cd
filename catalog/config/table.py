"""Every setting there is, as a table: the keys of the ``catalog`` block and the variables of the environment.

The reader takes names and limits from here, and ``docs/reference/configuration.md`` is made of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A key of the block, or one inside another: ``previews.samples``.

    ``kind`` is its type. A number is from ``least`` to ``most``. ``purpose`` and ``example`` (in YAML) are
    documentation.
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
    """An environment variable. ``others`` is true for variables that other tools define."""

    name: str
    value: str
    purpose: str
    default: str = "nothing"
    others: bool = False


SETTINGS: Final = (
    Setting(
        name="store", kind="path", default=".catalog/catalog.sqlite", example="store: .catalog/catalog.sqlite",
        purpose="The SQLite file that crawls write and pages are built from. Keep its folder between builds.",
    ),
    Setting(
        name="sources", kind="list of sources", default=[], example="sources: [{repo: alice.example.org}]",
        purpose="The sources of records; each is one `kind: value`, see below. Each may be listed once.",
    ),
    Setting(
        name="deny", kind="list of DIDs", default=[], example="deny: ['did:web:alice.example.org']",
        purpose="Accounts whose records are never shown, as DIDs: handles can move to another account.",
    ),
    Setting(
        name="contact", kind="text, at most 200 printable ASCII characters", default=None,
        example="contact: https://example.org/about",
        purpose="Contact of the operator, sent in the User-Agent header. Overrides CATALOG_CONTACT.",
    ),
    Setting(
        name="allow_addresses", kind="list of addresses and networks", default=[],
        example="allow_addresses: [10.20.0.5, 'fd00:20::/32']",
        purpose="Private addresses that may be opened; no other is. URLs in records can then send requests there, so "
        "list as few as possible. Overrides CATALOG_ALLOW_ADDRESSES.",
    ),
    Setting(
        name="crawl", kind="true or false", default=True, example="crawl: false",
        purpose="Update the store by a crawl before a build.",
    ),
    Setting(
        name="compare", kind="whole number", default=None, least=0, most=10**12, example="compare: 1000",
        purpose="Number of samples of each shard to compare with the schema of its dataset, by default all of a local "
        "copy and all that a preview has read; 0 compares none. Overrides CATALOG_COMPARE.",
    ),
    Setting(
        name="limits", kind="map", default=None, example="limits: {host_seconds: 600}",
        purpose="Limits of a crawl. Records read before a limit are kept; the next crawl reads the rest.",
    ),
    Setting(
        name="limits.account_seconds", kind="whole number", default=900, least=1, most=86_400,
        example="limits: {account_seconds: 300}",
        purpose="Maximum time in seconds for one account, pauses that its server requests included.",
    ),
    Setting(
        name="limits.host_seconds", kind="whole number", default=1800, least=1, most=604_800,
        example="limits: {host_seconds: 600}",
        purpose="Maximum time in seconds for one host in a crawl, pauses that it requests included.",
    ),
    Setting(
        name="limits.crawl_seconds", kind="whole number", default=7200, least=1, most=604_800,
        example="limits: {crawl_seconds: 1800}", purpose="Maximum time in seconds for a whole crawl.",
    ),
    Setting(
        name="limits.cursor_hours", kind="whole number", default=24, least=1, most=8760,
        example="limits: {cursor_hours: 12}",
        purpose="If a stream was last followed more hours ago, all its accounts are read again, since servers keep "
        "events for one to three days.",
    ),
    Setting(
        name="limits.account_bytes", kind="whole number", default=1_000_000_000, least=100_000, most=10**12,
        example="limits: {account_bytes: 100000000}",
        purpose="Maximum download in bytes for one account in a crawl. A larger single answer, such as a whole "
        "repository, is not downloaded.",
    ),
    Setting(
        name="limits.account_records", kind="whole number", default=100_000, least=1, most=1_000_000,
        example="limits: {account_records: 5000}",
        purpose="Maximum number of records of one account: those already in the store, then the first by name.",
    ),
    Setting(
        name="limits.record_values", kind="whole number", default=200_000, least=1000, most=2**20,
        example="limits: {record_values: 20000}",
        purpose="Maximum number of values and keys in a record: a megabyte of empty lists takes 80 MB of memory.",
    ),
    Setting(
        name="limits.record_versions", kind="whole number", default=1000, least=1, most=1_000_000,
        example="limits: {record_versions: 100}",
        purpose="Maximum number of versions kept of one record, the newest ones; also at most 16 million characters.",
    ),
    Setting(
        name="limits.listing_entries", kind="whole number", default=200_000, least=1, most=100_000_000,
        example="limits: {listing_entries: 10000}",
        purpose="Maximum number of accounts read from one server's list; each takes about 2 kB of memory.",
    ),
    Setting(
        name="limits.listing_errors", kind="whole number", default=1000, least=0, most=1_000_000,
        example="limits: {listing_errors: 100}",
        purpose="Maximum number of malformed entries in a list of accounts or records; after more, reading it stops.",
    ),
    Setting(
        name="search", kind="true, false, or a map", default=True, example="search: true",
        purpose="Show a search box on each page.",
    ),
    Setting(
        name="search.appview", kind="URL of a server", default=None, example="search: {appview: https://appview.example.org}",
        purpose="An AppView that the search box queries, too; without an answer only the site's own index is used.",
    ),
    Setting(
        name="formats", kind="list of ro-crate and datacite", default=[], example="formats: [ro-crate, datacite]",
        purpose="Further files beside the page of a published dataset: `ro-crate-metadata.json` and `datacite.json`.",
    ),
    Setting(
        name="labelers", kind="list of DIDs", default=[], example="labelers: ['did:plc:ar7c4by46qjdydhdevvrndac']",
        purpose="Labelers whose moderation labels are read in each crawl; a record's own labels count, too.",
    ),
    Setting(
        name="labels", kind="map of labels to hide, warn, badge or ignore", default={}, example="labels: {porn: hide}",
        purpose="Actions on labelled records. By default `!hide`, `!takedown` and `!suspend` hide them, `!warn`, "
        "`graphic-media`, `porn`, `sexual`, `nudity` and `spam` show a warning.",
    ),
    Setting(
        name="row_viewer", kind="true, false, or a map", default=True, example="row_viewer: false",
        purpose="On the pages of datasets, a button that shows any sample: the browser reads parts of the shards.",
    ),
    Setting(
        name="row_viewer.hosts", kind="list of hosts", default=[], example="row_viewer: {hosts: [data.example.org]}",
        purpose="Hosts that a page requests without the button, `*` for all.",
    ),
    Setting(
        name="previews", kind="true, false, or a map", default=False, example="previews: true",
        purpose="Show the first samples on the pages of datasets; needs the extra `previews`.",
    ),
    Setting(
        name="previews.samples", kind="whole number", default=8, least=1, most=50, example="previews: {samples: 4}",
        purpose="Number of samples shown of each dataset.",
    ),
    Setting(
        name="previews.shard_bytes", kind="whole number", default=2_000_000, least=10_000, most=100_000_000,
        example="previews: {shard_bytes: 500000}",
        purpose="Maximum number of bytes fetched of a dataset's first shard.",
    ),
    Setting(
        name="previews.total_bytes", kind="whole number", default=500_000_000, least=0, most=10**12,
        example="previews: {total_bytes: 100000000}", purpose="Maximum number of bytes fetched in one build.",
    ),
    Setting(
        name="previews.seconds", kind="whole number", default=300, least=0, most=86_400,
        example="previews: {seconds: 60}", purpose="Maximum time in seconds in one build; the next one continues.",
    ),
    Setting(
        name="previews.datasets", kind="whole number", default=1000, least=0, most=1_000_000,
        example="previews: {datasets: 100}", purpose="Maximum number of datasets, the newest ones.",
    ),
    Setting(
        name="previews.cache_bytes", kind="whole number", default=500_000_000, least=0, most=10**12,
        example="previews: {cache_bytes: 100000000}",
        purpose="Maximum size in bytes of the cache next to the store.",
    ),
    Setting(
        name="appview", kind="map", default=None, example="appview: {url: https://appview.example.org}",
        purpose="Settings of `catalog appview`.",
    ),
    Setting(
        name="appview.url", kind="URL of a server", default=None, example="appview: {url: https://appview.example.org}",
        purpose="The public address of the AppView; if set, it serves a did:web document.",
    ),
    Setting(
        name="appview.index", kind="path", default=None, example="appview: {index: /var/lib/catalog/index}",
        purpose="The folder of the search index; by default next to the store.",
    ),
    Setting(
        name="appview.trusted_proxies", kind="list of addresses and networks", default=[],
        example="appview: {trusted_proxies: [127.0.0.1, 10.0.0.0/8]}",
        purpose="Proxies whose X-Forwarded-For header is trusted; from all others it is ignored.",
    ),
    Setting(
        name="appview.rate_limit", kind="map, or false", default={"requests": 3000, "seconds": 300},
        example="appview: {rate_limit: {requests: 300, seconds: 60}}",
        purpose="Maximum request rate of one client; false for no limit. Both of its keys are required.",
    ),
    Setting(
        name="appview.rate_limit.requests", kind="whole number", default=3000, least=1, most=1_000_000,
        example="appview: {rate_limit: {requests: 300, seconds: 60}}", purpose="Number of requests in that time.",
    ),
    Setting(
        name="appview.rate_limit.seconds", kind="whole number", default=300, least=1, most=86_400,
        example="appview: {rate_limit: {requests: 300, seconds: 60}}", purpose="Length of the time window in seconds.",
    ),
    Setting(
        name="appview.origins", kind="list of origins", default=["*"],
        example="appview: {origins: ['https://data.example.org']}",
        purpose="The origins allowed by CORS; `*` for all.",
    ),
)  # fmt: skip
"""The keys of the block; each map precedes its keys."""

SOURCES: Final = (
    SourceKind(
        name="manifests", value="a folder, or one file", example="manifests: manifests",
        purpose="Drafts, read from YAML manifests, and marked as drafts on the pages.",
    ),
    SourceKind(
        name="car", value="a file, or a pattern of files", example="car: exports/*.car",
        purpose="Exported repositories; with `alice.did.json` next to `alice.car` they are verified offline.",
    ),
    SourceKind(
        name="repo", value="a handle or DID", example="repo: alice.example.org", purpose="One account, on its own PDS.",
    ),
    SourceKind(
        name="pds", value="https URL of a server", example="pds: https://pds.example.org",
        purpose="Every account of a server.",
    ),
    SourceKind(
        name="relay", value="https URL of a server", example="relay: https://relay.example.org",
        purpose="The accounts with datasets that a relay lists, each on its own PDS.",
    ),
    SourceKind(
        name="firehose", value="wss URL of a server", example="firehose: wss://pds.example.org",
        purpose="The event stream of a PDS or relay; each commit is verified from the event itself.",
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
        purpose="The account that publishes and withdraws, if none is given on the command line.",
    ),
    Variable(
        name="CATALOG_APP_PASSWORD", value="an app password",
        purpose="The app password of that account. It is never an argument and never in a file.",
    ),
    Variable(
        name="CATALOG_SESSION", value="a session string",
        purpose="A session in place of a password; overrides CATALOG_APP_PASSWORD.",
    ),
    Variable(
        name="CATALOG_LOGIN_CODE", value="a code",
        purpose="The code of a second factor, for use without a terminal.",
    ),
    Variable(
        name="CATALOG_OAUTH_CLIENT", value="the https address of a client metadata document",
        purpose="The client that `catalog login` names to servers. `catalog login --client-metadata` prints its "
        "document.",
        default="the loopback client of this machine",
    ),
    Variable(
        name="CATALOG_SEARCH", value="store, a path, pds, or an address", default="the store of ./mkdocs.yml",
        purpose="The default of `catalog search --in`.",
    ),
    Variable(
        name="CATALOG_CACHE", value="a folder", default="~/.cache/atdata-catalog",
        purpose="The cache folder: checksums of shards, code of lenses. It can be deleted.",
    ),
    Variable(
        name="CATALOG_CONTACT", value="text",
        purpose="Same as `contact` in the block, for commands that read no mkdocs.yml.",
    ),
    Variable(
        name="CATALOG_COMPARE", value="a whole number", default="all",
        purpose="Same as `compare` in the block, for commands that read no mkdocs.yml, and for publishing from code; "
        "`--compare` overrides it.",
    ),
    Variable(
        name="CATALOG_PLC_URL", value="URL of a server", default="https://plc.directory",
        purpose="The directory that resolves `did:plc` identities.",
    ),
    Variable(
        name="CATALOG_HANDLE_RESOLVER", value="URL of a server",
        purpose="A server that resolves handles, instead of DNS and the handle's own host.",
    ),
    Variable(
        name="CATALOG_ALLOW_LOOPBACK", value="1 or 0", default="0",
        purpose="Allows loopback addresses, also by plain http. For tests, and servers on the same machine.",
    ),
    Variable(
        name="CATALOG_ALLOW_ADDRESSES", value="addresses and networks, with commas between",
        purpose="Same as `allow_addresses` in the block, for commands that read no mkdocs.yml.",
    ),
    Variable(
        name="CATALOG_NO_CRAWL", value="anything but 0", purpose="Build from the store without a crawl.",
    ),
    Variable(
        name="SOURCE_DATE_EPOCH", value="seconds since 1970", default="946684800, the year 2000", others=True,
        purpose="The time of drafts, so that the same manifests give the same site.",
    ),
    Variable(
        name="GITHUB_OUTPUT", value="a file", others=True,
        purpose="File in which `catalog build --if-changed-since` reports to later steps whether to deploy.",
    ),
    Variable(
        name="SSL_CERT_FILE", value="a file of certificates", default="certifi's", others=True,
        purpose="The certificate authorities that TLS trusts, instead of the default ones.",
    ),
    Variable(name="SSL_CERT_DIR", value="a folder of certificates", others=True, purpose="The same, as a folder."),
    Variable(
        name="AWS_ENDPOINT_URL_S3", value="URL of a server", default="AWS", others=True,
        purpose="The S3 endpoint of records without one. Credentials are only used there and at AWS.",
    ),
    Variable(
        name="AWS_ENDPOINT_URL", value="URL of a server", others=True,
        purpose="The same, if AWS_ENDPOINT_URL_S3 is unset.",
    ),
    Variable(name="AWS_REGION", value="a region", others=True, purpose="The region at that endpoint."),
    Variable(
        name="AWS_DEFAULT_REGION", value="a region", others=True, purpose="The same, if AWS_REGION is unset.",
    ),
    Variable(
        name="AWS_ACCESS_KEY_ID", value="a key", others=True,
        purpose="With AWS_SECRET_ACCESS_KEY: credentials, for the extra `s3`. botocore also finds other ones.",
    ),
    Variable(name="AWS_PROFILE", value="a name", others=True, purpose="The profile of `~/.aws` with the credentials."),
)  # fmt: skip
"""The environment variables that are read. An empty one counts as unset."""


def keys_of(inside: str = "") -> tuple[str, ...]:
    """Return the keys of the block, or of a map in it (``"previews"``)."""
    prefix = f"{inside}." if inside else ""
    rest = [setting.name.removeprefix(prefix) for setting in SETTINGS if setting.name.startswith(prefix)]
    return tuple(name for name in rest if "." not in name)
