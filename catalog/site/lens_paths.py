"""What can be reached from a schema through lenses, one after the other.

::

    Digit 1.1 ──without ink──▶ Digit 1.0 ──flatten──▶ Flat 1.0        two steps from Digit 1.1 to Flat 1.0

Of several ways to a schema the shortest counts; of those the one with fewest lenses that nobody vouched for; of those
the one whose lenses' URIs come first. The ways are listed in that order, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from catalog.store.graph import LensNode, SchemaNode

__all__ = ["MOST", "STEPS", "Way", "ways"]

STEPS: Final = 3
"""Lenses one after the other: each may lose something."""
MOST: Final = 50
"""Schemas listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A path: its ``lenses`` in the order in which they are applied, and the schema at its far ``end``."""

    end: SchemaNode
    lenses: tuple[LensNode, ...]

    @property
    def vouched(self) -> bool:
        """Whether somebody vouched for each of its lenses."""
        return all(lens.vouched for lens in self.lenses)


_Key = tuple[int, tuple[str, ...]]
"""Lenses nobody vouched for, and the URIs as they are walked."""


def ways(
    schema: SchemaNode, *, backwards: bool = False, steps: int = STEPS, most: int = MOST
) -> tuple[tuple[Way, ...], bool]:
    """The best way to each schema that lenses lead to (``backwards``: from), and whether there are more than ``most``.

    A schema with ten thousand lenses costs no more than ``most`` of them: those that follow can't be among the best.
    """
    found: dict[SchemaNode, tuple[LensNode, ...]] = {schema: ()}
    level: list[tuple[_Key, SchemaNode]] = [((0, ()), schema)]
    for _ in range(steps):
        best: dict[SchemaNode, tuple[_Key, tuple[LensNode, ...]]] = {}
        for (unvouched, uris), here in level:
            for lens, end in _beyond(here, backwards=backwards, most=most + len(found) + 1):
                key = (unvouched + (not lens.vouched), (*uris, str(lens.uri)))
                if end not in found and (end not in best or key < best[end][0]):
                    best[end] = key, (*found[here], lens)
        level = sorted(((key, end) for end, (key, _) in best.items()), key=lambda pair: pair[0])
        level = level[: most + 2 - len(found)]  # the start is found, too; and one more, to know of it
        found.update((end, best[end][1]) for _, end in level)
        if len(found) > most + 1:
            break
    listed = [Way(end=end, lenses=path[::-1] if backwards else path) for end, path in found.items()][1:]
    return tuple(listed[:most]), len(listed) > most


def _beyond(schema: SchemaNode, *, backwards: bool, most: int) -> Iterator[tuple[LensNode, SchemaNode]]:
    for lens in (schema.back if backwards else schema.onward)[:most]:
        end = lens.source if backwards else lens.target
        if end is not None:
            yield lens, end
