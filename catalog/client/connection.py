"""The client: one network connection, one account at most, and all that goes through them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar, cast

from catalog import records
from catalog.atproto.credentials import open_session
from catalog.atproto.identity import Resolver
from catalog.client.discovery import Search, Where
from catalog.client.filters import Wanted, schema_name, tags_of
from catalog.client.records import Finding, Records
from catalog.config import NetworkSettings
from catalog.network import http
from catalog.publish.from_code import CodePublisher
from catalog.records.fetch import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from catalog.atproto.session import Session
    from catalog.client.results import Results
    from catalog.errors import Fault
    from catalog.records import Record
    from catalog.store import Store
    from catalog.syntax import AtUri, Did

__all__ = ["Client"]

R = TypeVar("R", bound="Record")


class Client(CodePublisher):
    """A connection to the network: anonymous for reading, ``Client.login(…)`` for publishing too.

    A context manager; one thread at a time. ``http`` is its guarded HTTP client, ``resolver`` looks accounts up,
    ``records`` reads single records. Every method may raise a :class:`~catalog.errors.NetworkError`.
    """

    def __init__(self, settings: NetworkSettings | None = None) -> None:
        """``settings`` are the environment's unless given; those may raise :class:`~catalog.errors.InvalidConfig`."""
        if not isinstance(settings, NetworkSettings | None):
            raise TypeError("Client(settings) takes NetworkSettings; with an account: Client.login(account)")
        self.settings = settings or NetworkSettings.from_environment()
        self.http = http.Client(self.settings)
        self.resolver = Resolver(self.http, self.settings)
        self.records = Records(Reader(self.http, self.settings))
        self._session: Session | None = None

    @classmethod
    def login(cls, account: str, password: str | None = None, *, settings: NetworkSettings | None = None) -> Self:
        """A client for the account of a handle or DID.

        ``password`` is an app password; without one CATALOG_SESSION, CATALOG_APP_PASSWORD or the keyring of
        ``catalog login`` has it. Raises :class:`~catalog.errors.SessionError` when there is none or it is
        refused, and :class:`~catalog.errors.UnknownIdentity`.
        """
        client = cls(settings)
        try:
            client._session = open_session(client.http, client.resolver, account, password=password)
        except BaseException:
            client.close()
            raise
        return client

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    def __repr__(self) -> str:
        """Who is logged in; no secrets."""
        return "Client()" if self._session is None else f"Client(did={str(self._session.did)!r})"

    @property
    def did(self) -> Did | None:
        """The account that is logged in."""
        return None if self._session is None else self._session.did

    @property
    def handle(self) -> str | None:
        """Its handle, or its DID when it has none that points back."""
        return None if self._session is None else self._session.handle

    def _by_did(self, uri: AtUri) -> AtUri:
        return self.records.by_did(uri)

    # --- finding -------------------------------------------------------------------------------------------------

    def datasets(
        self,
        publisher: str | None = None,
        schema: str | None = None,
        tag: str | Sequence[str] | None = None,
        text: str | None = None,
        *,
        pds: str | None = None,
        store: Path | str | Store | None = None,
        appview: str | None = None,
        site: str | None = None,
        refused: list[Fault] | None = None,
    ) -> Iterator[Finding[records.Dataset]]:
        """The datasets of a publisher, a PDS, a crawled store, an AppView, or a catalog's hosted ``site``.

        ``publisher`` is a handle or DID: the place to look, or beside another place a condition. ``schema`` is an
        at:// URI, ``Name`` (any version) or ``Name@1.0.0``. Every ``tag`` must be there, and every word of ``text``
        must stand in name, description or tags. Records that can't be read are passed over, and noted in ``refused``.

        Raises at once :class:`~catalog.errors.InvalidConfig` when nothing says where to look (or too much), and
        :class:`~catalog.errors.InvalidSyntax`; while reading a :class:`~catalog.errors.NetworkError` when the named
        place doesn't answer, and :class:`~catalog.errors.StoreError`.
        """
        wanted = Wanted(text=text, tags=tags_of(tag), schema=schema_name(schema, "schema"))
        where = _where(publisher, pds, store, appview, site)
        return cast("Iterator[Finding[records.Dataset]]", self._search(where, records.DATASET, wanted, refused))

    def schemas(
        self,
        publisher: str | None = None,
        text: str | None = None,
        tag: str | Sequence[str] | None = None,
        *,
        pds: str | None = None,
        store: Path | str | Store | None = None,
        appview: str | None = None,
        site: str | None = None,
        refused: list[Fault] | None = None,
    ) -> Iterator[Finding[records.Schema]]:
        """Schemas; as :meth:`datasets`."""
        wanted = Wanted(text=text, tags=tags_of(tag))
        where = _where(publisher, pds, store, appview, site)
        return cast("Iterator[Finding[records.Schema]]", self._search(where, records.SCHEMA, wanted, refused))

    def lenses(
        self,
        publisher: str | None = None,
        source: str | None = None,
        target: str | None = None,
        *,
        pds: str | None = None,
        store: Path | str | Store | None = None,
        appview: str | None = None,
        site: str | None = None,
        refused: list[Fault] | None = None,
    ) -> Iterator[Finding[records.Lens]]:
        """Lenses, by the schemas they lead from and to; as :meth:`datasets`."""
        wanted = Wanted(source=schema_name(source, "source"), target=schema_name(target, "target"))
        where = _where(publisher, pds, store, appview, site)
        return cast("Iterator[Finding[records.Lens]]", self._search(where, records.LENS, wanted, refused))

    def search(
        self,
        text: str = "",
        *,
        kinds: Sequence[str] = (),
        publisher: str | None = None,
        schema: str | None = None,
        tag: str | Sequence[str] | None = None,
        license: str | None = None,  # noqa: A002 - as records spell it
        dtype: str | None = None,
        limit: int = 20,
        pds: str | None = None,
        store: Path | str | Store | None = None,
        appview: str | None = None,
        site: str | None = None,
        refused: list[Fault] | None = None,
    ) -> Results:
        """The best results for some words among datasets, schemas and lenses, as ``catalog search`` has them.

        Every word must be there; one that nothing has stands for words that begin so or are a slip away, and ``word*``
        for all that begin so. ``kinds`` are of dataset, schema and lens; ``schema`` and ``dtype`` are those of
        datasets. The place is one of those of :meth:`datasets`; ``site`` may be an AppView's address, too. Records of
        sites and AppViews have the CID they are told to have, but nobody proved who signed them. Those that are broken
        are passed over, and noted in ``refused``.

        Raises :class:`~catalog.errors.InvalidConfig` when nothing says where to look, or the place can't be searched
        so, :class:`~catalog.errors.InvalidSyntax`, a :class:`~catalog.errors.NetworkError`, and
        :class:`~catalog.errors.StoreError`.
        """
        from catalog.client.results import Sought
        from catalog.client.search import find

        sought = Sought(
            text=text,
            kinds=tuple(kinds),
            tags=tags_of(tag),
            license=license,
            schema=schema_name(schema, "schema"),
            dtype=dtype,
            publisher=publisher,
            limit=limit,
        )
        refuse = (lambda _fault: None) if refused is None else refused.append
        return find(self.records, sought, _where(publisher, pds, store, appview, site), refuse)

    def _search(
        self, where: Where, collection: str, wanted: Wanted, refused: list[Fault] | None
    ) -> Iterator[Finding[Record]]:
        refuse = (lambda _fault: None) if refused is None else refused.append
        return iter(Search(self.records, where=where, collection=collection, wanted=wanted, refuse=refuse))


def _where(
    publisher: str | None, pds: str | None, store: Path | str | Store | None, appview: str | None, site: str | None
) -> Where:
    place = Path(store) if isinstance(store, str) else store
    return Where(publisher=publisher, pds=pds, store=place, appview=appview, site=site)
