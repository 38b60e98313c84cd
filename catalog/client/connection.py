"""The client: network access with an optional account, for reading, searching and publishing."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar, cast

from catalog import records
from catalog.atproto.credentials import open_session
from catalog.atproto.identity import Resolver
from catalog.atproto.sdk import SdkSession
from catalog.atproto.session import Session
from catalog.client.discovery import Search, SearchPlace
from catalog.client.filters import RecordFilter, schema_name, tags_of
from catalog.client.records import Finding, Records
from catalog.config import NetworkSettings
from catalog.errors import SessionError
from catalog.network import http
from catalog.publish.from_code import CodePublisher
from catalog.publish.schemas import published_schemas
from catalog.records.fetch import Reader

if TYPE_CHECKING:
    from catalog.atproto.sdk import SdkClient
    from catalog.client.results import Results
    from catalog.errors import Fault
    from catalog.manifest import ManifestSet
    from catalog.records import Record
    from catalog.schema import SampleType
    from catalog.store import Store
    from catalog.syntax import AtUri, Did

R = TypeVar("R", bound="Record")


class Client(CodePublisher):
    """A client of the network: anonymous for reading, or with an account by ``Client.login(…)`` for publishing.

    A context manager, not thread-safe. ``http`` is its guarded HTTP client, ``resolver`` looks up accounts, and
    ``records`` reads single records. Every method may raise a :class:`~catalog.errors.NetworkError`.
    """

    def __init__(self, settings: NetworkSettings | None = None) -> None:
        """Without ``settings``, read those of the environment. Raises :class:`~catalog.errors.InvalidConfig`."""
        if not isinstance(settings, NetworkSettings | None):
            raise TypeError("Client(settings) takes NetworkSettings; with an account: Client.login(account)")
        self.settings = settings or NetworkSettings.from_environment()
        self.http = http.Client(self.settings)
        self.resolver = Resolver(self.http, self.settings)
        self.records = Records(Reader(self.http, self.settings))
        self._session: Session | None = None

    @classmethod
    def login(cls, account: str, password: str | None = None, *, settings: NetworkSettings | None = None) -> Self:
        """Return a client that is logged in to the account of a handle or DID.

        ``password`` is an app password. Without one, CATALOG_SESSION, CATALOG_APP_PASSWORD or the keyring of ``catalog
        login`` is used. Raises :class:`~catalog.errors.SessionError` if there is none or the server rejects it, and
        :class:`~catalog.errors.UnknownIdentity`.
        """
        return cls._opened(
            lambda client: open_session(client.http, client.resolver, account, password=password), settings
        )

    @classmethod
    def from_session(cls, session_string: str, *, settings: NetworkSettings | None = None) -> Self:
        """Return a client with an exported session, of :meth:`export_session` or of the atproto SDK.

        The account's server is looked up, not taken from the text. Raises :class:`~catalog.errors.SessionError` for
        another text, and :class:`~catalog.errors.UnknownIdentity`.
        """
        return cls._opened(lambda client: Session.of_string(client.http, client.resolver, session_string), settings)

    @classmethod
    def from_sdk(cls, client: SdkClient, *, settings: NetworkSettings | None = None) -> Self:
        """Return a client with the session of a logged-in ``atproto.Client`` of the atproto SDK for Python.

        Both use the session: tokens that one of them renews are used by the other, and the SDK client calls its
        callbacks for a changed session. Raises :class:`~catalog.errors.SessionError` for a client that is logged out
        or an ``AsyncClient``, and :class:`~catalog.errors.UnknownIdentity`.
        """
        return cls._opened(lambda ours: SdkSession(ours.http, ours.resolver, client), settings)

    @classmethod
    def _opened(cls, log_in: Callable[[Self], Session], settings: NetworkSettings | None) -> Self:
        client = cls(settings)
        try:
            client._session = log_in(client)
        except BaseException:
            client.close()
            raise
        return client

    def export_session(self) -> str:
        """Return the session as text, a secret, for :meth:`from_session` or ``atproto.Client.login(session_string=…)``.

        Raises :class:`~catalog.errors.SessionError` without a login.
        """
        if self._session is None:
            raise SessionError("there is no session to export", hint="Client.login('alice.example.org')")
        return self._session.export()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    def __repr__(self) -> str:
        """The client with its account, without secrets."""
        return "Client()" if self._session is None else f"Client(did={str(self._session.did)!r})"

    @property
    def did(self) -> Did | None:
        """The DID of the account; None for an anonymous client."""
        return None if self._session is None else self._session.did

    @property
    def handle(self) -> str | None:
        """The handle of the account, or its DID if it has no verified handle."""
        return None if self._session is None else self._session.handle

    def _by_did(self, uri: AtUri) -> AtUri:
        return self.records.by_did(uri)

    def _published_schemas(self, manifests: ManifestSet) -> Mapping[AtUri, SampleType]:
        return published_schemas(manifests, self.http, self.resolver, read_urls=False, report=warnings.warn)

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
        """Return the datasets of a publisher, a PDS, a crawled store, an AppView, or a catalog's hosted ``site``.

        ``publisher`` is a handle or DID: the place to search, or a condition beside another place. ``schema`` is an
        at:// URI, ``Name`` (any version) or ``Name@1.0.0``. Every ``tag`` is required, and every word of ``text`` must
        occur in the name, description or tags. Invalid records are skipped, and added to ``refused``.

        Raises :class:`~catalog.errors.InvalidConfig` for no place or more than one, and
        :class:`~catalog.errors.InvalidSyntax`. Iterating raises a :class:`~catalog.errors.NetworkError` if the place
        doesn't answer, and :class:`~catalog.errors.StoreError`.
        """
        record_filter = RecordFilter(text=text, tags=tags_of(tag), schema=schema_name(schema, "schema"))
        where = _where(publisher, pds, store, appview, site)
        return cast("Iterator[Finding[records.Dataset]]", self._search(where, records.DATASET, record_filter, refused))

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
        """Return schemas. See :meth:`datasets`."""
        record_filter = RecordFilter(text=text, tags=tags_of(tag))
        where = _where(publisher, pds, store, appview, site)
        return cast("Iterator[Finding[records.Schema]]", self._search(where, records.SCHEMA, record_filter, refused))

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
        """Return lenses by their source and target schema. See :meth:`datasets`."""
        record_filter = RecordFilter(source=schema_name(source, "source"), target=schema_name(target, "target"))
        where = _where(publisher, pds, store, appview, site)
        return cast("Iterator[Finding[records.Lens]]", self._search(where, records.LENS, record_filter, refused))

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
        """Return the best results of a full-text search of datasets, schemas and lenses, like ``catalog search``.

        Records with every word come first; if they are few, records with most of the words follow. Other forms of a
        word match too. A word that no record has matches words with that prefix or a similar spelling; ``word*``
        matches all words with the prefix. ``kinds`` are dataset, schema and lens; ``schema`` and ``dtype``
        are conditions on datasets. The places are those of :meth:`datasets`; ``site`` may also be the URL of an
        AppView. Records of sites and AppViews are checked against their CID, but their signatures are not verified.
        Invalid ones are skipped, and added to ``refused``.

        Raises :class:`~catalog.errors.InvalidConfig` for no place or a condition that the place doesn't support,
        :class:`~catalog.errors.InvalidSyntax`, a :class:`~catalog.errors.NetworkError`, and
        :class:`~catalog.errors.StoreError`.
        """
        from catalog.client.results import SearchQuery
        from catalog.client.search import find

        query = SearchQuery(
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
        return find(self.records, query, _where(publisher, pds, store, appview, site), refuse)

    def _search(
        self, where: SearchPlace, collection: str, record_filter: RecordFilter, refused: list[Fault] | None
    ) -> Iterator[Finding[Record]]:
        refuse = (lambda _fault: None) if refused is None else refused.append
        return iter(
            Search(self.records, where=where, collection=collection, record_filter=record_filter, refuse=refuse)
        )


def _where(
    publisher: str | None, pds: str | None, store: Path | str | Store | None, appview: str | None, site: str | None
) -> SearchPlace:
    place = Path(store) if isinstance(store, str) else store
    return SearchPlace(publisher=publisher, pds=pds, store=place, appview=appview, site=site)
