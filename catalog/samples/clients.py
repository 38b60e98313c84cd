"""Clients that are passed to samples, datasets and lenses: ours, or one of the atproto SDK.

::

    Digit.publish_to_atproto(client)  ─┐
    dataset.publish_to_atproto(…)      ├─▶ CatalogClient ─▶ drafts ─▶ plan, apply (as for manifests) ─▶ PDS
    lens.publish_to_atproto(client)   ─┘
    Dataset.from_atproto(client, uri) ───▶ its connections ─▶ records

``samples`` may not import ``publish`` or ``client``, so callers pass the client.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol, cast

from catalog.atproto.sdk import is_sdk_client

if TYPE_CHECKING:
    from catalog.atproto.sdk import SdkClient
    from catalog.config import NetworkSettings
    from catalog.network import http
    from catalog.records.fetch import Reader
    from catalog.syntax import AtUri

_OURS: Final = __name__.partition(".")[0]
_EITHER: Final = "a client is a catalog.Client, or a client of the atproto SDK"
NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A line of the user's code; error messages start with it: ``digits.py:12: …``."""

    file: Path
    line: int

    @classmethod
    def of(cls, defined: type | object) -> Place | None:
        """Return the definition of a class or function, ``None`` if it has no source file."""
        try:
            file = inspect.getsourcefile(defined)  # type: ignore[arg-type] # raises TypeError for what has none
            _, line = inspect.getsourcelines(defined)  # type: ignore[arg-type]
        except (OSError, TypeError):
            return None
        return None if file is None else cls(file=Path(file), line=max(line, 1))

    @classmethod
    def of_caller(cls) -> Place:
        """Return the line of code that called into this package."""
        frame = sys._getframe()  # noqa: SLF001 - the documented way to the caller
        while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__")):
            frame = frame.f_back
        return cls(file=Path(frame.f_code.co_filename), line=frame.f_lineno)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedShard:
    """One shard of a dataset to publish.

    ``url`` is https, or ``s3://bucket/key`` (with ``endpoint`` and ``region`` if the bucket needs them). ``local`` is a
    copy on this machine, hashed when publishing; it must match ``sha256`` (hex) and ``bytes`` if they are given.
    """

    url: str
    local: Path | None = None
    sha256: str | None = None
    bytes: int | None = None
    endpoint: str | None = None
    region: str | None = None


class CatalogClient(Protocol):
    """The client that reads and publishes records: ``catalog.client.Client``, or one with the same members.

    Its methods return the URI of the record; :class:`~catalog.publish.from_code.CodePublisher` documents them.
    """

    @property
    def http(self) -> http.Client:
        """The guarded HTTP client."""
        ...

    @property
    def settings(self) -> NetworkSettings:
        """The network settings, also for opening shards."""
        ...

    @property
    def publish_schema(self) -> Callable[..., AtUri]:
        """Publish one version of a schema."""
        ...

    @property
    def publish_dataset(self) -> Callable[..., AtUri]:
        """Publish a dataset, and its label if it has a ``version``."""
        ...

    @property
    def publish_lens(self) -> Callable[..., AtUri]:
        """Publish a lens between two schemas."""
        ...


@contextmanager
def open_publisher(client: CatalogClient | SdkClient) -> Iterator[CatalogClient]:
    """Yield the client to publish with: this one, or for a client of the atproto SDK one of ours with its session.

    Raises :class:`~catalog.errors.SessionError` for an SDK client without a session, TypeError for other objects.
    """
    if is_sdk_client(client):
        # By name, as `samples` may not import `client`: this is the only call of a higher layer.
        with resolve_name("catalog.client:Client").from_sdk(client) as ours:
            yield ours
    elif any(hasattr(client, name) for name in ("publish_schema", "publish_dataset", "publish_lens")):
        yield cast("CatalogClient", client)
    else:
        raise TypeError(f"{_EITHER}, not {type(client).__name__}")


@contextmanager
def open_reader(client: CatalogClient | SdkClient | None, settings: NetworkSettings | None) -> Iterator[Reader]:
    """Yield a reader of records that uses the connections of a client of ours, else its own.

    Records are public, so of a client of the atproto SDK nothing is used: it need not be logged in. By default the
    settings are those of ``client``, without one those of the environment. Raises TypeError for other objects.
    """
    from catalog.config import NetworkSettings
    from catalog.network import http
    from catalog.records.fetch import Reader

    ours: CatalogClient | None = None if is_sdk_client(client) else cast("CatalogClient | None", client)
    if ours is not None and not hasattr(ours, "http"):
        raise TypeError(f"{_EITHER}, not {type(client).__name__}")
    if settings is None:
        settings = NetworkSettings.from_environment() if ours is None else ours.settings
    with http.Client(settings) if ours is None else nullcontext(ours.http) as connection:
        yield Reader(connection, settings)


def _is_ours(module: object) -> bool:
    return isinstance(module, str) and (module == _OURS or module.startswith(f"{_OURS}."))
