"""The schema that a dataset or lens record is to refer to, from a class, a sample type or an address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalog.errors import PublishError
from catalog.samples.packable import DictSample, sample_type, schema_uri
from catalog.syntax import AtUri

if TYPE_CHECKING:
    from catalog.schema import SampleType

__all__ = ["schema_to_publish"]


def schema_to_publish(given: AtUri | SampleType | type | str) -> AtUri | SampleType:
    """What a dataset record is to refer to: a schema's address, or the sample type that becomes one.

    A class that was made from a published schema is that schema. Raises :class:`PublishError` for dicts.
    """
    if isinstance(given, str):
        return AtUri.parse(given)
    if not isinstance(given, type):
        return given
    if issubclass(given, DictSample):
        raise PublishError("samples without a class have no schema to publish", hint="give schema=…")
    return schema_uri(given) or sample_type(given)
