"""One lens, and lenses composed in sequence; see :mod:`~catalog.lenses.lens`.

- The functions get samples of exactly the classes they were written for: others of the same sample type are recast. A
  result is checked to be of the promised class, not field by field.
- ``@f.putter`` changes the lens, so that the putter may have any name, also ``_``. It can be given once.
"""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable
from functools import update_wrapper
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from catalog.errors import InvalidSchema, LensError
from catalog.samples.cast import alike, bare_type, keep_key, recast, shown_class

if TYPE_CHECKING:
    from catalog.atproto.sdk import SdkClient
    from catalog.samples.clients import CatalogClient
    from catalog.schema import SampleType
    from catalog.syntax import AtUri

S = TypeVar("S")
T = TypeVar("T")
V = TypeVar("V")


class Lens(Generic[S, T]):
    """A getter, ``source`` → ``target``, and a putter, which puts a changed target back into its source.

    ``source`` and ``target`` are packable classes, by default those of the functions' annotations. ``name`` and docs
    default to the getter's. Two lenses are equal if name, classes and functions are.

    Raises :class:`LensError` for functions with other parameters, without annotations, or of classes that aren't
    packable.
    """

    def __init__(
        self,
        getter: Callable[[S], T],
        putter: Callable[[T, S], S] | None = None,
        *,
        source: type[S] | None = None,
        target: type[T] | None = None,
        name: str | None = None,
    ) -> None:
        update_wrapper(self, getter, updated=())
        given = [source, target]
        found = given if None not in given else _annotated(getter, 1)
        self.source: Final[type[S]] = _packable(source or found[0], getter)
        self.target: Final[type[T]] = _packable(target or found[1], getter)
        self.name: Final[str] = name or str(getattr(getter, "__name__", type(getter).__name__))
        self.getter: Final[Callable[[S], T]] = getter
        self._check_putter = None in given
        self._put: Callable[[T, S], S] | None = None
        if putter is not None:
            self.putter(putter)

    @classmethod
    def identity(cls, of: type[V]) -> Lens[V, V]:
        """The lens that changes nothing. Raises :class:`LensError` for a class that isn't packable."""
        return _Path((), _packable(of, None), of)

    def putter(self, function: Callable[[T, S], S]) -> Callable[[T, S], S]:
        """Set the putter, ``(target, source) -> source``; a decorator that returns the function unchanged.

        Raises :class:`LensError` if there is one already, or its annotations differ.
        """
        if self._put is not None:
            raise LensError(f"lens {self.name} has a putter already")
        if self._check_putter:
            changed, before, answered = _annotated(function, 2)
            if not (_is(self.target, changed) and _is(self.source, before) and _is(answered, self.source)):
                hint = f"it should be {_signature(self.target, self.source, self.source)}"
                what = f"the putter of lens {self.name} is {_signature(changed, before, answered)}"
                raise LensError(what, where=_where(function), hint=hint)
        self._put = function
        return function

    @property
    def put_function(self) -> Callable[[T, S], S] | None:
        """The function that :meth:`putter` was given."""
        return self._put

    @property
    def read_only(self) -> bool:
        """True if the lens has no putter."""
        return self._put is None

    @property
    def description(self) -> str | None:
        """The getter's docstring."""
        return inspect.getdoc(self.getter) if inspect.isroutine(self.getter) else None

    @property
    def parts(self) -> tuple[Lens[Any, Any], ...]:
        """The lenses that this one is made of: itself, unless it is a path."""
        return (self,)

    def __call__(self, sample: S) -> T:
        """As :meth:`get`."""
        return self.get(sample)

    def get(self, sample: S) -> T:
        """Return the sample as a ``target``. Raises :class:`LensError` for a sample or a result of another type."""
        made = _result(self.getter(recast(sample, self.source)), self.target, self.getter)
        keep_key(sample, made)
        return made

    def put(self, changed: T, sample: S) -> S:
        """Return the source sample with a changed target put back; ``sample`` stays unchanged.

        Raises :class:`LensError` for a read-only lens, and as :meth:`get`.
        """
        if self._put is None:
            raise LensError(f"lens {self.name} is read-only", hint=f"give it a putter: @{self.name}.putter")
        made = _result(self._put(recast(changed, self.target), recast(sample, self.source)), self.source, self._put)
        keep_key(sample, made)
        return made

    def then(self, other: Lens[T, V]) -> Lens[S, V]:
        """Return this lens followed by another (``this >> other``). Raises :class:`LensError` if they don't match."""
        if not alike(self.target, other.source):
            ends, starts = shown_class(self.target), shown_class(other.source)
            raise LensError(f"lens {self.name} ends at {ends}, lens {other.name} starts at {starts}")
        return joined((*self.parts, *other.parts), self.source, other.target)

    def __rshift__(self, other: Lens[T, V]) -> Lens[S, V]:
        return self.then(other) if isinstance(other, Lens) else NotImplemented

    __or__ = __rshift__
    """The same, as in atdata."""

    def __matmul__(self, other: Lens[V, S]) -> Lens[V, T]:
        """Return the lens that applies ``other`` first, then this one, as in atdata."""
        return other.then(self) if isinstance(other, Lens) else NotImplemented

    def publish_to_atproto(
        self,
        client: CatalogClient | SdkClient,
        *,
        name: str | None = None,
        description: str | None = None,
        repository: str | None = None,
        commit: str | None = None,
        source: AtUri | SampleType | type | str | None = None,
        target: AtUri | SampleType | type | str | None = None,
    ) -> AtUri:
        """Publish a record of this lens, whose code is a reference to a commit; return its URI.

        Repository and commit are by default those of git. ``source`` and ``target`` are the schemas, by default those
        of the records that the classes were made for, else the classes' own, published with the lens if necessary.
        Raises :class:`LensError` for a lens without a putter, a path (a record refers to functions), or code without
        a reference, and as :meth:`Client.publish_lens`.
        """
        from catalog.lenses.code_reference import code_reference
        from catalog.samples.clients import Place, open_publisher
        from catalog.samples.packable import schema_to_publish

        if self._put is None:
            raise LensError(f"lens {self.name} is read-only", hint="a lens record refers to a putter, too")
        with open_publisher(client) as publisher:
            return publisher.publish_lens(
                name=self.name if name is None else name,
                source=schema_to_publish(self.source if source is None else source),
                target=schema_to_publish(self.target if target is None else target),
                getter=code_reference(self.getter, repository=repository, commit=commit),
                putter=code_reference(self._put, repository=repository, commit=commit),
                description=self.description if description is None else description,
                place=Place.of(self.getter),
            )

    def _value(self) -> tuple[object, ...]:
        return (self.source, self.target, self.name, self.getter, self._put)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._value() == cast("Lens[Any, Any]", other)._value()

    def __hash__(self) -> int:
        return hash((self.source, self.target, self.name))  # not the putter, which may come later

    def __repr__(self) -> str:
        note = ", read-only" if self.read_only else ""
        return f"<Lens {self.name}: {shown_class(self.source)} → {shown_class(self.target)}{note}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        qualified = getattr(self, "__qualname__", "")
        if _named(self.__module__, qualified) is self and not (self.__module__ == "__main__" and _goes_by_value()):
            return cast("str", qualified)  # pickle finds it by that name in its __module__
        return _rebuilt, (self.getter, self._put, self.source, self.target, self.name)


def _rebuilt(getter: Any, putter: Any, source: type, target: type, name: str) -> Lens[Any, Any]:  # noqa: ANN401
    return Lens(getter, putter, source=source, target=target, name=name)


class _Path(Lens[S, T]):
    """Lenses one after the other, or none: then source and target are of one sample type."""

    def __init__(self, parts: tuple[Lens[Any, Any], ...], source: type[S], target: type[T]) -> None:
        name = " >> ".join(part.name for part in parts) or "identity"
        self._parts = parts
        super().__init__(self.get, source=source, target=target, name=name)

    @property
    def read_only(self) -> bool:
        return any(part.read_only for part in self._parts)

    @property
    def put_function(self) -> Callable[[T, S], S] | None:
        return None if self.read_only else self.put

    @property
    def description(self) -> str | None:
        return None

    @property
    def parts(self) -> tuple[Lens[Any, Any], ...]:
        return self._parts

    def putter(self, function: Callable[[T, S], S]) -> Callable[[T, S], S]:  # noqa: ARG002 - the base's
        raise LensError(f"{self.name} is put through its lenses: it takes no putter of its own")

    def get(self, sample: S) -> T:
        made: Any = recast(sample, self.source)
        for part in self._parts:
            made = part.get(made)
        return recast(made, self.target)

    def put(self, changed: T, sample: S) -> S:
        before: list[Any] = [recast(sample, self.source)]
        for part in self._parts[:-1]:
            before.append(part.get(before[-1]))
        made: Any = recast(changed, self.target)
        for part, old in zip(reversed(self._parts), reversed(before), strict=False):  # of none, there is one too many
            made = part.put(made, old)
        keep_key(sample, result := recast(made, self.source))
        return result

    def publish_to_atproto(self, client: CatalogClient | SdkClient, **options: Any) -> AtUri:  # noqa: ANN401, ARG002 - the base's
        raise LensError(f"{self.name} has no code of its own", hint="publish its lenses one by one")

    def _value(self) -> tuple[object, ...]:
        return (self.source, self.target, self._parts)

    def __hash__(self) -> int:
        return hash((self.source, self.target, self._parts))

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Path, (self._parts, self.source, self.target)


def joined(parts: tuple[Lens[Any, Any], ...], source: type[S], target: type[T]) -> Lens[S, T]:
    """The lenses as one; a single one that has these classes itself is itself."""
    if len(parts) == 1 and parts[0].source is source and parts[0].target is target:
        return parts[0]
    return _Path(parts, source, target)


def _annotated(function: Callable[..., Any], count: int) -> tuple[Any, ...]:
    """The annotations of a function's first ``count`` parameters, and of what it answers."""
    try:
        signature = inspect.signature(function)
        signature.bind(*range(count))
        hints = typing.get_type_hints(function)
    except Exception as error:  # annotations are code of the user
        hint = f"it takes {count} sample{'s' * (count > 1)}; its classes are defined or imported at module level"
        raise LensError(f"the function can't be read: {error}", where=_where(function), hint=hint) from error
    names = [*islice((parameter.name for parameter in signature.parameters.values()), count), "return"]
    missing = [name for name in names if name not in hints]
    if missing or len(names) <= count:
        hint = "annotate the samples it takes and the one it answers with their classes"
        raise LensError(f"no annotation of {', '.join(missing)}", where=_where(function), hint=hint)
    return tuple(hints[name] for name in names)


def _packable(cls: Any, function: object) -> Any:  # noqa: ANN401 - whatever stood in the annotation
    try:
        bare_type(cls)
    except InvalidSchema as error:
        raise LensError(str(error), where=_where(function)) from error
    except (TypeError, AttributeError) as error:  # a union, a list of classes, …
        raise LensError(f"{cls!r:.80} is not a packable class", where=_where(function)) from error
    return cls


def _where(function: object) -> str | None:
    return getattr(function, "__qualname__", None)


def _is(one: Any, other: Any) -> bool:  # noqa: ANN401 - whatever stood in the annotation
    return isinstance(one, type) and isinstance(other, type) and issubclass(one, other)


def _signature(*classes: object) -> str:
    *taken, answered = map(shown_class, classes)
    return f"({', '.join(taken)}) -> {answered}"


def _result(made: Any, wanted: type[V], function: object) -> V:  # noqa: ANN401 - made by a function of the user
    try:
        return recast(made, wanted)
    except LensError as error:
        raise error.within(_where(function) or "lens") from None


def _goes_by_value() -> bool:
    """Return whether cloudpickle is pickling: the names of ``__main__`` don't exist where its pickles are read."""
    frame = sys._getframe(2)  # noqa: SLF001 - pickle hands a reducer nothing that would tell
    return "cloudpickle" in frame.f_globals.get("__name__", "")


def _named(module: str, qualified: str) -> object:
    found: object = sys.modules.get(module)
    for name in qualified.split("."):
        found = getattr(found, name, None)
    return found
