"""The schema that a new dataset or lens record refers to: from a class, a sample type or a URI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalog.errors import PublishError
from catalog.samples.packable import DictSample, sample_type, schema_uri
from catalog.syntax import AtUri

if TYPE_CHECKING:
    from catalog.schema import SampleType

__all__ = ["schema_to_publish"]


def schema_to_publish(given: AtUri | SampleType | type | str) -> AtUri | SampleType:
    """Return the URI of a schema, or the sample type to publish as one.

    A class that was made from a published schema gives its URI. Raises :class:`PublishError` for dicts.
    """
    if isinstance(given, str):
        return AtUri.parse(given)
    if not isinstance(given, type):
        return given
    if issubclass(given, DictSample):
        raise PublishError("samples without a class have no schema to publish", hint="give schema=…")
    return schema_uri(given) or sample_type(given)
