"""Lenses: a sample of one type as one of another, and back.

::

    @lens
    def flatten(digit: Digit) -> Flat: …            source Digit, target Flat

    @flatten.putter
    def unflatten(flat: Flat, digit: Digit) -> Digit: …

    flatten(digit)              a Flat
    flatten.put(flat, digit)    the digit, changed
    flatten >> scale            composition
    LENSES.path(Digit, Scaled)  the shortest path in a network of lenses
    check_lens(flatten, digits) test the lens laws (:mod:`~catalog.lenses.laws`)

- A lens takes samples of every class with its source's sample type (descriptions aside), also of a class made from a
  record. Its functions always get the class they were written for.
- A lens without a putter is read-only. A path contains lenses, not their functions: a putter added later counts.
- A lens is pickled by its name in its module, or else by its functions; a path by its lenses.
- A result has the key of the sample, unless it sets its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias, TypeVar, overload

from catalog.errors import InvalidSchema, LensError
from catalog.lenses.composition import Lens, joined
from catalog.lenses.laws import Counterexample, LensReport, check_lens
from catalog.lenses.paths import best_paths
from catalog.samples.cast import alike, bare_type, shown_class

if TYPE_CHECKING:
    from catalog.schema import SampleType

__all__ = [
    "LENSES", "Counterexample", "Lens", "LensNetwork", "LensReport", "check_lens", "lens",
]  # fmt: skip

S = TypeVar("S")
T = TypeVar("T")

_SHOWN: Final = 10
"""Sample types that an error lists."""


@overload
def lens(getter: Callable[[S], T], /, *, name: str | None = None, register: bool = True) -> Lens[S, T]: ...


@overload
def lens(*, name: str | None = None, register: bool = True) -> Callable[[Callable[[S], T]], Lens[S, T]]: ...


def lens(getter: Callable[..., Any] | None = None, /, *, name: str | None = None, register: bool = True) -> Any:
    """Decorator: make a getter, annotated with two packable classes, a lens.

    It is added to :data:`LENSES` unless ``register`` is false. Raises as :class:`Lens`.
    """

    def made(function: Callable[[S], T]) -> Lens[S, T]:
        defined = Lens(function, name=name)
        return LENSES.add(defined) if register else defined

    return made if getter is None else made(getter)


class LensNetwork:
    """Lenses as the edges between sample types. Classes of the same sample type are one place."""

    def __init__(self, lenses: Iterable[Lens[Any, Any]] = ()) -> None:
        self._lenses: list[Lens[Any, Any]] = []
        for one in lenses:
            self.add(one)

    def __getattr__(self, name: str) -> NoReturn:
        """Raise AttributeError, for the name of atdata with what to use."""
        hint = "; use path(source, target), or dataset.as_type(T)" if name == "transform" else ""
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}")

    def __repr__(self) -> str:
        return f"<LensNetwork of {len(self._lenses)}>"

    @property
    def lenses(self) -> tuple[Lens[Any, Any], ...]:
        """The lenses in the order in which they were added."""
        return tuple(self._lenses)

    def add(self, lens: Lens[S, T]) -> Lens[S, T]:
        """Add a lens, and return it. It replaces one of the same module, name and types: a notebook's cell was run
        again.
        """
        for index, old in enumerate(self._lenses):
            if old == lens or _again(old, lens):
                self._lenses[index] = lens
                return lens
        self._lenses.append(lens)
        return lens

    def path(self, source: type[S], target: type[T]) -> Lens[S, T]:
        """Return the shortest path; of several, the one added first. Between classes of one type it is the identity.

        Raises :class:`LensError` that names both types and the reachable ones.
        """
        try:
            start, end = bare_type(source), bare_type(target)
        except InvalidSchema as error:
            what = f"no lens leads from {shown_class(source)} to {shown_class(target)}: {error.what}"
            raise LensError(what, hint=error.hint) from error
        paths = best_paths(start, self._leaving(), _added)
        if end not in paths:
            reached = [_shown(place) for place in paths if place != start]
            raise LensError(f"no lens leads from {_shown(start)} to {_shown(end)}", hint=_listed(reached))
        return joined(tuple(lens for _, lens in paths[end]), source, target)

    def sources(self, target: type) -> tuple[type, ...]:
        """Return the classes from which lenses lead to ``target``, nearest first; none if it isn't packable."""
        try:
            end = bare_type(target)
        except InvalidSchema:
            return ()
        paths = best_paths(end, self._leaving(backwards=True), _added)
        return tuple(path[-1][1].source for path in paths.values() if path)

    def _leaving(self, *, backwards: bool = False) -> Callable[[SampleType], list[tuple[_Edge, SampleType]]]:
        leaving: defaultdict[SampleType, list[tuple[_Edge, SampleType]]] = defaultdict(list)
        for number, one in enumerate(self._lenses):
            start, end = bare_type(one.source), bare_type(one.target)
            leaving[end if backwards else start].append(((number, one), start if backwards else end))
        return lambda place: leaving.get(place, [])


_Edge: TypeAlias = "tuple[int, Lens[Any, Any]]"
"""A lens with its number in the order of addition."""


def _added(edge: _Edge) -> tuple[int, int]:
    return 0, edge[0]


def _again(old: Lens[Any, Any], new: Lens[Any, Any]) -> bool:
    names = [(one.__module__, getattr(one, "__qualname__", "<"), one.name) for one in (old, new)]
    if names[0] != names[1] or "<" in names[0][1]:  # <lambda>, or made anew by each call of a function: <locals>
        return False
    if old.parts != (old,) or new.parts != (new,):
        return False
    return alike(old.source, new.source) and alike(old.target, new.target)


def _shown(place: SampleType) -> str:
    return f"{place.name} {place.version}"


def _listed(reached: list[str]) -> str:
    more = f" and {len(reached) - _SHOWN} more" if len(reached) > _SHOWN else ""
    return f"reachable: {', '.join(reached[:_SHOWN])}{more}" if reached else "no lens starts there"


LENSES: Final = LensNetwork()
"""The network of all lenses defined by :func:`lens`."""
