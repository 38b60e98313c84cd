"""The lens laws, tested on samples.

::

    GetPut    put(get(s), s) == s                      putting back an unchanged result changes nothing
    PutGet    get(put(t, s)) == t                      get returns the result that was put
    PutPut    put(t2, put(t1, s)) == put(t2, s)        the second of two puts wins

    Raises    a function of the lens raised
    Type      it returned another class, or a value that its field doesn't allow (kind, dtype, shape)
    Mutates   it changed its argument

``t`` is the result for *other* samples, and the one for this sample with a single field from another (or left out, if
it is optional). The laws are tested on existing samples, so the absence of a counterexample is no proof. Samples are
copied before a lens gets them. NaN equals NaN here.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from reprlib import Repr
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, Protocol, TypeVar

import numpy as np

from catalog.errors import InvalidSample, LensError
from catalog.samples.annotations import plan_of
from catalog.samples.arrays import dtype_name
from catalog.samples.cast import recast, shown_class
from catalog.samples.packing import pack
from catalog.samples.scalars import fits_scalar
from catalog.samples.validation import fits_array
from catalog.schema import Array, List, Scalar, type_text

if TYPE_CHECKING:
    from catalog.samples.annotations import Entry
    from catalog.schema import FieldType

S = TypeVar("S")
T = TypeVar("T")
V = TypeVar("V")

Law = Literal["GetPut", "PutGet", "PutPut", "Raises", "Type", "Mutates"]

_SHOWN_EACH: Final = 5
"""Counterexamples that a report has for each law."""

_VARIATIONS: Final = 8
"""Single-field variations tried for each sample; the fields take turns from sample to sample."""

_TEXT: Final = Repr()
_TEXT.maxstring = _TEXT.maxother = _TEXT.maxlong = 80


class Checkable(Protocol[S, T]):
    """The part of a lens that :func:`check_lens` needs."""

    @property
    def name(self) -> str:
        """Its name in reports."""

    @property
    def source(self) -> type[S]:
        """The class it gets from."""

    @property
    def target(self) -> type[T]:
        """The class it gets."""

    @property
    def read_only(self) -> bool:
        """True if it has no putter."""

    def get(self, sample: S, /) -> T:
        """The sample as a target."""

    def put(self, changed: T, sample: S, /) -> S:
        """The sample with a changed target taken back into it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterexample:
    """A sample with which a lens breaks a law: ``sample`` is its key, or its number (from 0).

    ``field`` is the wire name that differs, empty for the whole sample. ``expected`` and ``found`` are short texts.
    """

    law: Law
    sample: str | int
    field: str
    expected: str
    found: str

    def __str__(self) -> str:
        """One line."""
        field = f", field {self.field!a}" if self.field else ""
        return f"{self.law}: sample {self.sample!a}{field}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LensReport:
    """The result of checking a lens. ``checked`` is the number of samples, ``left_out`` that of unlisted faults.

    A ``read_only`` lens has no laws; only the types of its results are checked.
    """

    lens: str
    checked: int
    counterexamples: tuple[Counterexample, ...]
    left_out: int = 0
    read_only: bool = False

    @property
    def ok(self) -> bool:
        """True if something was checked, and no counterexample found."""
        return self.checked > 0 and not self.counterexamples

    def lines(self) -> Iterator[str]:
        """A line that says how it went, and one for each counterexample."""
        found = len(self.counterexamples) + self.left_out
        laws = "it gets what it promises; read-only, so no laws to check" if self.read_only else "the lens laws hold"
        verdict = "nothing was checked" if self.checked == 0 else laws if found == 0 else f"{found} counterexamples"
        yield f"{self.lens}: {self.checked} samples: {verdict}"
        yield from (f"  {one}" for one in self.counterexamples)
        if self.left_out:
            yield f"  … and {self.left_out} more"


def check_lens(lens: Checkable[S, T], samples: Iterable[S], *, limit: int = 100, rtol: float = 0.0) -> LensReport:
    """Test the lens laws on the first ``limit`` samples; of an iterator (or a dataset) no more are read.

    ``rtol`` is the allowed relative difference of floats, also in arrays. Raises :class:`LensError` for samples of
    another class, and the errors of reading them; never those of the lens.
    """
    placed = [
        (getattr(sample, "__key__", "") or index, recast(sample, lens.source))
        for index, sample in enumerate(islice(samples, limit))
    ]
    trial = _Trial(lens, rtol)
    gets = [trial.get(place, sample) for place, sample in placed]
    if not lens.read_only:
        for index, (place, sample) in enumerate(placed):
            own = gets[index]
            if own is not None:
                trial.laws(place, sample, own, _others(gets, index), index)
    return LensReport(
        lens=lens.name,
        checked=len(placed),
        counterexamples=tuple(trial.found),
        left_out=trial.left_out,
        read_only=lens.read_only,
    )


def _others(gets: list[T | None], index: int) -> list[T]:
    """Return the targets of the next, the previous and the farthest sample: neighbours are often alike."""
    count = len(gets)
    places = dict.fromkeys(((index + 1) % count, (index + count // 2) % count, (index - 1) % count))
    return [other for place in places if place != index and (other := gets[place]) is not None]


class _Trial(Generic[S, T]):
    """One check: runs the lens on copies, and keeps the first few counterexamples of each law."""

    def __init__(self, lens: Checkable[S, T], rtol: float) -> None:
        self.lens = lens
        self.rtol = rtol
        self.found: list[Counterexample] = []
        self.left_out = 0
        self._seen: set[Counterexample] = set()

    def laws(self, place: str | int, sample: S, own: T, others: list[T], turn: int) -> None:
        source, target = self.lens.source, self.lens.target
        self._same("GetPut", place, source, sample, self.put(place, own, sample))
        for changed in (own, *others, *self._variations(own, others, turn)):
            new = self.put(place, changed, sample)
            if new is not None:
                self._same("PutGet", place, target, changed, self.get(place, new))
        for one in others[:2] or [own]:
            between = self.put(place, one, sample)
            if between is not None:
                for last in (own, *others[-1:]):
                    once = self.put(place, last, sample)
                    self._same("PutPut", place, source, once, self.put(place, last, between))

    def get(self, place: str | int, sample: S) -> T | None:
        """Return the result of ``get``, or ``None`` if it isn't a target."""
        given = copy.deepcopy(sample)
        try:
            made = self.lens.get(given)
        except Exception as error:  # noqa: BLE001 - a lens is foreign code, under test here
            self._failed(place, error, self.lens.target)
            return None
        self._same("Mutates", place, self.lens.source, sample, given)
        return made if self._fits(place, made, self.lens.target) else None

    def put(self, place: str | int, changed: T, sample: S) -> S | None:
        """Return the result of ``put``, or ``None`` if it isn't a source."""
        given, before = copy.deepcopy(changed), copy.deepcopy(sample)
        try:
            made = self.lens.put(given, before)
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(place, error, self.lens.source)
            return None
        self._same("Mutates", place, self.lens.source, sample, before)
        self._same("Mutates", place, self.lens.target, changed, given)
        return made if self._fits(place, made, self.lens.source) else None

    def _variations(self, own: T, others: list[T], turn: int) -> Iterator[T]:
        """Return the target with a single field of another one, or without it; its fields take turns."""
        entries = plan_of(self.lens.target).entries
        for number in range(min(_VARIATIONS, len(entries))):
            entry = entries[(turn * _VARIATIONS + number) % len(entries)]
            name = entry.attribute
            theirs = (getattr(other, name) for other in others)
            values = [value for value in theirs if not _agree(getattr(own, name), value, 0.0)][:1]
            if entry.field.optional and getattr(own, name) is not None and None not in values:
                values.append(None)
            for value in values:
                varied = copy.copy(own)
                object.__setattr__(varied, name, value)
                yield varied

    def _failed(self, place: str | int, error: Exception, wanted: type) -> None:
        law: Law = "Type" if isinstance(error, LensError) else "Raises"
        self._note(law, place, "", shown_class(wanted), _TEXT.repr(error))

    def _fits(self, place: str | int, made: object, cls: type) -> bool:
        right = True
        for entry in plan_of(cls).entries:
            value = getattr(made, entry.attribute, dataclasses.MISSING)
            if not ((value is None and entry.field.optional) or _fits(entry.field.type, value, entry)):
                right = False
                wanted = type_text(entry.field.type, optional=entry.field.optional)
                self._note("Type", place, entry.field.name, wanted, _kind(value))
        return right

    def _same(self, law: Law, place: str | int, cls: type[V], expected: V | None, found: V | None) -> None:
        """Compare two samples of one class field by field; one that couldn't be made was noted before."""
        if expected is None or found is None:
            return
        for entry in plan_of(cls).entries:
            one, other = (getattr(sample, entry.attribute, dataclasses.MISSING) for sample in (expected, found))
            if not _agree(one, other, 0.0 if law == "Mutates" else self.rtol):
                self._note(law, place, entry.field.name, *_difference(one, other, self.rtol))

    def _note(self, law: Law, place: str | int, field: str, expected: str, found: str) -> None:
        noted = Counterexample(law=law, sample=place, field=field, expected=expected, found=found)
        if noted in self._seen:
            return
        if sum(one.law == law for one in self.found) < _SHOWN_EACH:
            self._seen.add(noted)
            self.found.append(noted)
        else:
            self.left_out += 1


def _fits(type_: FieldType, value: Any, entry: Entry) -> bool:  # noqa: ANN401 - samples hold anything
    if value is dataclasses.MISSING:
        return False
    value = value.item() if isinstance(value, np.generic) else value
    match type_:
        case Array():
            objects = getattr(getattr(value, "dtype", None), "hasobject", False)
            return isinstance(value, bytes) if entry.as_bytes else fits_array(type_, value) and not objects
        case List():
            return isinstance(value, list | tuple) and all(_fits(type_.item, item, entry) for item in value)
        case Scalar():
            return fits_scalar(type_, value, entry)
    return _is_storable(value)


def _is_storable(value: object) -> bool:
    try:
        pack({"": value})
    except InvalidSample:
        return False
    return True


def _agree(one: Any, other: Any, rtol: float) -> bool:  # noqa: ANN401 - samples hold anything
    """Return whether two values are the same: kinds and dtypes, too, but 1 is 1.0 and a tuple is a list."""
    one, other = (value.item() if isinstance(value, np.generic) else value for value in (one, other))
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and not bool(np.any(_differ(one, other, rtol)))
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(_agree(a, b, rtol) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_agree(value, other[name], rtol) for name, value in one.items())
    if hasattr(one, "tocoo") and type(one) is type(other):  # scipy's sparse arrays compare by element
        return _agree(one.toarray(), other.toarray(), rtol)
    return _agree_plainly(one, other, rtol)


def _agree_plainly(one: Any, other: Any, rtol: float) -> bool:  # noqa: ANN401 - samples hold anything
    if _is_number(one) and _is_number(other):
        return bool(one == other or (one != one and other != other) or _is_close(one, other, rtol))  # noqa: PLR0124 - NaN
    if type(one) is not type(other) and not (isinstance(one, bytes) and isinstance(other, bytes)):
        return False
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001 - values of no type of ours may refuse to be compared
        return False


def _differ(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any], rtol: float) -> Any:  # noqa: ANN401 - numpy's own
    """Return the place where two arrays of one shape and dtype differ."""
    if one.dtype.names is not None:
        fields = [np.asarray(_differ(one[name], other[name], rtol)) for name in one.dtype.names]
        found = [field.any(axis=tuple(range(one.ndim, field.ndim))) for field in fields]  # a field may be an array
        return np.logical_or.reduce(found) if found else np.zeros(one.shape, np.bool_)
    if one.dtype.kind in "mM":
        return (one != other) & ~(np.isnat(one) & np.isnat(other))
    if one.dtype.kind not in "fc":
        return one != other
    with np.errstate(all="ignore"):
        return ~np.isclose(other, one, rtol=rtol, atol=0.0, equal_nan=True)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | complex) and not isinstance(value, bool)


def _is_close(one: complex, other: complex, rtol: float) -> bool:
    try:
        return rtol > 0 and abs(other - one) <= rtol * abs(one) < float("inf")
    except OverflowError:
        return False


def _difference(one: Any, other: Any, rtol: float) -> tuple[str, str]:  # noqa: ANN401 - samples hold anything
    """Two values that differ as short texts; of arrays that are alike otherwise, the first place where they differ."""
    arrays = isinstance(one, np.ndarray) and isinstance(other, np.ndarray)
    if not arrays or (one.dtype, one.shape) != (other.dtype, other.shape):
        return _text(one), _text(other)
    place = tuple(int(axis[0]) for axis in np.nonzero(np.atleast_1d(_differ(one, other, rtol))))
    first, second = np.atleast_1d(one)[place], np.atleast_1d(other)[place]
    where = ", ".join(map(str, place))
    return f"{_kind(one)} with [{where}] = {_text(first)}", _text(second)


def _text(value: object) -> str:
    value = value.item() if isinstance(value, np.generic) else value
    return _kind(value) if isinstance(value, np.ndarray) or value is dataclasses.MISSING else _TEXT.repr(value)


def _kind(value: Any) -> str:  # noqa: ANN401 - samples hold anything
    if value is dataclasses.MISSING:
        return "nothing"
    if isinstance(getattr(value, "dtype", None), np.dtype) and isinstance(getattr(value, "shape", None), tuple):
        return type_text(Array(dtype=dtype_name(value.dtype), shape=value.shape or None))
    return type(value).__name__
