"""The client: one network connection, one account at most, and all that goes through them."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self, TypeVar, cast

from catalog import records
from catalog.atproto.credentials import open_session
from catalog.atproto.identity import Resolver
from catalog.client.discovery import Search, Where
from catalog.client.filters import Wanted, schema_name, tags_of
from catalog.client.records import Finding, Records
from catalog.config import NetworkSettings
from catalog.errors import SessionError
from catalog.network import http
from catalog.publish import publish_drafts
from catalog.publish.drafts import Drafting
from catalog.records.fetch import Reader
from catalog.samples.publishing import Place
from catalog.schema import SampleType
from catalog.syntax import AtUri

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType

    from catalog.atproto.datamodel import Json
    from catalog.atproto.session import Session
    from catalog.client.results import Results
    from catalog.errors import Fault
    from catalog.manifest import DraftKey
    from catalog.records import CodeReference, Record
    from catalog.samples.publishing import PublishedShard
    from catalog.store import Store
    from catalog.syntax import Did

__all__ = ["Client"]

R = TypeVar("R", bound="Record")

_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


class Client:
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

    # --- publishing ----------------------------------------------------------------------------------------------

    def publish_schema(
        self,
        sample_type: SampleType,
        *,
        license: str | None = None,  # noqa: A002 - as records spell it
        tags: Sequence[str] = (),
        place: Place | None = None,
    ) -> AtUri:
        """Publish one version of a schema, and answer its address.

        What is there with the same content stays as it is. Raises :class:`~catalog.errors.PublishError` when other
        content is there, :class:`~catalog.errors.InvalidManifest` with every fault of the record,
        :class:`~catalog.errors.SessionError` without a login, or another :class:`~catalog.errors.NetworkError`;
        an error begins with ``place``, without one with the line that called.
        """
        key = (records.SCHEMA, sample_type.name, sample_type.version)
        return self._publish(key, place, lambda drafting: drafting.schema(sample_type, license_=license, tags=tags))

    def publish_dataset(
        self,
        *,
        name: str,
        schema: AtUri | SampleType,
        shards: Sequence[PublishedShard],
        samples: int | None = None,
        version: str | None = None,
        description: str | None = None,
        license: str | None = None,  # noqa: A002 - as records spell it
        tags: Sequence[str] = (),
        metadata: Mapping[str, object] = _NOTHING,
        content_metadata: Json = None,
        place: Place | None = None,
    ) -> AtUri:
        """Publish a dataset, with a ``version`` its label, and its schema when a sample type is given.

        Answers the dataset's address. ``samples`` is their number, ``metadata`` a map of anything,
        ``content_metadata`` what programs are to read. Raises as :meth:`publish_schema`,
        :class:`~catalog.errors.InvalidManifest` also for a local shard that isn't the one promised.
        """

        def draft(drafting: Drafting) -> None:
            drafting.dataset(
                name=name,
                schema=self._reference(schema),
                shards=shards,
                samples=samples,
                version=version,
                description=description,
                license_=license,
                tags=tags,
                metadata=metadata,
                content_metadata=content_metadata,
            )

        return self._publish((records.DATASET, name, ""), place, draft)

    def publish_lens(
        self,
        *,
        name: str,
        source: AtUri | SampleType,
        target: AtUri | SampleType,
        getter: CodeReference,
        putter: CodeReference,
        description: str | None = None,
        place: Place | None = None,
    ) -> AtUri:
        """Publish a lens, and its schemas where sample types are given, and answer its address.

        Raises as :meth:`publish_schema`.
        """

        def draft(drafting: Drafting) -> None:
            drafting.lens(
                name=name,
                source=self._reference(source),
                target=self._reference(target),
                getter=getter,
                putter=putter,
                description=description,
            )

        return self._publish((records.LENS, name, ""), place, draft)

    def _publish(self, key: DraftKey, place: Place | None, draft: Callable[[Drafting], object]) -> AtUri:
        """Draft, and publish as manifests are; the address of the record that ``key`` names."""
        if self._session is None:
            raise SessionError("publishing needs a login", hint="with Client.login('alice.example.org') as client:")
        drafting = Drafting(place or Place.of_caller())
        draft(drafting)
        done = publish_drafts(drafting.finish(), self._session)
        return next(one.uri for one in done if one.key == key)

    def _reference(self, schema: object) -> AtUri | SampleType:
        """What may stand where a schema is referred to; callers hand in classes, too, and should be told."""
        if isinstance(schema, str):
            return self.records.by_did(AtUri.parse(schema))
        if not isinstance(schema, SampleType):
            message = f"a schema is a sample type or an at:// URI, not {type(schema).__name__}"
            raise TypeError(message)
        return schema

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
