"""Cast a sample to another class of the same sample type, such as one made from a record.

Types that differ only in descriptions are the same.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from catalog.errors import LensError
from catalog.samples.annotations import plan_of

if TYPE_CHECKING:
    from catalog.schema import SampleType

T = TypeVar("T")

_KEPT: Final = 1024


def bare_type(cls: type) -> SampleType:
    """Return the sample type of a packable class without descriptions, by which classes are compared.

    Raises :class:`~catalog.errors.InvalidSchema` as :func:`~catalog.samples.packable.sample_type` does.
    """
    return _bare_type(cls)


@lru_cache(maxsize=_KEPT)
def _bare_type(cls: Any) -> SampleType:  # noqa: ANN401 - a class; mypy sees its samples' hash, which is None
    full = plan_of(cls).sample_type
    return replace(full, description=None, fields=tuple(replace(field, description=None) for field in full.fields))


def alike(one: type, other: type) -> bool:
    """Return whether two packable classes are of the same sample type."""
    return one is other or bare_type(one) == bare_type(other)


def shown_class(cls: object) -> str:
    """Return a class for messages: the name and version of its sample type if it has one."""
    identity = cls.__dict__.get("__packable__") if isinstance(cls, type) else None
    return getattr(cls, "__qualname__", repr(cls)) if identity is None else f"{identity.name} {identity.version}"


def recast(sample: object, cls: type[T]) -> T:
    """Return the sample itself if it is a ``cls``, else a ``cls`` with the same values.

    Raises :class:`LensError` if the class of the sample isn't of the same sample type.
    """
    if isinstance(sample, cls):
        return sample
    pairs = _pairs(cast("Any", type(sample)), cast("Any", cls))
    if pairs is None:
        raise LensError(f"expected a sample of {shown_class(cls)}, found {shown_class(type(sample))}")
    made = cls(**{theirs: getattr(sample, own) for own, theirs in pairs})
    keep_key(sample, made)
    return made


@lru_cache(maxsize=_KEPT)
def _pairs(own: Any, wanted: Any) -> tuple[tuple[str, str], ...] | None:  # noqa: ANN401 - as above
    """Return the attribute of each field in both classes; ``None`` for classes of different types."""
    if "__packable__" not in own.__dict__ or not alike(own, wanted):
        return None
    theirs = plan_of(wanted).by_name
    return tuple((entry.attribute, theirs[entry.field.name].attribute) for entry in plan_of(own).entries)


def keep_key(before: object, after: object) -> None:
    """Copy the key of a sample to one made from it, unless that has a key or can't have one."""
    key = getattr(before, "__key__", "")
    if key and after is not before and not getattr(after, "__key__", ""):
        with suppress(AttributeError):
            object.__setattr__(cast("Any", after), "__key__", key)
