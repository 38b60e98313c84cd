"""Interface between samples and publishing: :class:`PublishingClient`, implemented by ``catalog.client.Client``.

::

    Digit.publish_to_atproto(client)  ─┐
    dataset.publish_to_atproto(…)      ├─▶ PublishingClient ─▶ drafts ─▶ plan, apply (as for manifests) ─▶ PDS
    lens.publish_to_atproto(client)   ─┘

``samples`` may not import ``publish`` or ``client``, so callers pass the client.
"""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from catalog.atproto.datamodel import Json
    from catalog.records import CodeReference, Split
    from catalog.schema import SampleType
    from catalog.syntax import AtUri

__all__ = ["Place", "PublishedShard", "PublishingClient"]

_OURS: Final = __name__.partition(".")[0]
_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


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


class PublishingClient(Protocol):
    """A logged-in account that publishes records.

    A sample type given as a schema is published in the same commit, unless it exists. An existing record with the same
    content is left unchanged; other content under the same name (and version, of a schema) is an error. Error messages
    begin with ``place``, by default the calling line.

    Every method returns the record's URI and raises :class:`~catalog.errors.PublishError`,
    :class:`~catalog.errors.InvalidManifest` (with every fault: a local shard that differs from its checksum, a record
    that breaks its lexicon), or a :class:`~catalog.errors.NetworkError`.
    """

    def publish_schema(
        self,
        sample_type: SampleType,
        *,
        license: str | None = None,  # noqa: A002 - as records spell it
        tags: Sequence[str] = (),
        place: Place | None = None,
    ) -> AtUri:
        """Publish one version of a schema."""
        ...

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
        splits: Sequence[Split] = (),
        place: Place | None = None,
    ) -> AtUri:
        """Publish a dataset, and its label if it has a ``version``. ``samples`` is their number."""
        ...

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
        """Publish a lens between two schemas; its code is a reference, pinned to a commit."""
        ...


def _is_ours(module: object) -> bool:
    return isinstance(module, str) and (module == _OURS or module.startswith(f"{_OURS}."))
