"""The conversion from samples of one class to another: the class to read as, and the lens to apply.

If the schema of the samples fits the target class, no lens is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from catalog.errors import InvalidSchema, LensError

if TYPE_CHECKING:
    from catalog.lenses.lens import Lens, LensNetwork


def way_to(
    target: type[Any],
    now: type[Any] | None,
    through: Lens[Any, Any] | LensNetwork | None,
    readable: Callable[[type[Any]], bool],
) -> Lens[Any, Any] | None:
    """Return the lens that makes samples ``target``; ``None`` if they can be read as that.

    ``now`` is their class, ``None`` if unknown; ``readable`` are the classes that they can be read as. A lens from
    ``now`` comes first, then none at all, then the nearest. Raises :class:`LensError` if there is no path.
    """
    from catalog.lenses.lens import LENSES, Lens

    if isinstance(through, Lens):
        if not issubclass(through.target, target):
            raise LensError(f"the lens makes {through.target.__name__}, not {target.__name__}", where=through.name)
        return through
    if now is None:
        raise LensError(
            "what class these samples are is not known after map", hint="put as_type before, or give a lens"
        )
    if issubclass(now, target) or (is_like(now, target) and readable(target)):
        return None
    network = LENSES if through is None else through
    try:
        return network.path(now, target)
    except LensError:
        if readable(target):
            return None
        start = next(filter(readable, network.sources(target)), None)  # the nearest
        if start is None:
            raise
        return network.path(start, target)


def is_like(now: type[Any] | None, wanted: type[Any]) -> bool:
    """Return whether a lens from ``wanted`` takes samples of class ``now``, or will see by itself that it doesn't."""
    from catalog.samples.cast import alike

    if now is None or issubclass(now, wanted):
        return True
    try:
        return alike(now, wanted)
    except InvalidSchema:
        return False
