"""What publishing from code needs of a client: :class:`PublishingClient`, which ``catalog.client.Client`` is.

::

    Digit.publish_to_atproto(client)  ─┐
    dataset.publish_to_atproto(…)      ├─▶ PublishingClient ─▶ drafts ─▶ the manifests' own publisher ─▶ PDS
    lens.publish_to_atproto(client)   ─┘

Samples stand below publishing, so the client is handed in and only its shape is known here.
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
    from catalog.records import CodeReference
    from catalog.schema import SampleType
    from catalog.syntax import AtUri

__all__ = ["Place", "PublishedShard", "PublishingClient"]

_OURS: Final = __name__.partition(".")[0]
_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in the user's code something was defined or asked for; errors start with it: ``digits.py:12: …``."""

    file: Path
    line: int

    @classmethod
    def of(cls, defined: type | object) -> Place | None:
        """Where a class or function is defined; ``None`` where that can't be told (made at run time, typed in)."""
        try:
            file = inspect.getsourcefile(defined)  # type: ignore[arg-type] # raises TypeError for what has none
            _, line = inspect.getsourcelines(defined)  # type: ignore[arg-type]
        except (OSError, TypeError):
            return None
        return None if file is None else cls(file=Path(file), line=max(line, 1))

    @classmethod
    def of_caller(cls) -> Place:
        """The line of code that called into this package."""
        frame = sys._getframe()  # noqa: SLF001 - the documented way to the caller
        while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__")):
            frame = frame.f_back
        return cls(file=Path(frame.f_code.co_filename), line=frame.f_lineno)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedShard:
    """One shard as a dataset record is to name it.

    ``url`` is https, or ``s3://bucket/key`` (then ``endpoint`` and ``region`` where the bucket needs them). ``local``
    is a copy on this machine, hashed when publishing. ``sha256`` (hex) and ``bytes`` are what is known already: the
    local copy must agree with them.
    """

    url: str
    local: Path | None = None
    sha256: str | None = None
    bytes: int | None = None
    endpoint: str | None = None
    region: str | None = None


class PublishingClient(Protocol):
    """A logged-in account that writes records, as the manifests' publisher does.

    A sample type where a schema is referred to is published too, in the same commit, unless it is there already. What
    is there with the same content stays as it is; other content under the same name (and version, of a schema) is
    refused. ``place`` is for errors; without one it is the line that called.

    Every method answers the record's address and raises :class:`~catalog.errors.PublishError`,
    :class:`~catalog.errors.InvalidManifest` (with every fault: a local shard that isn't the one promised, a record
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
        """One version of a schema."""
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
        place: Place | None = None,
    ) -> AtUri:
        """A dataset; with a ``version`` also a label of that version. ``samples`` is their number."""
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
        """A lens between two schemas; its code is a reference, pinned to a commit."""
        ...


def _is_ours(module: object) -> bool:
    return isinstance(module, str) and (module == _OURS or module.startswith(f"{_OURS}."))
