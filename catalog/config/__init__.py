"""Typed settings, from the ``catalog`` block of ``mkdocs.yml`` and the environment.

Nothing else in ``mkdocs.yml`` is read, and its tags (``!!python/name:…``, ``!relative``) are never run.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from catalog.config.addresses import Networks, read_networks, read_proxies
from catalog.config.table import SETTINGS, SOURCES, keys_of
from catalog.errors import InvalidConfig, InvalidSyntax
from catalog.syntax import AtIdentifier, Did

__all__ = [
    "SOURCE_KINDS", "AppViewSettings", "CatalogSettings", "LimitSettings", "NetworkSettings", "PreviewSettings",
    "Source", "base_url", "cache_folder", "catalog_block", "config_folder", "load_config", "load_settings",
    "read_settings", "samples_to_compare",
]  # fmt: skip

SOURCE_KINDS: Final = tuple(source.name for source in SOURCES)
"""The kinds of source."""

_DEFAULT_STORE: Final = ".catalog/catalog.sqlite"
_RANGES: Final = {
    setting.name: (setting.least, setting.most)
    for setting in SETTINGS
    if setting.least is not None and setting.most is not None
}
"""Setting → minimum and maximum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """Settings for network access.

    ``allow_loopback`` opens loopback addresses, also by plain http: for tests and local networks. ``allow_addresses``
    opens addresses of private networks, by plain http only if a URL spells out the address. ``handle_resolver`` is a
    server that resolves handles instead of DNS and the handle's own host. ``contact`` is sent in the User-Agent header,
    so that operators of servers can reach the operator of the crawler.
    """

    plc_url: str = "https://plc.directory"
    allow_loopback: bool = False
    allow_addresses: Networks = ()
    handle_resolver: str | None = None
    contact: str = ""

    @classmethod
    def from_environment(
        cls, *, contact: str | None = None, allow_addresses: Networks | None = None
    ) -> NetworkSettings:
        """Return the settings of CATALOG_PLC_URL, CATALOG_HANDLE_RESOLVER, CATALOG_CONTACT and CATALOG_ALLOW_….

        An empty variable counts as unset; an argument overrides the environment. Raises
        :class:`InvalidConfig`.
        """
        loopback = _variable("CATALOG_ALLOW_LOOPBACK") or "0"
        if loopback not in ("0", "1"):
            raise InvalidConfig(f"{loopback!r} is neither 1 nor 0", where="CATALOG_ALLOW_LOOPBACK")
        if allow_addresses is None:
            allow_addresses = read_networks(_variable("CATALOG_ALLOW_ADDRESSES") or "", "CATALOG_ALLOW_ADDRESSES")
        plc = _variable("CATALOG_PLC_URL")
        resolver = _variable("CATALOG_HANDLE_RESOLVER")
        name = contact if contact is not None else _variable("CATALOG_CONTACT") or ""
        if not name.isascii() or not all(char.isprintable() for char in name) or len(name) > 200:
            hint = "it is sent in a header"
            raise InvalidConfig("must be at most 200 printable ASCII characters", where="contact", hint=hint)
        return cls(
            plc_url=cls().plc_url if plc is None else base_url(plc, "CATALOG_PLC_URL"),
            allow_loopback=loopback == "1",
            allow_addresses=allow_addresses,
            handle_resolver=None if resolver is None else base_url(resolver, "CATALOG_HANDLE_RESOLVER"),
            contact=name,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source of records. As text: ``pds:https://pds.example.org``.

    ``relay`` lists the accounts that published before a Jetstream was followed.
    """

    kind: str
    value: str
    relay: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        """The kind and the value; names the source in the store and in reports."""
        return f"{self.kind}:{self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewSettings:
    """Limits for fetching the first samples of datasets.

    ``samples`` are shown of each dataset, from at most ``shard_bytes`` bytes of its first shard. All together take at
    most ``total_bytes`` bytes and ``seconds`` seconds in one build, for the ``datasets`` newest. What was fetched is
    kept beside the store, in at most ``cache_bytes`` bytes.
    """

    samples: int = 8
    shard_bytes: int = 2_000_000
    total_bytes: int = 500_000_000
    seconds: int = 300
    datasets: int = 1000
    cache_bytes: int = 500_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """Limits of a crawl.

    The seconds are those of one account, of all work at one host in a crawl, and of a whole crawl, requested pauses
    included. If a stream's cursor is older than ``cursor_hours``, all its accounts are read again.

    ``account_bytes`` is the maximum download for one account, ``account_records`` its maximum number of records.
    ``record_values`` is the maximum number of values and keys in a record, ``record_versions`` that of its versions in
    the store. Of a list of accounts ``listing_entries`` are read, of which ``listing_errors`` may be malformed.
    """

    account_seconds: int = 900
    host_seconds: int = 1800
    crawl_seconds: int = 7200
    cursor_hours: int = 24
    account_bytes: int = 1_000_000_000
    account_records: int = 100_000
    record_values: int = 200_000
    record_versions: int = 1000
    listing_entries: int = 200_000
    listing_errors: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class AppViewSettings:
    """Settings of the AppView.

    ``url`` is its public address; None without one, and then it has no DID document. ``index`` is the folder of the
    search index; None for one next to the store. ``trusted_proxies`` may name their client in ``X-Forwarded-For``;
    the header is ignored from all others. A client may send ``requests`` requests in ``seconds`` seconds; 0 is no
    limit. ``origins`` are the web pages that may send requests from a browser, ``*`` for all.
    """

    url: str | None = None
    index: Path | None = None
    trusted_proxies: Networks = ()
    requests: int = 3000
    seconds: int = 300
    origins: tuple[str, ...] = ("*",)


ACTIONS: Final = ("hide", "warn", "badge", "ignore")
"""Actions on a labelled record: left out, shown with a warning, shown with the label, or none."""
LABEL_ACTIONS: Final = {
    "!hide": "hide", "!takedown": "hide", "!suspend": "hide", "!warn": "warn", "graphic-media": "warn", "porn": "warn",
    "sexual": "warn", "nudity": "warn", "spam": "warn",
}  # fmt: skip
"""The actions of labels where the settings say nothing else; other labels have none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogSettings:
    """The catalog's settings. ``base`` is the directory that relative paths in sources are resolved against.

    ``previews`` is ``None`` if disabled. ``compare`` is the number of samples of each shard to compare with the schema
    of its dataset, ``None`` for all. ``label_actions`` are ``hide``, ``warn`` or ``badge`` by the value of a label.
    """

    store: Path
    sources: tuple[Source, ...] = ()
    deny: tuple[Did, ...] = ()
    network: NetworkSettings = field(default_factory=NetworkSettings)
    compare: int | None = None
    limits: LimitSettings = field(default_factory=LimitSettings)
    previews: PreviewSettings | None = None
    appview: AppViewSettings = field(default_factory=AppViewSettings)
    labelers: tuple[Did, ...] = ()
    label_actions: Mapping[str, str] = field(default_factory=lambda: dict(LABEL_ACTIONS))
    base: Path = Path()


def load_config(mkdocs_yml: Path) -> dict[str, Any]:
    """A whole MkDocs configuration file; a value under a tag is None. Raises :class:`InvalidConfig`."""
    try:
        config = yaml.load(mkdocs_yml.read_bytes(), Loader=_Loader)  # noqa: S506 — a SafeLoader
    except OSError as error:
        hint = "run it where mkdocs.yml is, or name it with --config"
        raise InvalidConfig(f"can't be read: {error.strerror}", where=str(mkdocs_yml), hint=hint) from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = str(mkdocs_yml) if mark is None else f"{mkdocs_yml}:{mark.line + 1}"
        raise InvalidConfig(f"not YAML: {getattr(error, 'problem', None) or 'unreadable'}", where=where) from None
    return config if isinstance(config, dict) else {}


def load_settings(mkdocs_yml: Path) -> CatalogSettings:
    """The settings of a MkDocs configuration file. Raises :class:`InvalidConfig`."""
    block = catalog_block(load_config(mkdocs_yml))
    if block is None:
        raise InvalidConfig("no catalog plugin", where=str(mkdocs_yml), hint="add '- catalog:' under plugins:")
    try:
        return read_settings(block, mkdocs_yml.resolve().parent)
    except InvalidConfig as error:
        error.within(f"{mkdocs_yml}: plugins.catalog")
        raise


def read_settings(mapping: Mapping[str, object], base: Path) -> CatalogSettings:
    """The settings of a ``catalog`` block; relative paths start at ``base``. Raises :class:`InvalidConfig`."""
    _refuse_unknown(mapping, "")
    store = mapping.get("store")
    contact, allowed = mapping.get("contact"), mapping.get("allow_addresses")
    return CatalogSettings(
        store=base / (_DEFAULT_STORE if store is None else _text(store, "store")),
        sources=_sources(mapping.get("sources")),
        deny=_dids(mapping.get("deny"), "deny"),
        network=NetworkSettings.from_environment(
            contact=None if contact is None else _text(contact, "contact"),
            allow_addresses=None if allowed is None else read_networks(allowed, "allow_addresses"),
        ),
        compare=samples_to_compare() if mapping.get("compare") is None else _number(mapping["compare"], "compare"),
        limits=LimitSettings(**_numbers(mapping.get("limits"), "limits")),
        previews=_previews(mapping.get("previews")),
        appview=_appview(mapping.get("appview"), base),
        labelers=_dids(mapping.get("labelers"), "labelers"),
        label_actions=_label_actions(mapping.get("labels")),
        base=base,
    )


def _sources(value: object) -> tuple[Source, ...]:
    items = [] if value is None else value
    if not isinstance(items, list | tuple):
        raise InvalidConfig("must be a list", where="sources", hint="start each source with a dash")
    found = tuple(_source(item, f"sources[{index}]") for index, item in enumerate(items))
    for index, source in enumerate(found):
        if source in found[:index]:
            raise InvalidConfig(f"{source} is listed twice", where=f"sources[{index}]")
    return found


def _source(item: object, where: str) -> Source:
    relay = None
    if isinstance(item, Mapping) and len(item) == 2 and {"jetstream", "relay"} == set(item):
        relay = base_url(_text(item["relay"], f"{where}.relay"), f"{where}.relay")
        item = {"jetstream": item["jetstream"]}
    if not isinstance(item, Mapping) or len(item) != 1:
        raise InvalidConfig("must be one 'kind: value'", where=where, hint="for example 'repo: alice.example.org'")
    ((kind, value),) = item.items()
    if kind not in SOURCE_KINDS:
        raise InvalidConfig(f"unknown source {kind!r}", where=where, hint=f"known: {', '.join(SOURCE_KINDS)}")
    text = _text(value, f"{where}.{kind}")
    if kind in ("pds", "relay"):
        text = base_url(text, f"{where}.{kind}")
    elif kind in ("firehose", "jetstream"):
        text = base_url(text, f"{where}.{kind}", schemes=("wss", "ws"))
    elif kind == "repo":
        try:
            text = str(AtIdentifier.parse(text.removeprefix("@")))
        except InvalidSyntax as error:
            raise InvalidConfig(error.what, where=f"{where}.repo", hint=error.hint) from None
    return Source(kind=kind, value=text, relay=relay)


def _dids(value: object, where: str) -> tuple[Did, ...]:
    items = [] if value is None else value
    if not isinstance(items, list | tuple):
        raise InvalidConfig("must be a list of DIDs", where=where)
    try:
        return tuple(Did.parse(item) for item in items)
    except InvalidSyntax as error:
        raise InvalidConfig(error.what, where=where, hint=f"handles change hands; {where} takes DIDs") from None


def _label_actions(value: object) -> dict[str, str]:
    chosen = {} if value is None else value
    hint = "for example {porn: hide, experimental: badge}"
    if not isinstance(chosen, Mapping):
        raise InvalidConfig("must be a map of labels to actions", where="labels", hint=hint)
    for label, action in chosen.items():
        if not isinstance(label, str) or action not in ACTIONS:
            raise InvalidConfig(f"must be one of {', '.join(ACTIONS)}", where=f"labels.{label}", hint=hint)
    actions = {**LABEL_ACTIONS, **chosen}
    return {label: action for label, action in actions.items() if action != "ignore"}


def _previews(value: object) -> PreviewSettings | None:
    if value is None or value is False:
        return None
    caps = {} if value is True else value
    if not isinstance(caps, Mapping):
        raise InvalidConfig("must be true, false, or a map of caps", where="previews", hint="for example {samples: 8}")
    return PreviewSettings(**_numbers(caps, "previews"))


def _numbers(value: object, block: str) -> dict[str, int]:
    """A map of whole numbers, each within the range that the table of settings gives."""
    known, numbers = keys_of(block), {} if value is None else value
    if not isinstance(numbers, Mapping):
        raise InvalidConfig("must be a map of whole numbers", where=block, hint=f"known: {', '.join(known)}")
    _refuse_unknown(numbers, block)
    return {str(name): _number(number, f"{block}.{name}") for name, number in numbers.items()}


def _number(value: object, where: str) -> int:
    least, most = _RANGES[where]
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InvalidConfig(f"must be a whole number from {least:,} to {most:,}", where=where)
    return value


def _refuse_unknown(names: Iterable[object], block: str) -> None:
    known = keys_of(block)
    for name in names:
        if name not in known:
            near = get_close_matches(str(name), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            what = "unknown setting" if block else f"unknown setting {str(name)!r}"
            raise InvalidConfig(what, where=f"{block}.{name}"[:100] if block else None, hint=hint)


def _appview(value: object, base: Path) -> AppViewSettings:
    block, known = {} if value is None else value, keys_of("appview")
    if not isinstance(block, Mapping):
        raise InvalidConfig("must be a map of settings", where="appview", hint=f"known: {', '.join(known)}")
    _refuse_unknown(block, "appview")
    url, index = block.get("url"), block.get("index")
    requests, seconds = _rate(block.get("rate_limit"))
    return AppViewSettings(
        url=None if url is None else base_url(_text(url, "appview.url"), "appview.url"),
        index=None if index is None else base / _text(index, "appview.index"),
        trusted_proxies=read_proxies(block.get("trusted_proxies"), "appview.trusted_proxies"),
        requests=requests,
        seconds=seconds,
        origins=_origins(block.get("origins")),
    )


def _rate(value: object) -> tuple[int, int]:
    usual = AppViewSettings()
    if value is None or value is True:
        return usual.requests, usual.seconds
    if value is False:
        return 0, usual.seconds
    where, hint = "appview.rate_limit", "for example {requests: 3000, seconds: 300}, or false"
    if not isinstance(value, Mapping) or set(value) != {"requests", "seconds"}:
        raise InvalidConfig("must have requests and seconds", where=where, hint=hint)
    return _number(value["requests"], f"{where}.requests"), _number(value["seconds"], f"{where}.seconds")


def _origins(value: object) -> tuple[str, ...]:
    where = "appview.origins"
    items = AppViewSettings().origins if value is None else value
    if not isinstance(items, list | tuple):
        raise InvalidConfig("must be a list of origins", where=where, hint="for example [https://data.example.org]")
    return tuple("*" if item == "*" else base_url(_text(item, where), where) for item in items)


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise InvalidConfig("must be text, and not empty", where=where)
    return value


def base_url(text: str, where: str, *, schemes: tuple[str, ...] = ("https", "http")) -> str:
    """Return a server's address, which has no path: ``https://pds.example.org``. Raises :class:`InvalidConfig`."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in schemes or not parts.hostname or parts.username is not None:
        raise InvalidConfig(f"{text[:200]!r} is not the URL of a server", where=where, hint=f"{schemes[0]}://host")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise InvalidConfig("must be a server without a path", where=where, hint=f"{parts.scheme}://{parts.hostname}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + ("" if port is None else f":{port}")


def _variable(name: str) -> str | None:
    return os.environ.get(name) or None


def samples_to_compare() -> int | None:
    """Return the number in CATALOG_COMPARE; ``None`` for all samples. Raises :class:`InvalidConfig`."""
    text = _variable("CATALOG_COMPARE")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 12:
        hint = "unset it for all samples"
        raise InvalidConfig(f"{text[:50]!r} is not a whole number", where="CATALOG_COMPARE", hint=hint)
    return int(text)


def cache_folder() -> Path:
    """Return the cache folder: ``$CATALOG_CACHE``, else ``~/.cache/atdata-catalog``."""
    return Path(_variable("CATALOG_CACHE") or Path.home() / ".cache" / "atdata-catalog")


def config_folder() -> Path:
    """Return the folder of stored sessions: ``%APPDATA%`` or ``$XDG_CONFIG_HOME``, else ``~/.config``."""
    base = _variable("APPDATA") if os.name == "nt" else _variable("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "atdata-catalog"


def catalog_block(config: Mapping[str, Any]) -> Mapping[str, object] | None:
    """Return the options of our plugin, in any form that MkDocs accepts; None if it isn't enabled."""
    plugins = config.get("plugins")
    entries = plugins if isinstance(plugins, list) else [plugins]
    for entry in entries:
        if entry == "catalog":
            return {}
        if isinstance(entry, dict) and "catalog" in entry:
            options = entry["catalog"]
            if options is None:
                return {}
            if not isinstance(options, dict):
                raise InvalidConfig("must be a map of settings", where="plugins.catalog")
            return {str(key): value for key, value in options.items()}
    return None


class _Loader(yaml.SafeLoader):
    """A safe loader for MkDocs's YAML: ``!ENV`` is read as MkDocs does, every other tag is None."""


def _environment(loader: yaml.SafeLoader, node: yaml.Node) -> object:
    if isinstance(node, yaml.ScalarNode):
        return os.environ.get(str(loader.construct_scalar(node)))
    if not isinstance(node, yaml.SequenceNode):
        return None
    items = loader.construct_sequence(node)
    for name in items if len(items) == 1 else items[:-1]:
        if isinstance(name, str) and name in os.environ:
            return os.environ[name]
    return items[-1] if len(items) > 1 else None


def _nothing(_loader: yaml.SafeLoader, _suffix: str, _node: yaml.Node) -> None:
    return None


_Loader.add_constructor("!ENV", _environment)
_Loader.add_multi_constructor("!", _nothing)
_Loader.add_multi_constructor("tag:yaml.org,2002:python/", _nothing)
